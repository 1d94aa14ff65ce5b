//! Work on hostile bytes in libraries that are meant for honest ones: a panic in it is an answer.

use super::artifact::ArtifactError;

/// Enough for the deepest nesting that parsers let pass.
const STACK: usize = 16 << 20;

/// Does work on a thread of its own and waits for it. A panic refuses the artifact and harms nothing else; its text is in
/// the log, by the panic hook.
///
/// # Errors
/// Those of the work, and a refusal where it panicked.
pub(super) fn contained<T: Send>(
    name: &str,
    work: impl FnOnce() -> Result<T, ArtifactError> + Send,
) -> Result<T, ArtifactError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn_scoped(scope, work);
        let thread =
            thread.map_err(|error| ArtifactError(format!("cannot be worked on, no thread to do it: {error}")))?;
        let panicked = |_| ArtifactError("is not understood by the compiler, which gave up in a panic".to_owned());
        thread.join().map_err(panicked)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_refuses_the_artifact_and_nothing_else() {
        let outcome: Result<(), _> = contained("test", || panic!("in the middle of a compilation"));
        assert_eq!(outcome.unwrap_err().to_string(), "is not understood by the compiler, which gave up in a panic");
        assert_eq!(contained("test", || Ok(7)).unwrap(), 7);
        assert_eq!(contained::<()>("test", || Err(ArtifactError("is bad".into()))).unwrap_err().to_string(), "is bad");
    }
}
