//! Why a request is refused, and the gRPC status that says so.

use std::path::Path;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use twinroute_common::route::Violations;

/// Why a request is refused. Each says what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields hold what they can't.
    #[error("{0}")]
    Invalid(Violations),
    /// There is no such resource.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What it would be.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("there is a {kind} `{name}` already; change it, or take another name")]
    AlreadyExists {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The caller saw an older form.
    #[error("the {kind} `{name}` was changed meanwhile; its etag is now `{present}`: read it again")]
    EtagMismatch {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its present etag.
        present: String,
    },
    /// It is not so that this can be done.
    #[error("{0}")]
    Precondition(String),
    /// There are as many as there may be.
    #[error("there are {max} {kind}s already, which is {key}; {}, or raise the limit", kind.remedy())]
    TooMany {
        /// What they are.
        kind: Kind,
        /// The limit.
        max: usize,
        /// Its configuration key.
        key: &'static str,
    },
}

/// The kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A destination.
    Endpoint,
    /// A route.
    EventRoute,
    /// An event that could not be delivered.
    DeadLetter,
    /// A job that sends dead letters again.
    RedriveJob,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Endpoint => "endpoint",
            Self::EventRoute => "event route",
            Self::DeadLetter => "dead letter",
            Self::RedriveJob => "redrive job",
        })
    }
}

impl Kind {
    /// How there can be one less of them.
    fn remedy(self) -> &'static str {
        match self {
            Self::Endpoint | Self::EventRoute | Self::DeadLetter => "delete one",
            Self::RedriveJob => "wait for the end of one, or cancel one",
        }
    }
}

impl Refusal {
    /// A single field holds what it can't.
    #[must_use]
    pub fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid(Violations::one(field, reason))
    }

    /// The bootstrap file is the truth for the resource.
    #[must_use]
    pub fn file_managed(kind: Kind, name: &str, path: &Path) -> Self {
        let path = path.display();
        Self::Precondition(format!(
            "the {kind} `{name}` stands in the bootstrap file {path}: change it there and start routes-api again"
        ))
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Invalid(violations) => {
                let fields = violations.as_slice().iter();
                let fields: Vec<_> =
                    fields.map(|it| FieldViolation::new(it.field.clone(), it.reason.clone())).collect();
                let details = ErrorDetails::with_bad_request(fields);
                Self::with_error_details(Code::InvalidArgument, message, details)
            }
            Refusal::NotFound { .. } => Self::not_found(message),
            Refusal::AlreadyExists { .. } => Self::already_exists(message),
            Refusal::EtagMismatch { .. } => Self::aborted(message),
            Refusal::Precondition(_) => Self::failed_precondition(message),
            Refusal::TooMany { .. } => Self::resource_exhausted(message),
        }
    }
}
