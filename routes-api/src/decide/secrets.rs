//! Secrets of endpoints in requests and answers: what is shown, and when a stored one stays.

use twinroute_common::route::wire::secret_fields;
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::endpoint::Destination;
use twinroute_proto::routes::v1::secret::Secret;

use crate::refusal::Refusal;

/// Whether inline secrets can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// There is a key to encrypt them with.
    Encrypted,
    /// There is none.
    Impossible,
}

/// Hides the values of an endpoint's secrets. References stay: they tell no secret.
pub fn redact(endpoint: &mut proto::Endpoint) {
    for (_, secret) in secret_fields(endpoint) {
        if let Some(proto::Secret { secret: secret @ Some(Secret::Value(_)) }) = secret {
            *secret = Some(Secret::Redacted(true));
        }
    }
}

/// Puts the present secrets where an update says "as it was"; gives the fields where that was so.
pub(super) fn keep(updated: &mut proto::Endpoint, present: &proto::Endpoint) -> Vec<&'static str> {
    let mut present = present.clone();
    let mut present = secret_fields(&mut present);
    let mut kept = Vec::new();
    for (field, secret) in secret_fields(updated) {
        let redacted = matches!(secret, Some(proto::Secret { secret: Some(Secret::Redacted(true)) }));
        let stored =
            present.iter_mut().find(|(name, _)| *name == field).and_then(|(_, stored)| stored.take());
        if let Some(stored) = stored.filter(|_| redacted) {
            *secret = Some(stored);
            kept.push(field);
        }
    }
    kept
}

/// Refuses to keep secrets of an endpoint that now leads elsewhere: whoever may write endpoints must not be able to send a
/// stored secret to a server of their own.
///
/// # Errors
/// Each kept field whose secret would now go to another server, or less safely to the same one.
pub(super) fn refuse_elsewhere(
    kept: &[&'static str],
    updated: &proto::Endpoint,
    present: &proto::Endpoint,
) -> Result<(), Refusal> {
    match kept.iter().find(|field| target(updated, field) != target(present, field)) {
        None => Ok(()),
        Some(field) => {
            let reason = "must be given again, because the endpoint leads elsewhere now";
            Err(Refusal::field(format!("endpoint.{field}"), reason))
        }
    }
}

/// Refuses inline secrets where they cannot be kept.
///
/// # Errors
/// When there is one and no key.
pub(super) fn refuse_unkeepable(endpoint: &mut proto::Endpoint, keeping: Keeping) -> Result<(), Refusal> {
    let is_inline = |secret: &Option<proto::Secret>| matches!(secret, Some(proto::Secret { secret: Some(Secret::Value(value)) }) if !value.is_empty());
    match secret_fields(endpoint).into_iter().find(|(_, secret)| is_inline(secret)) {
        Some((field, _)) if keeping == Keeping::Impossible => {
            let reason = "is given as a value, and routes-api has no key to encrypt it with: configure secrets.key, or give \
                          a reference (env:NAME or file:/path)";
            Err(Refusal::field(format!("endpoint.{field}"), reason))
        }
        _ => Ok(()),
    }
}

/// All that decides to whom the secret in a field is sent, and how openly. A connection string names its server itself.
fn target(endpoint: &proto::Endpoint, field: &str) -> Vec<String> {
    let mut target = Vec::new();
    match &endpoint.destination {
        Some(Destination::Kafka(options))
            if field.starts_with("kafka.") && !field.ends_with("connection_string") =>
        {
            target.clone_from(&options.brokers);
            target.sort();
            target.extend(
                [&options.security_protocol, &options.sasl_mechanism, &options.ca_file].map(Clone::clone),
            );
            target.extend(token_server(options.identity.as_ref()));
        }
        Some(Destination::Mqtt(options)) if field.starts_with("mqtt.") => {
            target.extend([options.broker.clone(), options.port.to_string(), options.tls.to_string()]);
            target.push(options.ca_file.clone());
        }
        Some(Destination::Kusto(options)) if field.starts_with("kusto.") => {
            target.push(options.ingestion_uri.clone());
            target.extend(token_server(options.identity.as_ref()));
        }
        _ => {}
    }
    if field.starts_with("dead_letter.") {
        target.extend(endpoint.dead_letter.as_ref().map(|container| container.url.clone()));
    }
    target
}

fn token_server(identity: Option<&proto::TokenIdentity>) -> Vec<String> {
    match identity.and_then(|identity| identity.identity.as_ref()) {
        Some(proto::token_identity::Identity::ClientSecret(identity)) => {
            [&identity.tenant_id, &identity.token_endpoint, &identity.scope].map(Clone::clone).to_vec()
        }
        Some(proto::token_identity::Identity::Azure(_)) | None => Vec::new(),
    }
}
