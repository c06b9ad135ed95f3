//! Requests on a catalog: what is written, what is refused, and what is said about it.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use prost_types::FieldMask;
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::endpoint::Destination;
use twinroute_proto::routes::v1::secret::Secret;

use super::*;
use crate::catalog::{Catalog, Moment, Origin, Write};
use crate::settings::LimitSettings;
use crate::workers::EndpointSummary;

const KEEPING: Keeping = Keeping::Encrypted;

fn secret(secret: Secret) -> Option<proto::Secret> {
    Some(proto::Secret { secret: Some(secret) })
}

fn mqtt(name: &str, broker: &str, password: Option<proto::Secret>) -> proto::Endpoint {
    let options = proto::MqttOptions {
        broker: broker.to_owned(),
        topic: "twins".to_owned(),
        username: "router".to_owned(),
        password,
        ..Default::default()
    };
    proto::Endpoint {
        name: name.to_owned(),
        destination: Some(Destination::Mqtt(options)),
        ..Default::default()
    }
}

fn kusto(name: &str) -> proto::Endpoint {
    let options = proto::KustoOptions {
        ingestion_uri: "http://127.0.0.1:8080".to_owned(),
        database: "twins".to_owned(),
        ..Default::default()
    };
    proto::Endpoint {
        name: name.to_owned(),
        destination: Some(Destination::Kusto(options)),
        ..Default::default()
    }
}

fn route(name: &str, endpoint_name: &str) -> proto::EventRoute {
    proto::EventRoute {
        name: name.to_owned(),
        endpoint_name: endpoint_name.to_owned(),
        filter: "true".to_owned(),
        ..Default::default()
    }
}

/// An MQTT endpoint `hub` with password and a route `all`, a Kusto endpoint `adx`, and `fixed` from a file.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let password = secret(Secret::Value("hunter2".to_owned()));
    for endpoint in [mqtt("hub", "broker", password), kusto("adx"), mqtt("fixed", "broker", None)] {
        let write = create_endpoint(&catalog, Some(endpoint), KEEPING, &LimitSettings::default()).unwrap();
        catalog = after(&catalog, write);
    }
    let write = create_route(&catalog, Some(route("all", "hub")), &LimitSettings::default()).unwrap();
    catalog = after(&catalog, write);
    let file = Origin::File(Arc::new(PathBuf::from("/etc/sinks.yaml")));
    catalog.endpoints.get_mut("fixed").unwrap().origin = file;
    catalog
}

fn after(catalog: &Catalog, write: Write) -> Catalog {
    catalog.with(write, Moment { version: catalog.version + 1, time: Timestamp::UNIX_EPOCH })
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn fields(refused: Result<Write, Refusal>) -> Vec<String> {
    match refused {
        Err(Refusal::Invalid(violations)) => {
            violations.as_slice().iter().map(|it| it.field.clone()).collect()
        }
        other => panic!("expected violations, got {other:?}"),
    }
}

fn password(write: Result<Write, Refusal>) -> Option<proto::Secret> {
    let Ok(Write::PutEndpoint(endpoint)) = write else { panic!("expected an endpoint, got {write:?}") };
    match proto::Endpoint::from(&endpoint).destination {
        Some(Destination::Mqtt(options)) => options.password,
        _ => None,
    }
}

#[test]
fn everything_wrong_with_a_route_is_said_at_once() {
    let wrong = proto::EventRoute { filter: "flase".to_owned(), ..route("9", "nobody") };
    let refused = create_route(&catalog(), Some(wrong), &LimitSettings::default());
    assert_eq!(fields(refused), ["event_route.endpoint_name", "event_route.filter", "event_route.name"]);
}

#[test]
fn a_route_takes_the_format_of_its_endpoint_and_kusto_takes_data_history_only() {
    let catalog = catalog();
    let Ok(Write::PutRoute(created)) =
        create_route(&catalog, Some(route("history", "adx")), &LimitSettings::default())
    else {
        panic!("the route is fine")
    };
    assert_eq!(created.format, twinroute_common::format::EventFormat::DataHistory);
    let wrong = proto::EventRoute {
        event_format: proto::EventFormat::EventNotification.into(),
        ..route("notification", "adx")
    };
    let refused = create_route(&catalog, Some(wrong), &LimitSettings::default());
    assert_eq!(fields(refused), ["event_route.event_format"]);
}

#[test]
fn names_are_taken_once_and_there_is_a_limit() {
    let catalog = catalog();
    let taken = create_endpoint(&catalog, Some(kusto("hub")), KEEPING, &LimitSettings::default());
    assert!(matches!(taken, Err(Refusal::AlreadyExists { .. })));
    let limits = LimitSettings { endpoints_max: 3, ..LimitSettings::default() };
    let refused = create_endpoint(&catalog, Some(kusto("new")), KEEPING, &limits);
    assert!(matches!(refused, Err(Refusal::TooMany { max: 3, .. })));
}

#[test]
fn what_stands_in_the_file_is_not_changed() {
    let catalog = catalog();
    let refused = [
        update_endpoint(&catalog, Some(mqtt("fixed", "other", None)), None, KEEPING).err(),
        create_endpoint(&catalog, Some(kusto("fixed")), KEEPING, &LimitSettings::default()).err(),
    ];
    for refusal in refused {
        let Some(Refusal::Precondition(message)) = refusal else { panic!("{refusal:?}") };
        assert!(message.contains("/etc/sinks.yaml"), "{message}");
    }
}

#[test]
fn an_older_etag_changes_nothing() {
    let catalog = catalog();
    let etag = catalog.routes["all"].etag();
    let update = |etag: &str| {
        let given = proto::EventRoute { etag: etag.to_owned(), disabled: true, ..route("all", "hub") };
        update_route(&catalog, Some(given), mask(&["disabled"]))
    };
    assert!(matches!(update("0"), Err(Refusal::EtagMismatch { present, .. }) if present == etag));
    let Ok(Write::PutRoute(updated)) = update(&etag) else { panic!("the etag is the present one") };
    assert!(updated.disabled);
}

#[test]
fn a_mask_changes_its_fields_only_and_knows_them() {
    let catalog = catalog();
    let given = proto::EventRoute { filter: "false".to_owned(), ..route("all", "adx") };
    let Ok(Write::PutRoute(updated)) = update_route(&catalog, Some(given.clone()), mask(&["filter"])) else {
        panic!("the mask is fine")
    };
    assert_eq!((&*updated.filter, &*updated.endpoint_name), ("false", "hub"));
    assert_eq!(fields(update_route(&catalog, Some(given), mask(&["name"]))), ["update_mask"]);
    let kafka = update_endpoint(&catalog, Some(mqtt("hub", "broker", None)), mask(&["kafka"]), KEEPING);
    assert_eq!(fields(kafka), ["endpoint.destination"]);
    assert_eq!(
        fields(update_endpoint(&catalog, Some(kusto("hub")), None, KEEPING)),
        ["endpoint.destination"]
    );
}

#[test]
fn a_redacted_secret_stays_unless_the_endpoint_leads_elsewhere() {
    let catalog = catalog();
    let redacted = || secret(Secret::Redacted(true));
    let update = |endpoint| update_endpoint(&catalog, Some(endpoint), None, KEEPING);
    assert_eq!(
        password(update(mqtt("hub", "broker", redacted()))),
        secret(Secret::Value("hunter2".to_owned()))
    );
    assert_eq!(fields(update(mqtt("hub", "elsewhere", redacted()))), ["endpoint.mqtt.password"]);
    let brought = secret(Secret::Value("new".to_owned()));
    assert_eq!(password(update(mqtt("hub", "elsewhere", brought.clone()))), brought);
    assert_eq!(password(update(mqtt("hub", "broker", None))), None);
    let never_stored = create_endpoint(
        &catalog,
        Some(mqtt("new", "broker", redacted())),
        KEEPING,
        &LimitSettings::default(),
    );
    assert_eq!(fields(never_stored), ["endpoint.mqtt.password"]);
}

#[test]
fn without_a_key_inline_secrets_are_refused_and_references_are_not() {
    let create = |password| {
        let endpoint = mqtt("new", "broker", secret(password));
        create_endpoint(&catalog(), Some(endpoint), Keeping::Impossible, &LimitSettings::default())
    };
    let refused = create(Secret::Value("hunter2".to_owned()));
    assert!(refused.as_ref().is_err_and(|refusal| refusal.to_string().contains("secrets.key")));
    assert_eq!(fields(refused), ["endpoint.mqtt.password"]);
    assert!(create(Secret::Reference("env:TWINROUTE_SECRET_MQTT".to_owned())).is_ok());
}

#[test]
fn an_endpoint_goes_when_no_route_uses_it_and_its_backlog_is_named() {
    let catalog = catalog();
    let delete = |catalog: &Catalog, discard_events, backlog_events| {
        let request =
            proto::DeleteEndpointRequest { name: "hub".to_owned(), etag: String::new(), discard_events };
        let state = EndpointSummary { backlog_events, ..EndpointSummary::default() };
        delete_endpoint(catalog, &request, &state)
    };
    assert!(matches!(delete(&catalog, 0, 0), Err(Refusal::Precondition(message)) if message.contains("all")));
    let request = proto::DeleteEventRouteRequest { name: "all".to_owned(), etag: String::new() };
    let unused = after(&catalog, delete_route(&catalog, &request).unwrap());
    assert!(
        matches!(delete(&unused, 6, 7), Err(Refusal::Precondition(message)) if message.contains("7 events"))
    );
    assert!(delete(&unused, 7, 7).is_ok());
    assert!(delete(&unused, 7, 0).is_ok());
    assert!(matches!(
        delete(&after(&unused, delete(&unused, 0, 0).unwrap()), 0, 0),
        Err(Refusal::NotFound { .. })
    ));
}

#[test]
fn an_endpoint_stays_while_a_worker_does_not_know_its_backlog() {
    let request = proto::DeleteEventRouteRequest { name: "all".to_owned(), etag: String::new() };
    let unused = after(&catalog(), delete_route(&catalog(), &request).unwrap());
    let request = proto::DeleteEndpointRequest { name: "hub".to_owned(), ..Default::default() };
    let unknown = EndpointSummary { unknown_at: Some("worker-7".to_owned()), ..EndpointSummary::default() };
    let refused = delete_endpoint(&unused, &request, &unknown);
    assert!(matches!(refused, Err(Refusal::Precondition(message)) if message.contains("worker-7")));
}

#[test]
fn reads_show_no_secret() {
    let mut shown = proto::Endpoint::from(&catalog().endpoints["hub"].resource);
    redact(&mut shown);
    assert!(!format!("{shown:?}").contains("hunter2"));
}
