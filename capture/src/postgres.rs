//! What capture keeps and needs in PostgreSQL: its lock, its row, its slot, the publication, the labels' identities.

pub mod control;
pub mod labels;
pub mod row;
pub mod slot;
mod sql;

pub use control::{Control, ControlError};
