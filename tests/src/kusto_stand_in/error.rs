//! What the stand-in refuses, in the codes of Kusto.

use serde_json::{Value, json};

/// A request that is refused for good: HTTP 400.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn syntax(message: impl Into<String>) -> Self {
        Self { code: "BadRequest_SyntaxError", message: message.into() }
    }

    pub(super) fn not_found(kind: &str, name: &str) -> Self {
        Self {
            code: "BadRequest_EntityNotFound",
            message: format!("Entity ID '{name}' of kind '{kind}' was not found."),
        }
    }

    pub(super) fn exists_already(kind: &str, name: &str) -> Self {
        Self {
            code: "BadRequest_EntityAlreadyExists",
            message: format!("Entity ID '{name}' of kind '{kind}' already exists."),
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: "BadRequest_InvalidArgument", message: message.into() }
    }

    pub(super) fn internal(error: &anyhow::Error) -> Self {
        Self { code: "InternalServiceError", message: format!("{error:#}") }
    }

    /// The body of the answer, in Microsoft's OneAPI form, which Kusto's clients read.
    pub(super) fn body(&self) -> Value {
        json!({"error": {
            "code": self.code,
            "message": "Request is invalid and cannot be executed.",
            "@type": "Kusto.DataNode.Exceptions.KustoBadRequestException",
            "@message": self.message,
            "@permanent": true,
        }})
    }
}
