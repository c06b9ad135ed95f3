//! Section `memory`: the one limit that all others must fit into, and how it is divided.

use serde::{Deserialize, Serialize};
use twinroute_common::config::Problem;

use super::StreamSettings;
use crate::space::{Space, Spaces};

const MIB: u64 = 1 << 20;

/// The program itself in bytes: its code, threads, connections, queues, and what the allocator keeps.
const PROGRAM_BYTES: u64 = 64 * MIB;

/// Parts of the limit, in sixteenths: copies of events that are with sinks, segments that are being written, segments that
/// are read back.
const IN_FLIGHT_SIXTEENTHS: u64 = 3;
const WRITTEN_SIXTEENTHS: u64 = 1;
const READ_SIXTEENTHS: u64 = 2;
const COPIES_SIXTEENTHS: u64 = IN_FLIGHT_SIXTEENTHS + WRITTEN_SIXTEENTHS + READ_SIXTEENTHS;

/// Section `memory`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// What the process may hold, in bytes. What its parts may take is compared with it at the start, and the largest event
    /// of capture when the stream begins.
    pub bytes_max: u64,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { bytes_max: 256 * MIB }
    }
}

/// What items may take at most, in bytes: as they came, and rendered. The last one that there is credit for may be as large as
/// an event can be, with its old and its new document, and is rendered once more.
fn items_bytes(stream: &StreamSettings, event_bytes_max: u64) -> u64 {
    stream.credit_bytes_max.saturating_mul(2).saturating_add(event_bytes_max.saturating_mul(3))
}

impl MemorySettings {
    /// What endpoints share.
    #[must_use]
    pub fn spaces(&self) -> Spaces {
        let space = |sixteenths| Space::new(self.bytes_max / 16 * sixteenths);
        Spaces {
            in_flight: space(IN_FLIGHT_SIXTEENTHS),
            written: space(WRITTEN_SIXTEENTHS),
            read: space(READ_SIXTEENTHS),
        }
    }

    /// The limit has room for a capture with documents of so many bytes.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub fn fits(&self, stream: &StreamSettings, event_bytes_max: u64) -> Result<(), String> {
        let items = items_bytes(stream, event_bytes_max);
        let needed = items.saturating_add(PROGRAM_BYTES).div_ceil(16 - COPIES_SIXTEENTHS).saturating_mul(16);
        if needed <= self.bytes_max {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(MIB);
        Err(format!(
            "{} MiB is less than what the other bounds may take: {} MiB for the program, + 2 × stream.credit_bytes_max {} MiB, + 3 × \
             capture's stream.event_bytes_max {} MiB, which may be {} sixteenths of it = {} MiB. Set it to {needed} or more, or \
             lower one of these",
            self.bytes_max / MIB,
            mib(PROGRAM_BYTES),
            mib(stream.credit_bytes_max),
            mib(event_bytes_max),
            16 - COPIES_SIXTEENTHS,
            mib(needed),
        ))
    }

    /// The bounds of the stream fit into the limit, as far as is known without capture.
    pub(super) fn problem(&self, stream: &StreamSettings) -> Option<Problem> {
        self.fits(stream, 0).err().map(|message| Problem::new("memory.bytes_max", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_exactly_with_the_default_of_capture() {
        let (memory, stream) = (MemorySettings::default(), StreamSettings::default());
        assert_eq!(memory.problem(&stream), None);
        assert_eq!(memory.fits(&stream, 16 * MIB), Ok(()));
        assert!(memory.fits(&stream, 16 * MIB + 1).is_err());
    }

    #[test]
    fn documents_of_64_mib_need_512_mib() {
        let stream = StreamSettings::default();
        assert_eq!(MemorySettings { bytes_max: 512 * MIB }.fits(&stream, 64 * MIB), Ok(()));
        assert_eq!(
            MemorySettings::default().fits(&stream, 64 * MIB).unwrap_err(),
            "256 MiB is less than what the other bounds may take: 64 MiB for the program, + 2 × stream.credit_bytes_max 24 MiB, \
             + 3 × capture's stream.event_bytes_max 64 MiB, which may be 10 sixteenths of it = 487 MiB. Set it to 510027376 or \
             more, or lower one of these"
        );
    }

    #[test]
    fn bounds_beyond_any_number_are_refused_too() {
        let stream = StreamSettings { credit_bytes_max: u64::MAX, ..StreamSettings::default() };
        assert!(MemorySettings::default().problem(&stream).is_some());
    }
}
