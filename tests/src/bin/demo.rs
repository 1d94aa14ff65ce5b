//! `make demo`: see [`harness::demo`].

use std::process::ExitCode;

use harness::demo::{self, Options};

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("demo: {reason}\n{}", demo::USAGE);
            return ExitCode::from(2);
        }
    };
    match demo::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
