//! A row as pgoutput sends it: what changed, and its columns as text.

use bytes::Bytes;

/// How a row changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// It was inserted.
    Insert(Tuple),
    /// It was updated: the row before, if it was sent, and the row after.
    Update(Option<OldTuple>, Tuple),
    /// It was deleted.
    Delete(OldTuple),
}

/// The row before a change.
#[derive(Debug, PartialEq, Eq)]
pub enum OldTuple {
    /// All columns (replica identity FULL).
    Full(Tuple),
    /// The key's columns only.
    Key(Tuple),
}

/// The columns of a row.
pub type Tuple = Vec<Value>;

/// One column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A TOASTed value that did not change and was not sent.
    Unchanged,
    /// The value as text.
    Text(Text),
}

/// The text of a column, as far as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text, or its beginning.
    pub kept: Bytes,
    /// Size of the whole text, in bytes.
    pub size_bytes: usize,
}

impl Change {
    /// The row after.
    #[must_use]
    pub fn new_tuple(&self) -> Option<&Tuple> {
        match self {
            Self::Insert(new) | Self::Update(_, new) => Some(new),
            Self::Delete(_) => None,
        }
    }

    /// The row before: all columns, or the key's only.
    #[must_use]
    pub fn old_tuple(&self) -> Option<&Tuple> {
        match self {
            Self::Update(Some(OldTuple::Full(old) | OldTuple::Key(old)), _)
            | Self::Delete(OldTuple::Full(old) | OldTuple::Key(old)) => Some(old),
            Self::Insert(_) | Self::Update(None, _) => None,
        }
    }

    /// The row before, if all its columns were sent.
    #[must_use]
    pub fn full_old_tuple(&self) -> Option<&Tuple> {
        match self {
            Self::Update(Some(OldTuple::Full(old)), _) | Self::Delete(OldTuple::Full(old)) => Some(old),
            Self::Insert(_) | Self::Update(..) | Self::Delete(OldTuple::Key(_)) => None,
        }
    }

    /// Size of all columns as sent, in bytes.
    #[must_use]
    pub fn column_bytes(&self) -> usize {
        let tuples = self.old_tuple().into_iter().chain(self.new_tuple());
        tuples.flatten().filter_map(Value::text).map(|text| text.size_bytes).sum()
    }
}

impl Value {
    /// The text, if there is one.
    #[must_use]
    pub fn text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Unchanged => None,
        }
    }
}

impl Text {
    /// A text that was kept whole.
    #[must_use]
    pub fn whole(text: Bytes) -> Self {
        Self { size_bytes: text.len(), kept: text }
    }
}
