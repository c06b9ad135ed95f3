//! What comes of a stream through a route or endpoint that changes: one phase after the other, each from one position on.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, ensure};
use twinroute_common::partition::partition_of;
use twinroute_tests::consumers::Received;

/// Partitions of the workers' subscription.
pub(crate) const PARTITIONS: u32 = 64;

/// What holds from one change to the next.
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// How an event of a key comes; `None` when it does not.
    pub(crate) comes: fn(&str) -> Option<&'static str>,
}

/// How each event has come that has, by its `sequence`: its id is another one under another type.
pub(crate) type Came = HashMap<String, String>;

/// Takes note of how each event of the prefix has come; none may have come twice, and those of a key come in their order.
pub(crate) fn came(prefix: &str, received: &[Received], how: impl Fn(&Received) -> String) -> Result<Came> {
    let mut came = Came::new();
    let mut last: HashMap<&str, &str> = HashMap::new();
    for event in received.iter().filter(|event| event.key.starts_with(prefix)) {
        let before = came.insert(event.sequence.clone(), how(event));
        ensure!(
            before.is_none(),
            "an event of {} came twice, first as {before:?}: {}",
            event.key,
            event.sequence
        );
        let seen = last.insert(&event.key, &event.sequence);
        ensure!(seen < Some(&event.sequence), "of {} came {} after {seen:?}", event.key, event.sequence);
    }
    Ok(came)
}

/// Finds, in each partition, the events of a stream that belong to each phase: all phases, in their order, each from one
/// position to another without a hole. Gives back how many events came.
pub(crate) fn follow(stream: &[Received], came: &Came, phases: &[Phase]) -> Result<usize> {
    let mut partitions: BTreeMap<u32, Vec<&Received>> = BTreeMap::new();
    for event in stream {
        partitions.entry(partition_of(&event.key, PARTITIONS)).or_default().push(event);
    }
    let mut known = 0;
    for (partition, mut events) in partitions {
        events.sort_by(|one, other| one.sequence.cmp(&other.sequence));
        let mut ahead = phases.iter();
        let mut phase = ahead.next().context("no phases")?;
        let mut before = "nothing";
        for event in events {
            let how = came.get(&event.sequence).map(String::as_str);
            known += usize::from(how.is_some());
            if (phase.comes)(&event.key) != how {
                let next = ahead.next().filter(|next| (next.comes)(&event.key) == how);
                let (key, sequence) = (&event.key, &event.sequence);
                phase = next.with_context(|| {
                    format!(
                        "partition {partition}, {}: {key} at {sequence} came as {how:?}, before it {before}",
                        phase.name
                    )
                })?;
            }
            before = &event.sequence;
        }
        let left: Vec<_> = ahead.map(|phase| phase.name).collect();
        ensure!(left.is_empty(), "partition {partition} ends in {}, and not yet had {left:?}", phase.name);
    }
    ensure!(known == came.len(), "{} events came that are not of the stream", came.len() - known);
    Ok(known)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use twinroute_tests::consumers::Sink;

    use super::*;

    const PHASES: [Phase; 3] = [
        Phase { name: "before", comes: |_| None },
        Phase { name: "on", comes: |_| Some("on") },
        Phase { name: "half", comes: |key| (key == "twin-1").then_some("on") },
    ];

    fn event(key: &str, number: usize) -> Received {
        Received {
            sink: Sink::Kafka,
            id: number.to_string(),
            source: String::new(),
            type_: String::new(),
            subject: String::new(),
            key: key.to_owned(),
            sequence: format!("{number:04}"),
            time: jiff::Timestamp::UNIX_EPOCH,
            data: RawValue::NULL.to_owned(),
            wire: "".into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// Twins of one partition in turn; what came is given by number.
    fn followed(numbers: &[usize]) -> Result<usize> {
        let other = (2..)
            .map(|n| format!("twin-{n}"))
            .find(|key| partition_of(key, PARTITIONS) == partition_of("twin-1", PARTITIONS));
        let keys = ["twin-1".to_owned(), other.context("no key")?];
        let stream: Vec<_> = keys.iter().cycle().take(12).enumerate().map(|(n, key)| event(key, n)).collect();
        let arrived: Vec<_> = numbers.iter().filter_map(|n| stream.get(*n).cloned()).collect();
        let came = came("twin", &arrived, |_| "on".to_owned())?;
        follow(&stream, &came, &PHASES)
    }

    #[test]
    fn phases_in_their_order_are_followed() -> Result<()> {
        assert_eq!(followed(&[3, 4, 5, 6, 7, 8, 10])?, 7);
        Ok(())
    }

    #[test]
    fn a_hole_a_repeat_an_order_that_goes_back_and_a_phase_that_never_came_are_told() {
        for (numbers, told) in [
            (vec![3, 4, 6, 7, 8, 10], "came as"),
            (vec![3, 4, 5, 6, 7, 8, 10, 4], "twice"),
            (vec![3, 6, 4, 5, 7, 8, 10], "after"),
            (vec![3, 4, 5, 6, 7, 8, 9, 10, 11], "not yet had"),
            (vec![1, 3, 4, 5, 6, 7, 8, 10], "came as"),
        ] {
            let error = followed(&numbers).unwrap_err().to_string();
            assert!(error.contains(told), "{numbers:?}: {error}");
        }
    }
}
