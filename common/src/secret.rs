//! Secrets: a value, or a reference to one (`env:NAME`, `file:/path`) that is resolved only where it is allowed.

mod policy;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use policy::{SecretError, SecretPolicy};

/// What stands where an inline secret must not be shown.
pub const REDACTED: &str = "[redacted]";

/// A secret as it is configured. `Debug`, `Display` and `Serialize` show references, never values.
#[derive(Clone)]
pub enum Secret {
    /// The value itself; empty: nothing is configured.
    Value(SecretString),
    /// `env:NAME` or `file:/path`, for a [`SecretPolicy`] to resolve.
    Reference(String),
}

impl Secret {
    /// Reads `env:…` and `file:…` as references, anything else as the value.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        match text.split_once(':') {
            Some(("env" | "file", _)) => Self::Reference(text),
            _ => Self::Value(text.into()),
        }
    }

    /// Whether nothing is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Value(value) if value.expose_secret().is_empty())
    }
}

impl Default for Secret {
    /// Nothing configured.
    fn default() -> Self {
        Self::Value(String::new().into())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) if value.expose_secret().is_empty() => Ok(()),
            Self::Value(_) => f.write_str(REDACTED),
            Self::Reference(reference) => f.write_str(reference),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(left), Self::Value(right)) => left.expose_secret() == right.expose_secret(),
            (Self::Reference(left), Self::Reference(right)) => left == right,
            (Self::Value(_), Self::Reference(_)) | (Self::Reference(_), Self::Value(_)) => false,
        }
    }
}

impl Eq for Secret {}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_hidden_and_a_reference_is_shown() {
        let shown = |text: &str| {
            let secret = Secret::new(text);
            (
                format!("{secret:?}"),
                serde_json::to_string(&secret).ok(),
                matches!(secret, Secret::Reference(_)),
            )
        };
        assert_eq!(shown("hunter2"), ("Secret([redacted])".into(), Some(r#""[redacted]""#.into()), false));
        assert_eq!(shown("env:A"), ("Secret(env:A)".into(), Some(r#""env:A""#.into()), true));
        assert_eq!(shown("file:/a"), ("Secret(file:/a)".into(), Some(r#""file:/a""#.into()), true));
        assert_eq!(shown(""), ("Secret()".into(), Some(r#""""#.into()), false));
    }

    #[test]
    fn a_value_with_a_colon_is_a_value() {
        assert_eq!(Secret::new("postgres://u:p@h"), Secret::Value("postgres://u:p@h".into()));
    }
}
