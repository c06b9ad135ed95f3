//! The documented file works as it is, and every mistake is found with its line.

use twinroute_common::format::EventFormat;
use twinroute_common::route::{Destination, KafkaAccess, KafkaSasl, TokenIdentity};

use super::*;

/// The example of the AgeDigitalTwins documentation ("Event Routing", "Configuration").
const DOCUMENTED: &str = r#"
events:
  config:
    eventSinks:
      kafka:
        - name: KafkaSink
          brokerList: your-eventhub-namespace.servicebus.windows.net
          topic: your-eventhub-name
          saslMechanism: OAUTHBEARER
      kusto:
        - name: AdxSink
          ingestionUri: https://ingest-your-cluster.region.kusto.windows.net
          database: your-database
      mqtt:
        - name: MqttSink
          broker: your-mqtt-broker-host
          port: 1883
          topic: digitaltwins/events
          clientId: agedt-client
          username: your-username
          password: your-password
"#;

fn read(text: &str) -> Result<FileResources, Vec<Mistake>> {
    let environment = |name: &str| (name == "MQTT_PASSWORD").then(|| "hunter2".to_owned());
    parse(Arc::new(PathBuf::from("sinks.yaml")), text, &environment)
}

#[test]
fn the_documented_example_makes_three_endpoints_with_a_route_each() {
    let resources = read(DOCUMENTED).unwrap();
    assert_eq!(resources.endpoints.keys().collect::<Vec<_>>(), ["AdxSink", "KafkaSink", "MqttSink"]);
    let Destination::Kafka(kafka) = &resources.endpoints["KafkaSink"].destination else {
        panic!("a Kafka endpoint")
    };
    let KafkaAccess::Brokers { brokers, tls, sasl } = &kafka.access else { panic!("brokers") };
    assert_eq!(brokers, &["your-eventhub-namespace.servicebus.windows.net:9093"]);
    assert!(tls.is_some());
    assert_eq!(sasl, &Some(KafkaSasl::OauthBearer(TokenIdentity::Azure { client_id: None })));
    let routes: Vec<_> = resources.routes.values().map(|it| (&*it.name, it.format)).collect();
    let expected = [
        ("AdxSink-DataHistory", EventFormat::DataHistory),
        ("KafkaSink-EventNotification", EventFormat::EventNotification),
        ("MqttSink-EventNotification", EventFormat::EventNotification),
    ];
    assert_eq!(routes, expected);
}

#[test]
fn routes_have_formats_filters_mappings_and_names_of_their_own() {
    let text = format!(
        "{DOCUMENTED}    eventRoutes:
      - sinkName: KafkaSink
        eventFormat: DataHistory
      - sinkName: KafkaSink
        eventFormat: DataHistory
        filter: 'false'
        typeMappings:
          TwinCreate: Microsoft.DigitalTwins.Twin.Create
          Konnektr.DigitalTwins.Property.Event: property
"
    );
    let resources = read(&text).unwrap();
    let names: Vec<_> = resources.routes.keys().map(String::as_str).collect();
    assert_eq!(names, ["KafkaSink-DataHistory", "KafkaSink-DataHistory-2"]);
    let second = &resources.routes["KafkaSink-DataHistory-2"];
    assert_eq!((&*second.filter, second.types.renamed().count()), ("false", 2));
}

#[test]
fn variables_are_expanded_and_references_stay() {
    let text = DOCUMENTED.replace("your-password", "${MQTT_PASSWORD}");
    let with_value = read(&text).unwrap();
    let with_reference = read(&DOCUMENTED.replace("your-password", "env:TWINROUTE_SECRET_MQTT")).unwrap();
    let password = |resources: &FileResources| match &resources.endpoints["MqttSink"].destination {
        Destination::Mqtt(options) => options.login.as_ref().and_then(|login| login.password.clone()),
        _ => None,
    };
    use twinroute_common::secret::Secret;
    assert_eq!(password(&with_value), Some(Secret::Value("hunter2".to_owned().into())));
    assert_eq!(password(&with_reference), Some(Secret::Reference("env:TWINROUTE_SECRET_MQTT".to_owned())));
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let text = "events:
  config:
    eventSinks:
      kafka:
        - name: Hub
          brokerlist: broker
          topic: twins
          saslMechanism: KERBEROS
      mqtt:
        - name: Mqtt
          broker: broker
          topic: twins/#
          port: many
          password: ${UNSET}
      nats:
        - name: Nats
    eventRoutes:
      - sinkName: Nobody
        eventFormat: Notification
";
    let mistakes = read(text).unwrap_err();
    let found: Vec<_> = mistakes.iter().map(|it| (it.line, it.message.as_str())).collect();
    let expected = [
        (5, "needs `brokerList`"),
        (6, "unknown key `brokerlist`"),
        (8, "`saslMechanism` is `KERBEROS`"),
        (12, "wildcards"),
        (13, "`port` must be a TCP port"),
        (14, "UNSET"),
        (15, "unknown key `nats`"),
        (18, "`sinkName` is `Nobody`"),
        (19, "`eventFormat` is `Notification`"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, message), (expected_line, part)) in found.into_iter().zip(expected) {
        assert_eq!(line, expected_line, "{message}");
        assert!(message.contains(part), "{message}");
    }
    assert!(mistakes[0].to_string().starts_with("sinks.yaml: line 5: "));
}

#[test]
fn a_name_is_used_once_and_kusto_takes_data_history_only() {
    let text = DOCUMENTED.replace("name: MqttSink", "name: KafkaSink");
    assert!(read(&text).unwrap_err()[0].message.contains("a second sink is named `KafkaSink`"));
    let text = format!(
        "{DOCUMENTED}    eventRoutes:\n      - sinkName: AdxSink\n        eventFormat: EventNotification\n"
    );
    let mistakes = read(&text).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].message.contains("takes DataHistory"), "{mistakes:?}");
}
