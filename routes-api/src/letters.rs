//! The dead letters of an endpoint: opened by its own credential, found, and deleted.

mod container;
mod page;
mod purge;

pub use container::open;
pub use page::{Found, Page, page};
pub use purge::{Purged, purge};

/// Letters read or deleted at a time: a store far away answers in a tenth of a second, so that is 160 a second.
const CALLS_MAX: usize = 16;
/// Names of letters held at a time.
const NAMES_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
