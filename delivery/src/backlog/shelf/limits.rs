//! The limits of a shelf, and what its endpoint lets it do.

use std::time::Duration;

use twinroute_common::backoff::Backoff;

/// Limits of a shelf.
#[derive(Clone, Debug)]
pub struct ShelfLimits {
    /// A segment is written when so many bytes wait.
    pub segment_bytes_max: u64,
    /// And when the first of them has waited so long.
    pub segment_linger: Duration,
    /// So long after the claim an operation of a former holder may still come to its end.
    pub former_ends: Duration,
    /// Waits after a failed operation.
    pub backoff: Backoff,
}

/// What an endpoint lets its shelves do now.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// New events are parked, since the destination does not take them.
    pub park: bool,
    /// Bytes that may be read.
    pub read_bytes: u64,
    /// Bytes that may be written, up to the endpoint's bound.
    pub write_bytes: u64,
    /// Bytes of the copy that may be made to be written.
    pub copy_bytes: u64,
}
