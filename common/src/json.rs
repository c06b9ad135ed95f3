//! A JSON document as a tree that borrows its text: every value keeps the characters it was written with.
//!
//! Numbers and strings can so be copied to the output as they stand, and members keep their order. The tree is one array
//! of nodes in the order of the text; an object's or array's children follow it. Of members with the same name the last
//! one counts, as in `jsonb`.

mod error;
mod finder;
mod number;
mod parser;
mod same;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub use error::ParseError;
pub use finder::Finder;
pub(crate) use number::compare as compare_numbers;
pub use text::Text;
pub use value::{Kind, Value};

use value::{NOTHING, Node};

/// Deepest nesting of arrays and objects that is read; bounds the stack that work on a document takes.
pub const DEPTH_MAX: usize = 128;

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Document<'t> {
    nodes: Vec<Node<'t>>,
}

impl<'t> Document<'t> {
    /// Reads JSON (RFC 8259) in UTF-8.
    ///
    /// # Errors
    /// The text is not JSON, is nested deeper than [`DEPTH_MAX`], has a lone surrogate, or has 4 GiB or more.
    pub fn parse(text: &'t [u8]) -> Result<Self, ParseError> {
        let text =
            str::from_utf8(text).map_err(|error| ParseError::Encoding { offset: error.valid_up_to() })?;
        Ok(Self { nodes: parser::nodes_of(text)? })
    }

    /// The value that the whole text is.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        let (root, below) = self.nodes.split_first().unwrap_or((&NOTHING, &[]));
        Value::new(root, below)
    }
}
