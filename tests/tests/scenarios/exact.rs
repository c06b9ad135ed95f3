//! Events byte for byte as they must arrive at each sink, but for `id` and `sequence`, of which the
//! form is compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::value::RawValue;
use twinroute_tests::{
    consumers::{Received, Sink},
    stack::SOURCE,
};

/// Start of every type.
const TYPE_PREFIX: &str = "Konnektr.DigitalTwins.";

/// Digits of a sequence: incarnation, commit LSN, change LSN, ordinal.
const SEQUENCE_DIGITS: usize = 16 + 16 + 16 + 8;

/// Columns of the tables with the member each is filled from.
type Columns = [(&'static str, Cell, &'static str)];

/// What Kusto makes of a member that is null or missing.
#[derive(Clone, Copy)]
enum Cell {
    /// An empty text.
    Text,
    /// Null.
    Other,
}

const PROPERTY_EVENTS: &Columns = &[
    ("TimeStamp", Cell::Other, "timeStamp"),
    ("SourceTimeStamp", Cell::Other, "sourceTimeStamp"),
    ("ServiceId", Cell::Text, "serviceId"),
    ("Id", Cell::Text, "twinId"),
    ("ModelId", Cell::Text, "modelId"),
    ("Key", Cell::Text, "propertyName"),
    ("Value", Cell::Other, "propertyValue"),
    ("RelationshipTarget", Cell::Text, "relationshipTarget"),
    ("RelationshipId", Cell::Text, "relationshipId"),
    ("Action", Cell::Text, "operation"),
];
const TWIN_LIFE_CYCLE_EVENTS: &Columns = &[
    ("TwinId", Cell::Text, "twinId"),
    ("Action", Cell::Text, "action"),
    ("TimeStamp", Cell::Other, "timeStamp"),
    ("ServiceId", Cell::Text, "serviceId"),
    ("ModelId", Cell::Text, "modelId"),
];
const RELATIONSHIP_LIFE_CYCLE_EVENTS: &Columns = &[
    ("RelationshipId", Cell::Text, "relationshipId"),
    ("Name", Cell::Text, "name"),
    ("Action", Cell::Text, "action"),
    ("TimeStamp", Cell::Other, "timeStamp"),
    ("ServiceId", Cell::Text, "serviceId"),
    ("Source", Cell::Text, "source"),
    ("Target", Cell::Text, "target"),
];

/// An event that must arrive.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    time: String,
    type_: String,
    subject: String,
    data: String,
}

/// An event of a change committed at `time`. In `data`, `TIME` and `SOURCE` stand for the commit
/// time and the instance.
pub(crate) fn told(time: &str, type_: &str, subject: &str, data: &str) -> Told {
    Told {
        time: time.to_owned(),
        type_: format!("{TYPE_PREFIX}{type_}"),
        subject: subject.to_owned(),
        data: data.replace("TIME", time).replace("SOURCE", SOURCE),
    }
}

/// Compares all that arrived of `key` at one sink; gives back the ids.
///
/// # Errors
/// With the first difference.
pub(crate) fn compare(key: &str, expected: &[Told], received: &[Received]) -> Result<BTreeSet<String>> {
    let mut by_scope: BTreeMap<&str, Vec<&Received>> = BTreeMap::new();
    for arrival in received.iter().filter(|arrival| arrival.key == key) {
        // Kusto's tables have no order among themselves.
        let scope = if arrival.sink == Sink::Kusto { arrival.type_.as_str() } else { "" };
        by_scope.entry(scope).or_default().push(arrival);
    }
    let sink = received.first().with_context(|| format!("nothing of {key}"))?.sink;
    let mut expected_by_scope: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for told in expected {
        let scope = if sink == Sink::Kusto { told.table()?.0 } else { "" };
        expected_by_scope.entry(scope).or_default().push(told);
    }
    let mut ids = BTreeSet::new();
    for scope in by_scope.keys().chain(expected_by_scope.keys()).collect::<BTreeSet<_>>() {
        let arrived = by_scope.get(*scope).map_or(&[][..], Vec::as_slice);
        let expected = expected_by_scope.get(*scope).map_or(&[][..], Vec::as_slice);
        let mut last_sequence = "";
        for (arrival, told) in arrived.iter().zip(expected) {
            let wire = told.wire(key, arrival)?;
            ensure!(*arrival.wire == *wire, "arrived:\n{}\nexpected:\n{wire}", arrival.wire);
            check_form(arrival)?;
            ensure!(arrival.sequence.as_str() >= last_sequence, "{} goes back", arrival.sequence);
            last_sequence = &arrival.sequence;
            ids.insert(arrival.id.clone());
        }
        let wires: Vec<_> = arrived.iter().map(|arrival| &*arrival.wire).collect();
        let (found, wanted) = (arrived.len(), expected.len());
        ensure!(found == wanted, "{found} instead of {wanted} events {scope}:\n{}", wires.join("\n\n"));
    }
    ensure!(ids.len() == expected.len(), "{} ids for {} events", ids.len(), expected.len());
    Ok(ids)
}

fn check_form(arrival: &Received) -> Result<()> {
    let id: uuid::Uuid = arrival.id.parse().with_context(|| format!("id {}", arrival.id))?;
    ensure!(id.get_version_num() == 5 && id.to_string() == arrival.id, "id {id} is not of version 5");
    let digits = arrival.sequence.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = digits && arrival.sequence.len() == SEQUENCE_DIGITS;
    ensure!(fits, "sequence {} is not of fixed width", arrival.sequence);
    Ok(())
}

impl Told {
    /// What must arrive, with the id and the sequence of what did.
    fn wire(&self, key: &str, arrival: &Received) -> Result<String> {
        let Self { time, type_, subject, data } = self;
        let (id, sequence) = (&arrival.id, &arrival.sequence);
        Ok(match arrival.sink {
            Sink::Kafka => format!(
                "key: {key}\nce_specversion: 1.0\nce_id: {id}\nce_source: {SOURCE}\nce_type: {type_}\n\
                 ce_subject: {subject}\nce_time: {time}\nce_sequence: {sequence}\nce_partitionkey: {key}\n\
                 content-type: application/json\n\n{data}"
            ),
            Sink::Mqtt => {
                let [subject, key] = [subject, key].map(|text| serde_json::Value::from(text).to_string());
                format!(
                    "content-type: application/cloudevents+json\npayload-format-indicator: 1\n\n\
                     {{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"{SOURCE}\",\"type\":\"{type_}\",\
                     \"subject\":{subject},\"time\":\"{time}\",\"datacontenttype\":\"application/json\",\
                     \"sequence\":\"{sequence}\",\"partitionkey\":{key},\"data\":{data}}}"
                )
            }
            Sink::Kusto => {
                let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(data)?;
                let cells = self.table()?.1.iter().map(|(column, cell, member)| {
                    let value = members.get(*member).map_or("null", |value| value.get());
                    let is_empty = matches!(cell, Cell::Text) && value == "null";
                    format!("\"{column}\":{},", if is_empty { "\"\"" } else { value })
                });
                let cells: String = cells.collect();
                format!("{{{cells}\"EventId\":\"{id}\",\"Sequence\":\"{sequence}\"}}")
            }
        })
    }

    /// The Kusto table of such an event.
    fn table(&self) -> Result<(&'static str, &'static Columns)> {
        match self.type_.strip_prefix(TYPE_PREFIX) {
            Some("Property.Event") => Ok(("AdtPropertyEvents", PROPERTY_EVENTS)),
            Some("Twin.Lifecycle") => Ok(("AdtTwinLifeCycleEvents", TWIN_LIFE_CYCLE_EVENTS)),
            Some("Relationship.Lifecycle") => {
                Ok(("AdtRelationshipLifeCycleEvents", RELATIONSHIP_LIFE_CYCLE_EVENTS))
            }
            _ => anyhow::bail!("{} has no table", self.type_),
        }
    }
}
