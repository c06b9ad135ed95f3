//! Secrets on the wire, and where they stand in an endpoint.

use secrecy::{ExposeSecret as _, SecretString};
use twinroute_proto::routes::v1 as proto;

use crate::route::violation::Reading;
use crate::secret::Secret;

/// Reads a secret that may be absent.
pub(super) fn read(reading: &mut Reading, field: &str, secret: Option<proto::Secret>) -> Option<Secret> {
    use proto::secret::Secret as Wire;
    let refusal = match secret?.secret {
        Some(Wire::Value(value)) if !value.is_empty() => {
            return Some(Secret::Value(SecretString::from(value)));
        }
        Some(Wire::Reference(reference)) if is_reference(&reference) => {
            return Some(Secret::Reference(reference));
        }
        Some(Wire::Reference(_)) => "must refer by env:NAME or file:/path",
        Some(Wire::Redacted(true)) => {
            "is redacted, and there is no stored value: give a value or a reference"
        }
        None | Some(Wire::Value(_) | Wire::Redacted(_)) => "is empty: give a value or a reference",
    };
    reading.refuse(field, refusal);
    None
}

/// Reads a secret that must be there.
pub(super) fn required(reading: &mut Reading, field: &str, secret: Option<proto::Secret>) -> Option<Secret> {
    if secret.is_none() {
        reading.refuse(field, "is required");
    }
    read(reading, field, secret)
}

fn is_reference(text: &str) -> bool {
    let name =
        |name: &str| !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    text.strip_prefix("env:").is_some_and(name)
        || text.strip_prefix("file:").is_some_and(|path| !path.is_empty())
}

pub(super) fn write(secret: &Secret) -> proto::Secret {
    use proto::secret::Secret as Wire;
    let secret = match secret {
        Secret::Value(value) => Wire::Value(value.expose_secret().to_owned()),
        Secret::Reference(reference) => Wire::Reference(reference.clone()),
    };
    proto::Secret { secret: Some(secret) }
}

/// Every place of an endpoint where a secret may stand, with the path of its field.
pub fn secret_fields(endpoint: &mut proto::Endpoint) -> Vec<(&'static str, &mut Option<proto::Secret>)> {
    use proto::endpoint::Destination;
    let mut fields = Vec::new();
    match &mut endpoint.destination {
        None => {}
        Some(Destination::Kafka(options)) => {
            fields.push(("kafka.sasl_password", &mut options.sasl_password));
            if let Some(secret) = client_secret(&mut options.identity) {
                fields.push(("kafka.identity.client_secret.client_secret", secret));
            }
            fields.push(("kafka.connection_string", &mut options.connection_string));
            fields.push(("kafka.secondary_connection_string", &mut options.secondary_connection_string));
        }
        Some(Destination::Mqtt(options)) => fields.push(("mqtt.password", &mut options.password)),
        Some(Destination::Kusto(options)) => {
            if let Some(secret) = client_secret(&mut options.identity) {
                fields.push(("kusto.identity.client_secret.client_secret", secret));
            }
        }
    }
    if let Some(container) = &mut endpoint.dead_letter {
        fields.push(("dead_letter.sas", &mut container.sas));
        fields.push(("dead_letter.read_sas", &mut container.read_sas));
    }
    fields
}

fn client_secret(identity: &mut Option<proto::TokenIdentity>) -> Option<&mut Option<proto::Secret>> {
    match identity.as_mut()?.identity.as_mut()? {
        proto::token_identity::Identity::ClientSecret(identity) => Some(&mut identity.client_secret),
        proto::token_identity::Identity::Azure(_) => None,
    }
}
