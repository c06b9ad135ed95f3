//! Why a text is no JSON document.

use super::DEPTH_MAX;

/// The text cannot be read as JSON. Reading it again gives the same error. Offsets are in bytes from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is not UTF-8.
    #[error("not UTF-8 at byte {offset}")]
    Encoding {
        /// Where the first wrong byte is.
        offset: usize,
    },
    /// The text does not follow the grammar.
    #[error("not JSON: {expected} expected at byte {offset}")]
    Syntax {
        /// Where reading stopped.
        offset: usize,
        /// What would have been right.
        expected: &'static str,
    },
    /// A `\u` escape is half of a surrogate pair without its other half.
    #[error("lone surrogate at byte {offset}")]
    LoneSurrogate {
        /// Where the string is.
        offset: usize,
    },
    /// Arrays and objects are nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} at byte {offset}")]
    TooDeep {
        /// Where the first array or object beyond the bound begins.
        offset: usize,
    },
    /// The text has 4 GiB or more.
    #[error("{bytes} bytes are too long for one document")]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
}
