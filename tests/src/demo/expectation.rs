//! What each sink must get for what was committed, in words that [`super::arrival`] finds again in
//! what arrived. Pure, and written from the promise, not from the code that renders.
//!
//! Every entity change makes one event notification. In the history a twin or relationship has a
//! lifecycle row when it is created or deleted, and a row per property that is added or replaced;
//! models have none.

use hashbrown::HashMap;
use serde_json::Value;

use super::change::{Change, Entity, Operation};
use crate::{
    consumers::Sink,
    oracle::Expected,
    twins::{document::Object, ledger::MARKER},
};

/// What the sinks must get, each in the order per key.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    /// Kafka and MQTT.
    pub(super) notifications: Vec<Expected>,
    /// The tables of Kusto.
    pub(super) history: Vec<Expected>,
}

impl Expectations {
    /// What `sink` must get.
    pub(super) fn at(&self, sink: Sink) -> &[Expected] {
        match sink {
            Sink::Kafka | Sink::Mqtt => &self.notifications,
            Sink::Kusto => &self.history,
        }
    }
}

/// Works out what must arrive for these changes, which are in commit order.
pub(super) fn expectations(committed: &[(Expected, Change)]) -> Expectations {
    let mut expected = Expectations::default();
    let mut documents: HashMap<String, Object> = HashMap::new();
    for (entry, change) in committed {
        let subject = change.entity.subject();
        let before = documents.remove(&subject).unwrap_or_default();
        let after = match (change.operation, &change.entity) {
            (Operation::Update, Entity::Twin { .. }) => {
                before.clone().into_iter().chain(change.properties.clone()).collect()
            }
            _ => change.properties.clone(),
        };
        let differences = differences(change, &before);
        let of_key = |marker: String| Expected { key: entry.key.clone(), marker };
        let type_ = format!("{}.{}", change.entity.kind(), change.operation.name());
        let shown = match change.operation {
            Operation::Create => members(&after),
            Operation::Update => {
                differences.iter().map(|(how, name, value)| operation(how, name, value)).collect()
            }
            Operation::Delete => members(&before),
        };
        expected.notifications.push(of_key(notification(&type_, &subject, shown)));
        if matches!(change.entity, Entity::Model(_)) {
            continue;
        }
        if change.operation != Operation::Update {
            let row = lifecycle(change.entity.kind(), &subject, change.operation.name());
            expected.history.push(of_key(row));
        }
        for (how, name, value) in &differences {
            let row = property(&entry.marker, &subject, action(how), name, value);
            expected.history.push(of_key(row));
        }
        documents.insert(subject, after);
    }
    expected
}

/// The properties that a change adds or replaces, in the order of AGE's documents. A twin's write
/// of the value it had is news, for its time stamp is new; a relationship has no time stamps.
fn differences<'a>(change: &'a Change, before: &Object) -> Vec<(&'static str, &'a str, &'a Value)> {
    let of_twin = matches!(change.entity, Entity::Twin { .. });
    let mut found: Vec<_> = change
        .properties
        .iter()
        .filter_map(|(name, value)| match before.get(name) {
            None => Some(("add", name.as_str(), value)),
            Some(old) if of_twin || old != value => Some(("replace", name.as_str(), value)),
            Some(_) => None,
        })
        .collect();
    // Shortest first, then bytewise (events.md, section 1).
    found.sort_by_key(|(_, name, _)| (name.len(), *name));
    found
}

/// The words of an event notification that shows these things.
pub(super) fn notification(type_: &str, subject: &str, mut shown: Vec<String>) -> String {
    shown.sort_unstable();
    format!("{type_} {subject} {{{}}}", shown.join(", "))
}

/// The words for one operation of a patch.
pub(super) fn operation(how: &str, property: &str, value: &Value) -> String {
    format!("{how} {property} {value}")
}

/// The words for the user's properties of a document.
pub(super) fn members(document: &Object) -> Vec<String> {
    let of_user = document.iter().filter(|(name, _)| !name.starts_with('$'));
    of_user.map(|(name, value)| format!("{name} {value}")).collect()
}

/// The words of a lifecycle row.
pub(super) fn lifecycle(kind: &str, subject: &str, action: &str) -> String {
    format!("{kind}.Lifecycle {subject} {action}")
}

/// The words of a property row of the change with this marker.
pub(super) fn property(marker: &str, subject: &str, action: &str, name: &str, value: &Value) -> String {
    format!("Property.Event {subject} {action} {name} {value} ({MARKER} {marker})")
}

/// What the history calls an operation of a patch.
fn action(how: &str) -> &'static str {
    match how {
        "add" => "Add",
        _ => "Replace",
    }
}
