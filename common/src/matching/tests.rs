//! What several routes make of one change.

use bytes::Bytes;

use super::*;
use crate::cloud_event::EventType;
use crate::event::{EntityKind, Operation};
use crate::position::Position;
use crate::route::{Compression, DeliveryPolicy, Destination, Endpoint, KafkaAccess, KafkaOptions};

fn endpoint(name: &str) -> Endpoint {
    let access = KafkaAccess::Brokers { brokers: vec!["broker:9093".to_owned()], tls: None, sasl: None };
    let options = KafkaOptions { access, topic: "twins".to_owned(), compression: Compression::None };
    Endpoint {
        name: name.to_owned(),
        destination: Destination::Kafka(options),
        policy: DeliveryPolicy::default(),
        dead_letter: None,
    }
}

fn route(name: &str, endpoint_name: &str, filter: &str, format: EventFormat) -> EventRoute {
    EventRoute {
        name: name.to_owned(),
        endpoint_name: endpoint_name.to_owned(),
        filter: filter.to_owned(),
        format,
        types: TypeMappings::default(),
        disabled: false,
        notify_gaps: false,
    }
}

fn table(endpoints: &[&str], routes: Vec<EventRoute>) -> RouteTable {
    RouteTable {
        version: 1,
        endpoints: endpoints.iter().map(|name| ((*name).to_owned(), endpoint(name))).collect(),
        routes: routes.into_iter().map(|route| (route.name.clone(), route)).collect(),
    }
}

fn created_twin() -> EventData {
    EventData {
        position: Position::default(),
        operation: Operation::Create,
        kind: EntityKind::Twin,
        graph: "factory".to_owned(),
        label: "Twin".to_owned(),
        entity_id: "room1".to_owned(),
        ordering_key: "room1".to_owned(),
        old: None,
        new: Some(Bytes::from_static(br#"{"$dtId":"room1","$metadata":{"$model":"dtmi:a;1"},"t":1}"#)),
        commit_time_us: 0,
        xid: 1,
        traceparent: String::new(),
    }
}

/// Emitted types by endpoint.
fn sent(table: &RouteTable) -> Vec<(String, Vec<String>)> {
    let (compiled, refused) = CompiledTable::new(table);
    assert_eq!(refused, []);
    let deliveries = compiled.deliveries(&created_twin(), &Renderer::new("https://i/", "1")).unwrap();
    let types = |events: Vec<Arc<CloudEvent>>| events.iter().map(|it| it.event_type.to_string()).collect();
    deliveries.into_iter().map(|(name, events)| (name.to_string(), types(events))).collect()
}

fn name(event_type: EventType) -> String {
    event_type.name().to_owned()
}

#[test]
fn every_endpoint_gets_what_its_routes_select() {
    use EventFormat::{DataHistory, EventNotification};
    let table = table(
        &["a", "b", "c"],
        vec![
            route("to-a", "a", "true", EventNotification),
            route("to-b", "b", "true", DataHistory),
            route("to-c", "c", "false", EventNotification),
        ],
    );
    let expected = [
        ("a".to_owned(), vec![name(EventType::TwinCreate)]),
        ("b".to_owned(), vec![name(EventType::TwinLifecycle), name(EventType::PropertyEvent)]),
    ];
    assert_eq!(sent(&table), expected);
}

#[test]
fn several_routes_to_one_endpoint_send_each_format_and_type_once() {
    use EventFormat::{DataHistory, EventNotification};
    let mut renamed = route("renamed", "a", "true", EventNotification);
    renamed.types = TypeMappings::renaming([(EventType::TwinCreate, "azure".into())]);
    let mut same_here = route("same-here", "a", "true", EventNotification);
    same_here.types = TypeMappings::renaming([(EventType::TwinDelete, "azure".into())]);
    let routes = vec![
        route("first", "a", "true", EventNotification),
        route("again", "a", "true", EventNotification),
        route("history", "a", "true", DataHistory),
        renamed,
        same_here,
    ];
    let [(_, mut types)] = sent(&table(&["a"], routes)).try_into().unwrap();
    types.sort();
    let once =
        [EventType::PropertyEvent, EventType::TwinCreate, EventType::TwinLifecycle].map(name).into_iter();
    assert_eq!(types, once.chain(["azure".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn a_route_that_cannot_work_leaves_the_others_alone() {
    let routes = vec![
        route("good", "a", "true", EventFormat::EventNotification),
        route("lost", "nowhere", "true", EventFormat::EventNotification),
        route("odd", "a", "type =", EventFormat::EventNotification),
    ];
    let (compiled, refused) = CompiledTable::new(&table(&["a"], routes));
    assert_eq!(refused.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["lost", "odd"]);
    let deliveries = compiled.deliveries(&created_twin(), &Renderer::new("https://i/", "1")).unwrap();
    assert_eq!(deliveries.len(), 1);
}

#[test]
fn holes_go_to_routes_that_ask_and_disabled_routes_get_nothing() {
    let mut asks = route("asks", "a", "false", EventFormat::EventNotification);
    asks.notify_gaps = true;
    let mut disabled = route("disabled", "b", "true", EventFormat::EventNotification);
    disabled.notify_gaps = true;
    disabled.disabled = true;
    let (compiled, _) = CompiledTable::new(&table(&["a", "b"], vec![asks, disabled]));
    let renderer = Renderer::new("https://i/", "1");
    let gap = Discontinuity {
        position: Position::default(),
        last_known: None,
        first_new: None,
        reason: "a table was truncated".to_owned(),
    };
    let deliveries = compiled.gap_deliveries(&gap, 0, &renderer);
    assert_eq!(deliveries.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a"]);
    assert_eq!(compiled.deliveries(&created_twin(), &renderer), Ok(Vec::new()));
}
