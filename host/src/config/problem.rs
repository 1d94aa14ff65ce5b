//! What is wrong with a configuration: one [`Problem`] a fault, with the place in the file where there is one.

use std::fmt;
use std::sync::Arc;

/// One fault. Its text is for the operator who has to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// None: the command line, or the file as a whole; the text says which.
    place: Option<Place>,
    text: String,
}

/// A key of gateway.toml and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the command line calls it.
    pub file: Arc<str>,
    /// The line, counted from one.
    pub line: usize,
    /// The key with its section: `history.hold`. Empty: the line itself is at fault.
    pub key: String,
}

impl Problem {
    /// A fault of the command line, or of the file as a whole.
    pub fn new(text: impl Into<String>) -> Self {
        Self { place: None, text: text.into() }
    }

    /// A fault of one key.
    pub fn at(place: Place, text: impl Into<String>) -> Self {
        Self { place: Some(place), text: text.into() }
    }

    /// The key that is at fault, where it is one of the file's.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What is wrong with it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of the file, where there is one.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            None => f.write_str(&self.text),
            Some(place) => write!(f, "{place}: {}", self.text),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key } = self;
        if key.is_empty() { write!(f, "{file}:{line}") } else { write!(f, "{file}:{line}: {key}") }
    }
}

/// All faults of a configuration, at least one; printed one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}
