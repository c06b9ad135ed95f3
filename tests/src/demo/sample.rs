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
        None => arrival::text(&data, "Action") == "Replace" && is_reading(arrival::text(&data, "Key")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;
    use crate::consumers::Sink;

    /// A reading that was committed in second `at`.
    fn reading(sink: Sink, sequence: &str, at: i64) -> Result<Received, Box<dyn std::error::Error>> {
        let patch = json!([{"op": "replace", "path": "/Temperature", "value": 21.5}]);
        Ok(Received {
            sink,
            id: String::new(),
            source: String::new(),
            type_: "Konnektr.DigitalTwins.Twin.Update".to_owned(),
            subject: String::new(),
            key: String::new(),
            sequence: sequence.to_owned(),
            time: jiff::Timestamp::from_second(at)?,
            data: to_raw_value(&json!({"patch": patch}))?,
            wire: "".into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn what_is_shown_is_shown_at_every_sink() -> Result<(), Box<dyn std::error::Error>> {
        let mut sample = Sample::default();
        for (sink, sequence, second, shown) in [
            (Sink::Kafka, "1", 0, true),
            (Sink::Kafka, "2", 0, false),
            (Sink::Mqtt, "2", 0, false),
            (Sink::Mqtt, "1", 0, true),
            (Sink::Kafka, "3", 1, true),
        ] {
            let event = reading(sink, sequence, second)?;
            assert_eq!(sample.shows(&event), shown, "{sequence} at {sink:?}");
        }
        Ok(())
    }
}
