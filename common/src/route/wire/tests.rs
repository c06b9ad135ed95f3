//! Endpoints, routes and tables go over the wire and back, and what is wrong is named by field.

use twinroute_proto::routes::v1 as proto;

use super::{delta_from_wire, secret_fields, table_from_wire};
use crate::cloud_event::EventType;
use crate::format::{EventFormat, TypeMappings};
use crate::route::{Endpoint, EventRoute, RouteTable, Violations};

type Options = proto::endpoint::Destination;

fn value(text: &str) -> Option<proto::Secret> {
    Some(proto::Secret { secret: Some(proto::secret::Secret::Value(text.to_owned())) })
}

fn reference(text: &str) -> Option<proto::Secret> {
    Some(proto::Secret { secret: Some(proto::secret::Secret::Reference(text.to_owned())) })
}

fn client_secret() -> Option<proto::TokenIdentity> {
    let identity = proto::token_identity::Identity::ClientSecret(proto::ClientSecretIdentity {
        tenant_id: "contoso".to_owned(),
        client_id: "router".to_owned(),
        client_secret: value("s3cret"),
        ..Default::default()
    });
    Some(proto::TokenIdentity { identity: Some(identity) })
}

fn kafka() -> proto::KafkaOptions {
    proto::KafkaOptions {
        brokers: vec!["broker".to_owned()],
        topic: "twins".to_owned(),
        ..Default::default()
    }
}

fn mqtt() -> proto::MqttOptions {
    proto::MqttOptions {
        broker: "broker".to_owned(),
        topic: "twins/{twinId}".to_owned(),
        ..Default::default()
    }
}

fn kusto() -> proto::KustoOptions {
    proto::KustoOptions {
        ingestion_uri: "https://ingest-c.kusto.windows.net/".to_owned(),
        database: "twins".to_owned(),
        identity: client_secret(),
        ..Default::default()
    }
}

fn endpoint(destination: Options) -> proto::Endpoint {
    proto::Endpoint { name: "an-endpoint".to_owned(), destination: Some(destination), ..Default::default() }
}

fn route(name: &str, endpoint_name: &str, format: EventFormat) -> EventRoute {
    EventRoute {
        name: name.to_owned(),
        endpoint_name: endpoint_name.to_owned(),
        filter: " TRUE ".to_owned(),
        format,
        types: TypeMappings::renaming([(EventType::TwinCreate, "Microsoft.DigitalTwins.Twin.Create".into())]),
        disabled: false,
        notify_gaps: true,
    }
}

fn refused_fields(endpoint: proto::Endpoint) -> Vec<String> {
    let violations = Endpoint::try_from(endpoint).err();
    let fields = violations.iter().flat_map(Violations::as_slice);
    fields.map(|violation| violation.field.clone()).collect()
}

/// Every form that options can have.
fn samples() -> Vec<proto::Endpoint> {
    let scram = proto::KafkaOptions {
        sasl_mechanism: "SCRAM-SHA-512".to_owned(),
        sasl_username: "router".to_owned(),
        sasl_password: reference("env:TWINROUTE_SECRET_KAFKA"),
        ca_file: "/etc/ca.pem".to_owned(),
        client_cert_file: "/etc/cert.pem".to_owned(),
        client_key_file: "/etc/key.pem".to_owned(),
        compression: "zstd".to_owned(),
        ..kafka()
    };
    let token = proto::KafkaOptions {
        sasl_mechanism: "OAUTHBEARER".to_owned(),
        identity: client_secret(),
        ..kafka()
    };
    let event_hubs = proto::KafkaOptions {
        topic: "hub".to_owned(),
        connection_string: value(
            "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=k",
        ),
        secondary_connection_string: reference("file:/secrets/secondary"),
        ..Default::default()
    };
    let login = proto::MqttOptions {
        tls: true,
        username: "router".to_owned(),
        password: value("p"),
        qos: Some(0),
        protocol_version: "3.1.0".to_owned(),
        ..mqtt()
    };
    let mut with_dead_letters = endpoint(Options::Kafka(kafka()));
    with_dead_letters.dead_letter = Some(proto::DeadLetterContainer {
        url: "https://account.blob.core.windows.net/dead".to_owned(),
        sas: value("sv=1"),
        read_sas: reference("file:/secrets/read"),
    });
    with_dead_letters.delivery_policy = Some(proto::DeliveryPolicy {
        attempts_max: 3,
        time_to_live: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        on_exhausted: proto::OnExhausted::DeadLetter.into(),
        on_full: proto::OnFull::DeadLetter.into(),
        parked_bytes_max: 1 << 30,
        ..Default::default()
    });
    vec![
        endpoint(Options::Kafka(kafka())),
        endpoint(Options::Kafka(scram)),
        endpoint(Options::Kafka(token)),
        endpoint(Options::Kafka(event_hubs)),
        endpoint(Options::Mqtt(mqtt())),
        endpoint(Options::Mqtt(login)),
        endpoint(Options::Kusto(kusto())),
        with_dead_letters,
    ]
}

#[test]
fn an_endpoint_is_the_same_after_a_way_over_the_wire() {
    for sample in samples() {
        let read = Endpoint::try_from(sample.clone());
        assert!(read.is_ok(), "{sample:?}: {read:?}");
        let again = read.as_ref().ok().map(|endpoint| Endpoint::try_from(proto::Endpoint::from(endpoint)));
        assert_eq!(Some(read), again);
    }
}

#[test]
fn every_secret_of_an_endpoint_has_its_field() {
    let secrets: usize = samples()
        .iter_mut()
        .map(|sample| secret_fields(sample).iter().filter(|(_, secret)| secret.is_some()).count())
        .sum();
    assert_eq!(secrets, 8, "one for each secret that the samples hold");
}

#[test]
fn defaults_are_made_explicit() {
    let read = Endpoint::try_from(endpoint(Options::Kafka(kafka())))
        .map(|endpoint| proto::Endpoint::from(&endpoint));
    let wire = read.unwrap_or_default();
    let Some(Options::Kafka(options)) = wire.destination else { unreachable!("a Kafka endpoint") };
    assert_eq!((options.brokers, &*options.security_protocol), (vec!["broker:9093".to_owned()], "PLAINTEXT"));
    assert_eq!(wire.delivery_policy.map(|policy| policy.attempts_max), Some(10));
}

#[test]
fn everything_wrong_is_named_at_once() {
    let mut wrong = endpoint(Options::Kafka(proto::KafkaOptions {
        topic: "a topic".to_owned(),
        sasl_mechanism: "PLAIN".to_owned(),
        security_protocol: "SSL".to_owned(),
        sasl_password: Some(proto::Secret { secret: Some(proto::secret::Secret::Redacted(true)) }),
        compression: "brotli".to_owned(),
        ..Default::default()
    }));
    wrong.name = "9".to_owned();
    wrong.delivery_policy = Some(proto::DeliveryPolicy {
        on_exhausted: proto::OnExhausted::DeadLetter.into(),
        ..Default::default()
    });
    let expected = [
        "name",
        "kafka.topic",
        "kafka.compression",
        "kafka.security_protocol",
        "kafka.brokers",
        "kafka.sasl_username",
        "kafka.sasl_password",
        "delivery_policy.on_exhausted",
    ];
    assert_eq!(refused_fields(wrong), expected);
}

#[test]
fn options_that_can_never_work_are_refused() {
    let wildcard = proto::MqttOptions { topic: "twins/#".to_owned(), ..mqtt() };
    let placeholder = proto::MqttOptions { topic: "twins/{id}".to_owned(), ..mqtt() };
    let port = proto::MqttOptions { port: 70_000, ..mqtt() };
    let no_identity = proto::KustoOptions { identity: None, ..kusto() };
    let exposed = proto::KustoOptions { ingestion_uri: "http://kusto.example.com".to_owned(), ..kusto() };
    let query = proto::KustoOptions { ingestion_uri: "https://kusto.example.com/?sas".to_owned(), ..kusto() };
    for (options, field) in [
        (Options::Mqtt(wildcard), "mqtt.topic"),
        (Options::Mqtt(placeholder), "mqtt.topic"),
        (Options::Mqtt(port), "mqtt.port"),
        (Options::Kusto(no_identity), "kusto.identity"),
        (Options::Kusto(exposed), "kusto.ingestion_uri"),
        (Options::Kusto(query), "kusto.ingestion_uri"),
    ] {
        assert_eq!(refused_fields(endpoint(options)), [field]);
    }
    assert_eq!(refused_fields(proto::Endpoint::default()), ["name", "destination"]);
}

#[test]
fn a_route_is_the_same_after_a_way_over_the_wire() {
    let sent = route("a-route", "an-endpoint", EventFormat::DataHistory);
    assert_eq!(EventRoute::try_from(proto::EventRoute::from(&sent)), Ok(sent));
}

#[test]
fn a_table_is_followed_by_deltas_and_what_cannot_be_read_stays_as_it_was() {
    let endpoints = [endpoint(Options::Kafka(kafka()))].map(|wire| Endpoint::try_from(wire).ok());
    let older = RouteTable {
        version: 1,
        endpoints: endpoints.into_iter().flatten().map(|it| (it.name.clone(), it)).collect(),
        routes: [route("kept", "an-endpoint", EventFormat::EventNotification)]
            .into_iter()
            .chain([route("gone", "an-endpoint", EventFormat::DataHistory)])
            .map(|it| (it.name.clone(), it))
            .collect(),
    };
    let (mut table, refused) = table_from_wire((&older).into());
    assert_eq!((&table, refused), (&older, vec![]));

    let mut newer = older.clone();
    newer.version = 5;
    newer.routes.remove("gone");
    newer.routes.insert("new".to_owned(), route("new", "an-endpoint", EventFormat::DataHistory));
    let mut wire = proto::RouteTableDelta::from(&older.delta_to(&newer));
    assert_eq!((wire.endpoints.len(), wire.routes.len(), wire.deleted_routes.len()), (0, 1, 1));
    wire.routes.push(proto::EventRoute { name: "kept".to_owned(), event_format: 99, ..Default::default() });
    let (delta, refused) = delta_from_wire(wire);
    assert_eq!(refused.iter().map(|it| &*it.resource).collect::<Vec<_>>(), ["routes/kept"]);
    assert_eq!(table.apply(delta.clone()), Ok(()));
    assert_eq!(table, newer);
    assert!(table.apply(delta).is_err(), "its base is another version");
    assert_eq!(table, newer);
}
