//! The attributes of CloudEvents, gaps, and events that cannot be rendered.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::{COMMIT_TIME_US, TIME, data, notifications, twin};
use crate::cloud_event::EventType;
use crate::event::{Discontinuity, EventData, Operation};
use crate::format::{EventFormat, TypeMappings};
use crate::json::ParseError;
use crate::lsn::Lsn;
use crate::position::Position;
use crate::render::{RenderError, Renderer, Side};

/// Computed from events.md with another implementation (Python's `uuid.uuid5`).
const ID_OF_UPDATE: &str = "5c598065-fb7d-50b8-8833-496e364b555a";
const ID_OF_SECOND_PROPERTY: &str = "6a0225f6-9b78-58d4-9b24-b0a47f383c0b";
const ID_WITH_GRAPH: &str = "b1faae85-c815-585f-9c4d-b0ce92346b28";

fn update() -> EventData {
    twin(Some("{}"), Some("{'v':1,'w':2}"))
}

#[test]
fn an_event_has_the_attributes_of_its_change() {
    let event = &notifications(&update())[0];
    assert_eq!(&*event.source, "https://graph.example.com/");
    assert_eq!(&*event.time, TIME);
    assert_eq!(&*event.sequence, "000000000000000100000000000000ab000000000000009f00000004");
    assert_eq!(&*event.partition_key, "room1");
    assert_eq!(event.traceparent, None);
    let traced = EventData { traceparent: "00-1-2-01".to_owned(), ..update() };
    assert_eq!(notifications(&traced)[0].traceparent.as_deref(), Some("00-1-2-01"));
}

#[test]
fn ids_are_those_that_the_design_names() {
    let renderer = Renderer::new("https://graph.example.com/", "7412345678901234567");
    let event = update();
    let change = renderer.open(&event).unwrap();
    let types = TypeMappings::default();
    let update = change.render(EventFormat::EventNotification, &types);
    assert_eq!(update[0].id.to_string(), ID_OF_UPDATE);
    let history = change.render(EventFormat::DataHistory, &types);
    assert_eq!(history[1].id.to_string(), ID_OF_SECOND_PROPERTY);
}

#[test]
fn a_mapped_type_is_emitted_and_has_an_id_of_its_own() {
    let azure: Arc<str> = "Microsoft.DigitalTwins.Twin.Update".into();
    let types = TypeMappings::renaming([(EventType::TwinUpdate, Arc::clone(&azure))]);
    let event = update();
    let mapped =
        Renderer::new(super::SOURCE, "74").render(&event, EventFormat::EventNotification, &types).unwrap();
    assert_eq!((&mapped[0].event_type, mapped[0].default_type), (&azure, EventType::TwinUpdate));
    assert_ne!(mapped[0].id, notifications(&event)[0].id);
}

#[test]
fn the_source_can_name_the_graph() {
    let renderer = Renderer::new("https://example.com/{graph}/x", "7412345678901234567");
    let events =
        renderer.render(&update(), EventFormat::EventNotification, &TypeMappings::default()).unwrap();
    assert_eq!(&*events[0].source, "https://example.com/plant/x");
    assert_eq!(events[0].id.to_string(), ID_WITH_GRAPH);
}

#[test]
fn a_gap_tells_its_reason_and_ends_and_has_no_subject() {
    let position = |lsn| Position { incarnation: 2, commit_lsn: Lsn(lsn), change_lsn: Lsn(lsn), ordinal: 0 };
    let gap = Discontinuity {
        position: position(9),
        last_known: Some(position(8)),
        first_new: None,
        reason: "table \"twins\" was truncated".to_owned(),
    };
    let renderer = Renderer::new(super::SOURCE, "74");
    let render = |noticed_us| {
        renderer.render_gap(&gap, noticed_us, EventFormat::EventNotification, &TypeMappings::default())
    };
    let event = render(COMMIT_TIME_US);
    assert_eq!(&*event.event_type, "Konnektr.DigitalTwins.Stream.Gap");
    assert_eq!(event.subject, None);
    assert_eq!(&*event.time, TIME);
    assert_eq!(&*event.sequence, gap.position.sequence());
    let last_known = position(8).sequence();
    assert_eq!(
        data(&event),
        json!({"reason": "table \"twins\" was truncated", "lastKnown": last_known, "firstNew": null})
    );
    assert_eq!(render(0).id, event.id, "whenever it was noticed");
    assert_ne!(event.id, Uuid::nil());
}

#[test]
fn an_event_without_a_readable_document_is_refused() {
    let render = |event: &EventData| {
        Renderer::new(super::SOURCE, "74")
            .render(event, EventFormat::DataHistory, &TypeMappings::default())
            .err()
    };
    let good = Some("{}");
    let missing = EventData { operation: Operation::Create, ..twin(good, None) };
    assert_eq!(render(&missing), Some(RenderError::Missing(Side::New)));
    let missing = EventData { operation: Operation::Delete, ..twin(None, good) };
    assert_eq!(render(&missing), Some(RenderError::Missing(Side::Old)));
    assert_eq!(render(&twin(Some("[]"), good)), Some(RenderError::NotAnObject(Side::Old)));
    let source = ParseError::Syntax { offset: 1, expected: "a member's name" };
    assert_eq!(render(&twin(good, Some("{"))), Some(RenderError::Unreadable { side: Side::New, source }));
}
