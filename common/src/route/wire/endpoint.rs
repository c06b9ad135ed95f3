//! Endpoints on the wire.

use twinroute_proto::routes::v1 as proto;

use super::{kafka, kusto, mqtt, policy, secret, url};
use crate::object_container::Location;
use crate::route::endpoint::{DeadLetterContainer, Destination, Endpoint};
use crate::route::violation::{Reading, Violations};

impl TryFrom<proto::Endpoint> for Endpoint {
    type Error = Violations;

    /// Reads and checks an endpoint; what the server sets is ignored.
    fn try_from(endpoint: proto::Endpoint) -> Result<Self, Violations> {
        let mut reading = Reading::default();
        let endpoint = read(&mut reading, endpoint);
        reading.finish(endpoint)
    }
}

fn read(reading: &mut Reading, endpoint: proto::Endpoint) -> Option<Endpoint> {
    let name = super::name(reading, "name", endpoint.name);
    let destination = destination(reading, endpoint.destination);
    let has_dead_letters = endpoint.dead_letter.is_some();
    let dead_letter = endpoint
        .dead_letter
        .map(|container| reading.within("dead_letter", |reading| dead_letter(reading, container)));
    let policy = endpoint.delivery_policy.unwrap_or_default();
    let policy = reading.within("delivery_policy", |reading| policy::read(reading, policy, has_dead_letters));
    Some(Endpoint { name, destination: destination?, policy: policy?, dead_letter })
}

fn destination(
    reading: &mut Reading,
    destination: Option<proto::endpoint::Destination>,
) -> Option<Destination> {
    use proto::endpoint::Destination as Wire;
    match destination {
        None => {
            reading.refuse("destination", "is required: set `kafka`, `mqtt` or `kusto`");
            None
        }
        Some(Wire::Kafka(options)) => {
            reading.within("kafka", |reading| kafka::read(reading, options)).map(Destination::Kafka)
        }
        Some(Wire::Mqtt(options)) => {
            reading.within("mqtt", |reading| mqtt::read(reading, options)).map(Destination::Mqtt)
        }
        Some(Wire::Kusto(options)) => {
            reading.within("kusto", |reading| kusto::read(reading, options)).map(Destination::Kusto)
        }
    }
}

fn dead_letter(reading: &mut Reading, container: proto::DeadLetterContainer) -> DeadLetterContainer {
    let sas = secret::read(reading, "sas", container.sas);
    let read_sas = secret::read(reading, "read_sas", container.read_sas);
    if let Some(uri) = url::check(reading, "url", &container.url) {
        if url::is_exposed(&uri) && (sas.is_some() || read_sas.is_some()) {
            reading.refuse("url", "must be https: a SAS is not sent unencrypted");
        }
        if let Err(refusal) = Location::parse(&container.url) {
            reading.refuse("url", refusal.to_string());
        }
    }
    DeadLetterContainer { url: container.url, sas, read_sas }
}

impl From<&Endpoint> for proto::Endpoint {
    /// Secrets are written as values or references; what the server sets is left out.
    fn from(endpoint: &Endpoint) -> Self {
        use proto::endpoint::Destination as Wire;
        let destination = match &endpoint.destination {
            Destination::Kafka(options) => Wire::Kafka(kafka::write(options)),
            Destination::Mqtt(options) => Wire::Mqtt(mqtt::write(options)),
            Destination::Kusto(options) => Wire::Kusto(kusto::write(options)),
        };
        Self {
            name: endpoint.name.clone(),
            destination: Some(destination),
            delivery_policy: Some(policy::write(&endpoint.policy)),
            dead_letter: endpoint.dead_letter.as_ref().map(|container| proto::DeadLetterContainer {
                url: container.url.clone(),
                sas: container.sas.as_ref().map(secret::write),
                read_sas: container.read_sas.as_ref().map(secret::write),
            }),
            ..Self::default()
        }
    }
}
