//! Sinks of the bootstrap file: endpoints of each kind.

use std::collections::BTreeMap;

use twinroute_common::route::{Endpoint, Violation};
use twinroute_common::secret::Secret;
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::endpoint::Destination;
use twinroute_proto::routes::v1::token_identity::Identity;

use super::fields::Fields;

/// The endpoints of all sinks, by name.
pub(super) fn read(kinds: &mut Fields<'_, '_>) -> BTreeMap<String, Endpoint> {
    let mut endpoints: BTreeMap<String, Endpoint> = BTreeMap::new();
    let mut sinks = kinds.each("kafka", "a Kafka sink", |fields| endpoint(fields, kafka));
    sinks.extend(kinds.each("kusto", "a Kusto sink", |fields| endpoint(fields, kusto)));
    sinks.extend(kinds.each("mqtt", "an MQTT sink", |fields| endpoint(fields, mqtt)));
    for (line, endpoint) in sinks {
        if endpoints.contains_key(&endpoint.name) {
            let name = &endpoint.name;
            kinds.refuse_at(
                line,
                format!("a second sink is named `{name}`; a name is used once, whatever the kind"),
            );
        }
        endpoints.insert(endpoint.name.clone(), endpoint);
    }
    endpoints
}

fn endpoint(
    fields: &mut Fields<'_, '_>,
    destination: impl FnOnce(&mut Fields<'_, '_>) -> Destination,
) -> Option<Endpoint> {
    let name = fields.required("name");
    let destination = Some(destination(fields));
    let wire = proto::Endpoint { name, destination, ..proto::Endpoint::default() };
    let violations = Endpoint::try_from(wire).map_err(|violations| {
        for violation in violations.as_slice() {
            let (key, message) = explain(violation);
            // What is missing was said where it was read.
            let said =
                matches!(&*key, "name" | "topic" | "broker" | "database" | "ingestionUri" | "brokerList")
                    && violation.reason.starts_with("is required");
            if !said {
                fields.refuse(&key, message);
            }
        }
    });
    violations.ok()
}

/// The file's key for a violated field, and what to say of it.
fn explain(violation: &Violation) -> (String, String) {
    let field = violation.field.rsplit('.').next().unwrap_or_default();
    let key = match field {
        "brokers" => "brokerList".to_owned(),
        field => camel_case(field),
    };
    let message = format!("`{key}` {}", violation.reason);
    (key, message)
}

fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let mut key = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut characters = word.chars();
        key.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        key.push_str(characters.as_str());
    }
    key
}

fn kafka(fields: &mut Fields<'_, '_>) -> Destination {
    let connection_string = secret(fields, "connectionString");
    let brokers = match connection_string {
        None => fields.required("brokerList"),
        Some(_) => fields.text("brokerList"),
    };
    let sasl_mechanism = fields.text("saslMechanism");
    let identity = identity(fields, sasl_mechanism == "OAUTHBEARER");
    Destination::Kafka(proto::KafkaOptions {
        brokers: brokers
            .split(',')
            .map(|broker| broker.trim().to_owned())
            .filter(|it| !it.is_empty())
            .collect(),
        topic: fields.required("topic"),
        security_protocol: security_protocol(&fields.text("securityProtocol")),
        sasl_mechanism,
        sasl_username: fields.text("saslUsername"),
        sasl_password: secret(fields, "saslPassword"),
        identity,
        ca_file: fields.text("caFile"),
        client_cert_file: fields.text("clientCertFile"),
        client_key_file: fields.text("clientKeyFile"),
        compression: fields.text("compression"),
        connection_string,
        secondary_connection_string: secret(fields, "secondaryConnectionString"),
    })
}

/// .NET's spelling is taken too: `SaslSsl` is SASL_SSL.
fn security_protocol(text: &str) -> String {
    let plain: String = text.chars().filter(|character| *character != '_').collect();
    match &*plain.to_ascii_lowercase() {
        "plaintext" => "PLAINTEXT".to_owned(),
        "ssl" => "SSL".to_owned(),
        "saslplaintext" => "SASL_PLAINTEXT".to_owned(),
        "saslssl" => "SASL_SSL".to_owned(),
        _ => text.to_owned(),
    }
}

fn mqtt(fields: &mut Fields<'_, '_>) -> Destination {
    let truth = "true or false";
    Destination::Mqtt(proto::MqttOptions {
        broker: fields.required("broker"),
        port: fields.parsed("port", "a TCP port").unwrap_or(0),
        tls: fields.parsed("tls", truth).unwrap_or(false),
        topic: fields.required("topic"),
        client_id: fields.text("clientId"),
        username: fields.text("username"),
        password: secret(fields, "password"),
        qos: fields.parsed("qos", "0, 1 or 2"),
        retain: fields.parsed("retain", truth).unwrap_or(false),
        protocol_version: fields.text("protocolVersion"),
        ca_file: fields.text("caFile"),
    })
}

fn kusto(fields: &mut Fields<'_, '_>) -> Destination {
    let ingestion_uri = fields.required("ingestionUri");
    let identity = identity(fields, ingestion_uri.starts_with("https://"));
    Destination::Kusto(proto::KustoOptions {
        ingestion_uri,
        database: fields.required("database"),
        property_events_table: fields.text("propertyEventsTable"),
        twin_life_cycle_events_table: fields.text("twinLifeCycleEventsTable"),
        relationship_life_cycle_events_table: fields.text("relationshipLifeCycleEventsTable"),
        create_tables: fields.parsed("createTables", "true or false"),
        identity,
    })
}

/// A client with its secret, or else the worker's own Azure identity where the sink needs tokens.
fn identity(fields: &mut Fields<'_, '_>, needed: bool) -> Option<proto::TokenIdentity> {
    let [tenant_id, client_id, token_endpoint, scope] =
        ["tenantId", "clientId", "tokenEndpoint", "scope"].map(|key| fields.text(key));
    let client_secret = secret(fields, "clientSecret");
    let identity = if client_secret.is_some() {
        Identity::ClientSecret(proto::ClientSecretIdentity {
            tenant_id,
            token_endpoint,
            client_id,
            client_secret,
            scope,
        })
    } else {
        for (key, text) in [("tenantId", tenant_id), ("tokenEndpoint", token_endpoint), ("scope", scope)] {
            if !text.is_empty() {
                fields.refuse(key, format!("`{key}` needs `clientSecret`"));
            }
        }
        if !needed && client_id.is_empty() {
            return None;
        }
        Identity::Azure(proto::AzureIdentity { client_id })
    };
    Some(proto::TokenIdentity { identity: Some(identity) })
}

/// A secret: a value, which stays in memory, or a reference for the workers.
fn secret(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<proto::Secret> {
    use proto::secret::Secret as Wire;
    let text = fields.text(key);
    if text.is_empty() {
        return None;
    }
    let secret = match Secret::new(text.clone()) {
        Secret::Reference(reference) => Wire::Reference(reference),
        Secret::Value(_) => Wire::Value(text),
    };
    Some(proto::Secret { secret: Some(secret) })
}
