//! Reads a row's `properties` as a JSON document: checks it once for everybody, and finds out which entity it describes.

use std::borrow::Cow;

use bytes::Bytes;

use super::agtype::{self, Unreadable};

/// How the text of a `properties` column is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// AGE's `agtype`: JSON with suffixes such as `::numeric`, and `NaN`, `Infinity`, `-Infinity`.
    Agtype,
    /// `json`, `jsonb` and `text`: JSON as in RFC 8259.
    Json,
}

/// A checked document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The document as JSON text in UTF-8.
    pub json: Bytes,
    /// What names the entity.
    pub marks: Marks,
}

/// The top-level members that say which entity a document describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `$dtId`.
    pub twin_id: Option<Mark>,
    /// `$relationshipId`.
    pub relationship_id: Option<Mark>,
    /// `$sourceId`.
    pub source_id: Option<Mark>,
    /// `id`.
    pub id: Option<Mark>,
    /// `$metadata` is there.
    pub has_metadata: bool,
    /// `model` is there.
    pub has_model: bool,
}

/// The value of a naming member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A string without escapes: a slice of the row.
    Plain(Bytes),
    /// A string that had escapes, or that must not hold on to the row.
    Owned(String),
    /// Something else than a string, which names nothing.
    NoString,
}

impl Mark {
    /// The string; `None` for another value. The scan has checked that it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => std::str::from_utf8(text).ok(),
            Self::Owned(text) => Some(text),
            Self::NoString => None,
        }
    }
}

impl Document {
    /// Reads `text` as a document.
    ///
    /// # Errors
    /// [`Unreadable`] with the reason and the marks found so far.
    pub fn read(text: &Bytes, notation: Notation) -> Result<Self, Unreadable> {
        let agtype::Scan { json, mut marks } = agtype::scan(text, notation)?;
        let json = match json {
            Cow::Borrowed(_) => text.clone(),
            Cow::Owned(rewritten) => {
                marks.let_go();
                rewritten.into()
            }
        };
        Ok(Self { json, marks })
    }
}

impl Marks {
    /// The row's text is not held on to any more.
    fn let_go(&mut self) {
        let marks = [&mut self.twin_id, &mut self.relationship_id, &mut self.source_id, &mut self.id];
        for mark in marks.into_iter().flatten() {
            if let Mark::Plain(text) = mark {
                *mark = Mark::Owned(String::from_utf8_lossy(text).into_owned());
            }
        }
    }
}
