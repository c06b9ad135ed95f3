//! Chooses the changes whose events are shown, few enough for a person to follow. Pure.

use hashbrown::{HashMap, HashSet};

use super::{arrival, factory};
use crate::{consumers::Received, twins::ledger};

/// How many sensor readings that were committed in one second are shown.
const READINGS_PER_SECOND: usize = 1;

/// How many other changes.
const OTHERS_PER_SECOND: usize = 2;

/// The choice is by change, so that one that is shown is shown at every sink.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// The positions of what is shown.
    chosen: HashSet<String>,
    /// How many readings and others were chosen, by the second of their commit.
    used: HashMap<i64, (usize, usize)>,
}

impl Sample {
    /// Whether this event is one to show.
    pub(super) fn shows(&mut self, event: &Received) -> bool {
        if is_marker_row(event) {
            return false;
        }
        if self.chosen.contains(&event.sequence) {
            return true;
        }
        let (readings, others) = self.used.entry(event.time.as_second()).or_default();
        let (used, limit) =
            if is_reading(event) { (readings, READINGS_PER_SECOND) } else { (others, OTHERS_PER_SECOND) };
        let free = *used < limit;
        if free {
            *used += 1;
            self.chosen.insert(event.sequence.clone());
        }
        free
    }
}

/// The demo's own bookkeeping, which a row of the history shows alone.
fn is_marker_row(event: &Received) -> bool {
    arrival::short_type(event) == "Property.Event"
        && arrival::text(&arrival::data(event), "Key") == ledger::MARKER
}

fn is_reading(event: &Received) -> bool {
    let data = arrival::data(event);
    let is_reading = |name: &str| factory::READINGS.contains(&name);
    match arrival::operations(&data) {
        Some(operations) => operations.iter().any(|(_, property, _)| is_reading(property)),
        None => is_reading(arrival::text(&data, "Key")),
    }
}
