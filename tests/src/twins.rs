//! A graph of digital twins in PostgreSQL with AGE, written as the twins' API writes it: through
//! Cypher, documents with `$etag` and `$metadata`, one ledger entry per change.

pub mod bulk;
pub mod cypher;
pub mod document;
pub mod graph;
pub mod ledger;

pub use self::{
    document::{Relationship, Twin},
    graph::{Change, Graph},
};
