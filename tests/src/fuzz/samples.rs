//! A few changes that filters are asked about: with and without each document, with escapes, nulls and components.

use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::event::{EntityKind, EventData, Operation};
use twinroute_common::filter::Candidate;
use twinroute_common::format::{EventFormat, TypeMappings};
use twinroute_common::json::Document;
use twinroute_common::position::Position;
use twinroute_common::render::Renderer;

const OLD: &str = r#"{"$dtId":"room1","$metadata":{"$model":"dtmi:a;1"},"a":1,"b":null,"c":{"d":"x\u00e9"},"e":[1],"f":0.5}"#;
const NEW: &str = r#"{"$dtId":"room1","$metadata":{"$model":"dtmi:a;1"},"a":2.0,"c":{"d":"x\u00e9y"},"e":[1.0],"f":"x","g":true}"#;

/// What the naive interpreter is asked about.
pub(super) struct Plain {
    pub(super) names_of_type: Vec<String>,
    pub(super) source: String,
    pub(super) subject: String,
    pub(super) time: String,
    pub(super) id: String,
    pub(super) body: Value,
    pub(super) old: Option<Value>,
    pub(super) new: Option<Value>,
}

/// A change, and its events in both formats beside what the naive interpreter sees of them.
struct Sample {
    event: EventData,
    rendered: Vec<(CloudEvent, Plain)>,
}

/// Calls `ask` with every event of every sample, and with the same event as plain values.
pub(super) fn each_candidate(mut ask: impl FnMut(&Candidate<'_>, &Plain)) {
    static SAMPLES: OnceLock<Vec<Sample>> = OnceLock::new();
    for sample in SAMPLES.get_or_init(samples) {
        let (old, new) = (document(sample.event.old.as_ref()), document(sample.event.new.as_ref()));
        for (rendered, plain) in &sample.rendered {
            let candidate =
                Candidate::new(rendered, old.as_ref().map(Document::root), new.as_ref().map(Document::root));
            ask(&candidate, plain);
        }
    }
}

fn document(text: Option<&Bytes>) -> Option<Document<'_>> {
    Document::parse(text?).ok()
}

fn samples() -> Vec<Sample> {
    let events = [
        event(Operation::Create, None, Some(NEW)),
        event(Operation::Update, Some(OLD), Some(NEW)),
        event(Operation::Update, None, Some(OLD)),
        event(Operation::Delete, Some(OLD), None),
    ];
    events.into_iter().map(Sample::new).collect()
}

impl Sample {
    fn new(event: EventData) -> Self {
        let renderer = Renderer::new("https://i/", "1");
        let render = |format| renderer.render(&event, format, &TypeMappings::default()).unwrap_or_default();
        let rendered = [EventFormat::EventNotification, EventFormat::DataHistory].map(render).concat();
        let rendered = rendered.into_iter().map(|rendered| {
            let plain = Plain::new(&event, &rendered);
            (rendered, plain)
        });
        let rendered = rendered.collect();
        Self { event, rendered }
    }
}

impl Plain {
    fn new(event: &EventData, rendered: &CloudEvent) -> Self {
        let value = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap_or_default();
        let name = rendered.default_type.name();
        Self {
            names_of_type: vec![name.to_owned(), name.replace("Konnektr", "Microsoft")],
            source: rendered.source.to_string(),
            subject: rendered.subject.as_deref().unwrap_or_default().to_owned(),
            time: rendered.time.to_string(),
            id: rendered.id.to_string(),
            body: value(&rendered.data),
            old: event.old.as_deref().map(value),
            new: event.new.as_deref().map(value),
        }
    }
}

fn event(operation: Operation, old: Option<&'static str>, new: Option<&'static str>) -> EventData {
    let document = |text: Option<&'static str>| text.map(|text| text.as_bytes().into());
    EventData {
        position: Position::default(),
        operation,
        kind: EntityKind::Twin,
        graph: "factory".to_owned(),
        label: "Twin".to_owned(),
        entity_id: "room1".to_owned(),
        ordering_key: "room1".to_owned(),
        old: document(old),
        new: document(new),
        commit_time_us: 0,
        xid: 1,
        traceparent: String::new(),
    }
}
