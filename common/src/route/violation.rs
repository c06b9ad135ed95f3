//! What is wrong with an endpoint or a route, field by field.

use std::fmt;

/// One field that holds what it can't.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct Violation {
    /// Path of the field in the message, such as `kafka.topic`.
    pub field: String,
    /// What is wrong and what is wanted, as the end of a sentence that begins with the field; holds no secret.
    pub reason: String,
}

/// All that is wrong with one message, in the order of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl std::error::Error for Violations {}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl From<Vec<Violation>> for Violations {
    /// Several, of which there must be at least one.
    fn from(violations: Vec<Violation>) -> Self {
        Self(violations)
    }
}

impl Violations {
    /// A single one.
    #[must_use]
    pub fn one(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self(vec![Violation { field: field.into(), reason: reason.into() }])
    }

    /// The violations; never empty.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }

    /// The same, with the fields named from the message around this one.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        let rename = |violation: Violation| Violation {
            field: format!("{outer}.{}", violation.field),
            reason: violation.reason,
        };
        Self(self.0.into_iter().map(rename).collect())
    }
}

/// Collects violations while a message is read, so that all are reported at once.
#[derive(Debug, Default)]
pub(super) struct Reading {
    path: Vec<&'static str>,
    violations: Vec<Violation>,
}

impl Reading {
    /// Notes that a field of the present message is wrong.
    pub(super) fn refuse(&mut self, field: &str, reason: impl Into<String>) {
        let mut path = self.path.join(".");
        if !path.is_empty() && !field.is_empty() {
            path.push('.');
        }
        path.push_str(field);
        self.violations.push(Violation { field: path, reason: reason.into() });
    }

    /// Reads a message that stands in a field of the present one.
    pub(super) fn within<T>(&mut self, field: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(field);
        let value = read(self);
        self.path.pop();
        value
    }

    /// A text that must not be empty.
    pub(super) fn required(&mut self, field: &str, text: String) -> String {
        if text.trim().is_empty() {
            self.refuse(field, "is required");
        }
        text
    }

    /// One of several names; `None` when it is empty, or wrong, which is noted.
    pub(super) fn choice<T: Copy>(
        &mut self,
        field: &str,
        text: &str,
        choices: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let found = choices.iter().copied().find(|&choice| name(choice) == text);
        if found.is_none() && !text.is_empty() {
            let names: Vec<_> = choices.iter().map(|&choice| name(choice)).collect();
            self.refuse(field, format!("is `{text}`; it must be one of {}", names.join(", ")));
        }
        found
    }

    /// The value, when nothing was wrong.
    ///
    /// # Errors
    /// Everything that was wrong. A value that is missing without a reason is a fault of ours and refused as such.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Violations> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ if self.violations.is_empty() => Err(Violations::one("", "can't be read")),
            _ => Err(Violations(self.violations)),
        }
    }
}
