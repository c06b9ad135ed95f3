//! One mistake in a configuration, and the list of all of them.

use std::fmt;

/// One mistake, named by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `section.key`, or the file.
    pub key: String,
    /// What is wrong and what to do about it; never the value of a secret.
    pub message: String,
}

impl Problem {
    /// A mistake at `key`.
    #[must_use]
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }

    pub(super) fn in_key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Every mistake of a configuration; its text is a list, one mistake a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The mistakes: those of reading first, in the order of the file and the variables.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "{count} {noun} in the configuration:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
