//! Why a change cannot be rendered.

use std::fmt;

use crate::json::ParseError;

/// Which of a change's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one before the change.
    Old,
    /// The one after the change.
    New,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

/// The event breaks a promise of the capture stream. Rendering it again gives the same error, so treat it as poison.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// The operation needs a document that the event does not have.
    #[error("the event has no {0} document")]
    Missing(Side),
    /// A document is not JSON.
    #[error("the {side} document cannot be read")]
    Unreadable {
        /// Which one.
        side: Side,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// A document is JSON, but no object.
    #[error("the {0} document is not an object")]
    NotAnObject(Side),
}
