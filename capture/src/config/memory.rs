//! Section `memory`: the one limit that all others must fit into.

use serde::{Deserialize, Serialize};
use twinroute_common::config::Problem;

use super::StreamSettings;
use crate::decode::window::{ROW_BYTES, WINDOW_BYTES_MAX, WINDOW_ROWS_MAX};

const MIB: u64 = 1 << 20;

/// The program itself in bytes: its code, threads, connections, and what the allocator keeps.
const PROGRAM_BYTES: u64 = 16 * MIB;

/// What the rows of a transaction's open window take beside their text, in bytes: 80 MiB.
const ROWS_BYTES: u64 = WINDOW_ROWS_MAX as u64 * ROW_BYTES;

/// Section `memory`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// What the process may hold, in bytes. What the configured subscription may take is compared with it at the start;
    /// all others have what is left ([`crate::pressure`]).
    pub bytes_max: u64,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { bytes_max: 256 * MIB }
    }
}

/// What a subscription may hold at most, in bytes. Its items twice: as they wait for their acknowledgement, and on their way
/// to a consumer. Reading stops at `unacked_bytes_max` items, when a window may be open, and a row with its old and
/// its new document be read.
fn subscription_bytes(stream: &StreamSettings) -> u64 {
    let row = stream.event_bytes_max.saturating_mul(2);
    let items = stream.unacked_bytes_max.saturating_add(WINDOW_BYTES_MAX as u64).saturating_add(row);
    items.saturating_mul(2).saturating_add(ROWS_BYTES)
}

impl MemorySettings {
    /// The bounds of the stream fit into the limit.
    pub(super) fn problem(&self, stream: &StreamSettings) -> Option<Problem> {
        let needed = subscription_bytes(stream).saturating_add(PROGRAM_BYTES);
        let mib = |bytes: u64| bytes.div_ceil(MIB);
        (self.bytes_max < needed).then(|| {
            let message = format!(
                "{} MiB is less than what the other bounds may take: {} MiB for the program and the rows of a transaction, \
                 + 2 × (stream.unacked_bytes_max {} MiB + a transaction's window {} MiB + 2 × stream.event_bytes_max {} MiB) \
                 = {} MiB. Set it to {needed} or more, or lower one of these",
                self.bytes_max / MIB,
                mib(PROGRAM_BYTES + ROWS_BYTES),
                mib(stream.unacked_bytes_max),
                mib(WINDOW_BYTES_MAX as u64),
                mib(stream.event_bytes_max),
                mib(needed),
            );
            Problem::new("memory.bytes_max", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_exactly() {
        let stream = StreamSettings::default();
        assert_eq!(MemorySettings::default().problem(&stream), None);
        let less = MemorySettings { bytes_max: MemorySettings::default().bytes_max - 1 };
        assert!(less.problem(&stream).is_some());
    }

    #[test]
    fn documents_of_64_mib_need_512_mib() {
        let stream = StreamSettings { event_bytes_max: 64 * MIB, ..StreamSettings::default() };
        assert_eq!(MemorySettings { bytes_max: 512 * MIB }.problem(&stream), None);
        let problem = MemorySettings::default().problem(&stream).map(|problem| problem.to_string());
        assert_eq!(
            problem.unwrap_or_default(),
            "memory.bytes_max: 256 MiB is less than what the other bounds may take: 96 MiB for the program and the rows of \
             a transaction, + 2 × (stream.unacked_bytes_max 32 MiB + a transaction's window 16 MiB + 2 × \
             stream.event_bytes_max 64 MiB) = 448 MiB. Set it to 469762048 or more, or lower one of these"
        );
    }

    #[test]
    fn bounds_beyond_any_number_are_refused_too() {
        let stream = StreamSettings { unacked_bytes_max: u64::MAX, ..StreamSettings::default() };
        assert!(MemorySettings::default().problem(&stream).is_some());
    }
}
