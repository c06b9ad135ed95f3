//! What an event that arrived says, in the words of [`super::expectation`]. Pure.

use hashbrown::HashMap;
use serde_json::Value;

use super::expectation::{lifecycle, members, notification, operation, property};
use crate::{
    consumers::{Received, Sink},
    oracle::Arrival,
    twins::ledger,
};

/// What is before the types by default.
const TYPE_PREFIX: &str = "Konnektr.DigitalTwins.";

/// What the oracle needs to know of all that arrived at one sink.
pub(super) fn arrivals(received: &[Received]) -> Vec<Arrival> {
    // The rows of one change have one position; one of them shows its marker.
    let markers: HashMap<&str, i64> =
        received.iter().filter_map(|event| Some((event.sequence.as_str(), ledger::marker(event)?))).collect();
    received
        .iter()
        .map(|event| {
            let marker = markers.get(event.sequence.as_str());
            let marker = marker.map_or_else(|| "unknown".to_owned(), ToString::to_string);
            Arrival { marker: Some(words(event, &marker)), ..ledger::arrival(event) }
        })
        .collect()
}

/// The type without the prefix that all have; for a row what the table holds.
pub(super) fn short_type(event: &Received) -> &str {
    match (event.sink, event.type_.as_str()) {
        (Sink::Kusto, "AdtPropertyEvents") => "Property.Event",
        (Sink::Kusto, "AdtTwinLifeCycleEvents") => "Twin.Lifecycle",
        (Sink::Kusto, "AdtRelationshipLifeCycleEvents") => "Relationship.Lifecycle",
        (_, type_) => type_.strip_prefix(TYPE_PREFIX).unwrap_or(type_),
    }
}

/// The data, or null where it is no JSON.
pub(super) fn data(event: &Received) -> Value {
    serde_json::from_str(event.data.get()).unwrap_or_default()
}

/// A member of JSON data as text.
pub(super) fn text<'a>(data: &'a Value, member: &str) -> &'a str {
    data.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// The operations of an update's patch: what, on which property, the new value.
pub(super) fn operations(data: &Value) -> Option<Vec<(&str, &str, &Value)>> {
    let operations = data.get("patch")?.as_array()?.iter().map(|operation| {
        let path = text(operation, "path");
        let property = path.strip_prefix('/').unwrap_or(path);
        (text(operation, "op"), property, operation.get("value").unwrap_or(&Value::Null))
    });
    Some(operations.collect())
}

fn words(event: &Received, marker: &str) -> String {
    let (type_, subject, data) = (short_type(event), event.subject.as_str(), data(event));
    if let Some(kind) = type_.strip_suffix(".Lifecycle") {
        return lifecycle(kind, subject, text(&data, "Action"));
    }
    if type_ == "Property.Event" {
        let value = data.get("Value").unwrap_or(&Value::Null);
        return property(marker, subject, text(&data, "Action"), text(&data, "Key"), value);
    }
    let shown = match (operations(&data), &data) {
        _ if type_.starts_with("Model.") => Vec::new(),
        (Some(operations), _) => {
            operations.iter().map(|(what, name, value)| operation(what, name, value)).collect()
        }
        (None, Value::Object(document)) => members(document),
        (None, other) => vec![other.to_string()],
    };
    notification(type_, subject, shown)
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;
    use crate::{
        demo::{
            change::{Change, Entity, Operation},
            expectation::{Expectations, expectations},
        },
        oracle::{Expected, judge},
        twins::document::object,
    };

    fn committed(changes: &[(&Entity, Operation, Value)]) -> Expectations {
        let change = |(at, (entity, operation, properties)): (usize, &(&Entity, Operation, Value))| {
            let entry = Expected { key: entity.key().to_owned(), marker: (at + 1).to_string() };
            let properties = object(properties.clone());
            (entry, Change { entity: (*entity).clone(), operation: *operation, properties })
        };
        expectations(&changes.iter().enumerate().map(change).collect::<Vec<_>>())
    }

    /// An event about the change with this number.
    fn event(
        sink: Sink,
        change: usize,
        type_: &str,
        subject: &str,
        data: Value,
    ) -> Result<Received, serde_json::Error> {
        Ok(Received {
            sink,
            id: format!("{change} {type_} {data}"),
            source: String::new(),
            type_: if sink == Sink::Kusto { type_.to_owned() } else { format!("{TYPE_PREFIX}{type_}") },
            subject: subject.to_owned(),
            key: subject.split('/').next().unwrap_or_default().to_owned(),
            sequence: format!("{change:04}"),
            time: jiff::Timestamp::UNIX_EPOCH,
            data: to_raw_value(&data)?,
            wire: "".into(),
            received_at: jiff::Timestamp::UNIX_EPOCH,
        })
    }

    fn oven() -> Entity {
        Entity::Twin { id: "oven".to_owned(), model: "dtmi:m;1".to_owned() }
    }

    fn door() -> Entity {
        let [id, name, source, target] = ["r", "has", "oven", "door"].map(str::to_owned);
        Entity::Relationship { id, name, source, target }
    }

    #[test]
    fn notifications_as_promised_are_what_was_expected() -> Result<(), serde_json::Error> {
        // Given a twin's life, a relationship, and a model
        let (oven, door) = (oven(), door());
        let model = Entity::Model("dtmi:m;1".to_owned());
        let expected = committed(&[
            (&model, Operation::Create, json!({})),
            (&oven, Operation::Create, json!({"marker": 2, "T": 21.5})),
            (&oven, Operation::Update, json!({"marker": 3, "T": 21.5, "By": "a"})),
            (&door, Operation::Create, json!({"marker": 4, "Open": 0})),
            (&door, Operation::Update, json!({"marker": 5, "Open": 0})),
            (&oven, Operation::Delete, json!({})),
        ]);
        // When their events arrive as the design shapes them
        let patch = |operations: Value| json!({"modelId": null, "patch": operations});
        let data = [
            ("Model.Create", "dtmi:m;1", json!({"id": "dtmi:m;1", "model": {}})),
            ("Twin.Create", "oven", json!({"$dtId": "oven", "T": 21.5, "$metadata": {}, "marker": 2})),
            (
                "Twin.Update",
                "oven",
                patch(json!([
                    {"op": "replace", "path": "/T", "value": 21.5},
                    {"op": "add", "path": "/By", "value": "a"},
                    {"op": "replace", "path": "/marker", "value": 3},
                ])),
            ),
            (
                "Relationship.Create",
                "oven/relationships/r",
                json!({"$sourceId": "oven", "Open": 0, "marker": 4}),
            ),
            (
                "Relationship.Update",
                "oven/relationships/r",
                patch(json!([
                    {"op": "replace", "path": "/marker", "value": 5},
                ])),
            ),
            ("Twin.Delete", "oven", json!({"$dtId": "oven", "T": 21.5, "By": "a", "marker": 3})),
        ];
        let events = data
            .into_iter()
            .enumerate()
            .map(|(at, (type_, subject, data))| event(Sink::Kafka, at + 1, type_, subject, data));
        let verdict = judge(expected.at(Sink::Kafka), &arrivals(&events.collect::<Result<Vec<_>, _>>()?));
        // Then nothing is missing and nothing is strange
        assert!(verdict.is_kept(), "{verdict:#?}");
        assert_eq!((verdict.expected, verdict.received), (6, 6));
        Ok(())
    }

    #[test]
    fn rows_as_promised_are_what_was_expected() -> Result<(), serde_json::Error> {
        // Given the same in the history
        let (oven, door) = (oven(), door());
        let expected = committed(&[
            (&oven, Operation::Create, json!({"marker": 1, "T": 21.5})),
            (&oven, Operation::Update, json!({"marker": 2, "T": 22.0})),
            (&door, Operation::Create, json!({"marker": 3})),
            (&oven, Operation::Delete, json!({})),
        ]);
        // When the rows are there
        let row = |at, subject: &str, action: &str, key: &str, value: Value| {
            event(
                Sink::Kusto,
                at,
                "AdtPropertyEvents",
                subject,
                json!({"Action": action, "Key": key, "Value": value}),
            )
        };
        let life = |at, table, subject: &str, action: &str| {
            event(Sink::Kusto, at, table, subject, json!({"Action": action}))
        };
        let mut rows = vec![
            row(1, "oven", "Add", "T", json!(21.5))?,
            row(1, "oven", "Add", "marker", json!(1))?,
            row(2, "oven", "Replace", "T", json!(22.0))?,
            row(2, "oven", "Replace", "marker", json!(2))?,
            row(3, "oven/relationships/r", "Add", "marker", json!(3))?,
            life(1, "AdtTwinLifeCycleEvents", "oven", "Create")?,
            life(4, "AdtTwinLifeCycleEvents", "oven", "Delete")?,
            life(3, "AdtRelationshipLifeCycleEvents", "oven/relationships/r", "Create")?,
        ];
        let verdict = judge(expected.at(Sink::Kusto), &arrivals(&rows));
        // Then nothing is missing and nothing is strange
        assert!(verdict.is_kept(), "{verdict:#?}");
        assert_eq!((verdict.expected, verdict.received), (8, 8));
        // And a wrong value, or a deletion that never came, is seen
        rows[2] = row(2, "oven", "Replace", "T", json!(22.5))?;
        rows.remove(6);
        let verdict = judge(expected.at(Sink::Kusto), &arrivals(&rows));
        assert_eq!(verdict.unexpected.len(), 1);
        let lost: Vec<_> = verdict.lost.iter().map(|change| change.marker.as_str()).collect();
        assert_eq!(lost, ["Property.Event oven Replace T 22.0 (marker 2)", "Twin.Lifecycle oven Delete"]);
        Ok(())
    }
}
