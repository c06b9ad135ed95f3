//! The parked backlog: what a broken destination does not take waits here, durably, in an object store.
//!
//! The modules stand in the order of a backlog's life: what its objects are called, what a new holder of a partition
//! takes over, how events are written, what happens next, and where.

pub mod name;
pub mod claim;
pub(crate) mod checksum;
pub mod segment;
pub mod operation;
pub mod shelf;
pub mod store;

#[cfg(test)]
mod model;
