//! The operations on the store that holds a backlog, and what comes of them.

use bytes::Bytes;

use super::claim::{Claim, Listed};

/// An operation on the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// List the folder, and read its newest claim.
    List,
    /// Create an object, which must not be there.
    Claim(String, Bytes),
    /// Write an object.
    Write(String, Bytes),
    /// Read a segment, and which of its events are delivered, from two objects.
    Read(String, String),
    /// Give an object, the first, another name, the second.
    Rename(String, String),
    /// Delete objects.
    Delete(Vec<String>),
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The objects of the folder, and the content of its newest claim.
    Listed(Vec<Listed>, Option<Claim>),
    /// It is done.
    Done,
    /// The segment, and the indexes of its events that are delivered; `None` when there is no such object.
    Read(Option<Bytes>, Vec<u32>),
    /// It failed, and is to be tried again.
    Failed(String),
}
