//! Tests of rendering. Documents are written with single quotes for double ones.

mod attributes;
mod history;
mod laws;
mod notification;
mod patch;
mod same_value;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Renderer;
use crate::cloud_event::CloudEvent;
use crate::event::{EntityKind, EventData, Operation};
use crate::format::{EventFormat, TypeMappings};
use crate::lsn::Lsn;
use crate::position::Position;

/// 2026-03-01T09:30:00.25Z
const COMMIT_TIME_US: i64 = 1_772_357_400_250_000;
const TIME: &str = "2026-03-01T09:30:00.250000Z";
const SOURCE: &str = "https://graph.example.com/";

fn double_quoted(document: &str) -> Bytes {
    document.replace('\'', "\"").into()
}

/// A change of the twin `room1`; the operation follows from which documents there are.
fn twin(old: Option<&str>, new: Option<&str>) -> EventData {
    let operation = match (old, new) {
        (None, Some(_)) => Operation::Create,
        (_, None) => Operation::Delete,
        (Some(_), Some(_)) => Operation::Update,
    };
    EventData {
        position: Position { incarnation: 1, commit_lsn: Lsn(0xAB), change_lsn: Lsn(0x9F), ordinal: 4 },
        operation,
        kind: EntityKind::Twin,
        graph: "plant".to_owned(),
        label: "Twin".to_owned(),
        entity_id: "room1".to_owned(),
        ordering_key: "room1".to_owned(),
        old: old.map(double_quoted),
        new: new.map(double_quoted),
        commit_time_us: COMMIT_TIME_US,
        xid: 7,
        traceparent: String::new(),
    }
}

/// The same of the relationship `r1` of `room1`.
fn relationship(old: Option<&str>, new: Option<&str>) -> EventData {
    EventData {
        kind: EntityKind::Relationship,
        label: "feeds".to_owned(),
        entity_id: "r1".to_owned(),
        ..twin(old, new)
    }
}

/// The same of the model `dtmi:a;1`.
fn model(old: Option<&str>, new: Option<&str>) -> EventData {
    EventData {
        kind: EntityKind::Model,
        label: "Model".to_owned(),
        entity_id: "dtmi:a;1".to_owned(),
        ordering_key: "dtmi:a;1".to_owned(),
        ..twin(old, new)
    }
}

fn render(event: &EventData, format: EventFormat) -> Vec<CloudEvent> {
    Renderer::new(SOURCE, "74").render(event, format, &TypeMappings::default()).unwrap()
}

fn notifications(event: &EventData) -> Vec<CloudEvent> {
    render(event, EventFormat::EventNotification)
}

fn data(event: &CloudEvent) -> Value {
    serde_json::from_slice(&event.data).unwrap()
}

/// The patch of an update; `[]` when there is no event.
fn patch_of(event: &EventData) -> Value {
    match notifications(event).as_slice() {
        [] => json!([]),
        [update] => data(update)["patch"].clone(),
        several => panic!("one update became {several:?}"),
    }
}

/// The patch between two documents of a twin.
fn patch(old: &str, new: &str) -> Value {
    patch_of(&twin(Some(old), Some(new)))
}

/// The history of a change: `operation name value type` of property events, the action of lifecycle events.
fn history_of(event: &EventData) -> Vec<String> {
    let told = |event: &CloudEvent| {
        let data = data(event);
        if let Some(action) = data["action"].as_str() {
            return action.to_owned();
        }
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        let (value, stamps) = (&data["propertyValue"], [&data["sourceTimeStamp"], &data["updatedBy"]]);
        let mut told = [&text("operation"), &text("propertyName"), &value.to_string(), &text("propertyType")]
            .map(String::as_str)
            .join(" ");
        for stamp in stamps.into_iter().filter(|stamp| !stamp.is_null()) {
            told = format!("{told} {}", stamp.as_str().unwrap());
        }
        told
    };
    render(event, EventFormat::DataHistory).iter().map(told).collect()
}

/// The history of an update of a twin.
fn history(old: &str, new: &str) -> Vec<String> {
    history_of(&twin(Some(old), Some(new)))
}
