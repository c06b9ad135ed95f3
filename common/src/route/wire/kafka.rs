//! Options of Kafka endpoints on the wire.

use twinroute_proto::routes::v1 as proto;

use super::{identity, non_empty, secret, url};
use crate::route::kafka::{
    ClientCertificate, Compression, KafkaAccess, KafkaOptions, KafkaSasl, KafkaTls, PasswordMechanism,
};
use crate::route::violation::Reading;

/// Port of a broker that names none: the one of Event Hubs, and what AgeDigitalTwins adds.
const DEFAULT_PORT: u16 = 9093;
/// Kafka's own bound of a topic's name.
const TOPIC_CHARACTERS_MAX: usize = 249;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

#[derive(Clone, Copy)]
enum Mechanism {
    Password(PasswordMechanism),
    OauthBearer,
}

const PROTOCOLS: [Protocol; 4] =
    [Protocol::Plaintext, Protocol::Ssl, Protocol::SaslPlaintext, Protocol::SaslSsl];
const MECHANISMS: [Mechanism; 4] = [
    Mechanism::Password(PasswordMechanism::Plain),
    Mechanism::Password(PasswordMechanism::ScramSha256),
    Mechanism::Password(PasswordMechanism::ScramSha512),
    Mechanism::OauthBearer,
];

pub(super) fn read(reading: &mut Reading, options: proto::KafkaOptions) -> Option<KafkaOptions> {
    let topic = topic(reading, &options.topic);
    let compression =
        reading.choice("compression", &options.compression, &Compression::ALL, Compression::name);
    let access = if options.connection_string.is_some() || options.secondary_connection_string.is_some() {
        read_event_hubs(reading, options)
    } else {
        read_brokers(reading, options)
    };
    Some(KafkaOptions { access: access?, topic, compression: compression.unwrap_or_default() })
}

fn topic(reading: &mut Reading, topic: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    if topic.is_empty() {
        reading.refuse("topic", "is required");
    } else if topic.len() > TOPIC_CHARACTERS_MAX || !topic.chars().all(allowed) || matches!(topic, "." | "..")
    {
        let rule = format!("a topic has at most {TOPIC_CHARACTERS_MAX} letters, digits, `.`, `-` and `_`");
        reading.refuse("topic", format!("is `{topic}`; {rule}"));
    }
    topic.to_owned()
}

fn read_event_hubs(reading: &mut Reading, options: proto::KafkaOptions) -> Option<KafkaAccess> {
    for (field, given) in [
        ("brokers", !options.brokers.is_empty()),
        ("security_protocol", !options.security_protocol.is_empty()),
        ("sasl_mechanism", !options.sasl_mechanism.is_empty()),
        ("sasl_username", !options.sasl_username.is_empty()),
        ("sasl_password", options.sasl_password.is_some()),
        ("identity", options.identity.is_some()),
        ("ca_file", !options.ca_file.is_empty()),
        ("client_cert_file", !options.client_cert_file.is_empty()),
        ("client_key_file", !options.client_key_file.is_empty()),
    ] {
        if given {
            reading
                .refuse(field, "does not go with `connection_string`, which replaces brokers, TLS and SASL");
        }
    }
    Some(KafkaAccess::EventHubs {
        secondary_connection_string: secret::read(
            reading,
            "secondary_connection_string",
            options.secondary_connection_string,
        ),
        connection_string: secret::required(reading, "connection_string", options.connection_string)?,
    })
}

fn read_brokers(reading: &mut Reading, options: proto::KafkaOptions) -> Option<KafkaAccess> {
    let mechanism = reading.choice("sasl_mechanism", &options.sasl_mechanism, &MECHANISMS, Mechanism::name);
    let protocol = reading
        .choice("security_protocol", &options.security_protocol, &PROTOCOLS, Protocol::name)
        .unwrap_or(if mechanism.is_some() { Protocol::SaslSsl } else { Protocol::Plaintext });
    match (protocol.has_sasl(), mechanism.is_some()) {
        (true, false) => reading.refuse("sasl_mechanism", format!("is required with {}", protocol.name())),
        (false, true) => {
            let wanted = "must be SASL_SSL or SASL_PLAINTEXT with a SASL mechanism";
            reading.refuse("security_protocol", wanted);
        }
        _ => {}
    }
    Some(KafkaAccess::Brokers {
        brokers: brokers(reading, &options.brokers),
        tls: tls(reading, protocol, &options),
        sasl: sasl(reading, mechanism, options),
    })
}

fn brokers(reading: &mut Reading, brokers: &[String]) -> Vec<String> {
    if brokers.is_empty() {
        reading.refuse("brokers", "is required, unless `connection_string` names an Event Hubs namespace");
    }
    let mut addresses = Vec::with_capacity(brokers.len());
    for broker in brokers {
        match url::host_and_port(broker, DEFAULT_PORT) {
            Some(address) => addresses.push(address),
            None => reading.refuse("brokers", format!("has `{broker}`, which is not of the form host:port")),
        }
    }
    addresses
}

fn tls(reading: &mut Reading, protocol: Protocol, options: &proto::KafkaOptions) -> Option<KafkaTls> {
    let [ca_file, cert_file, key_file] =
        [&options.ca_file, &options.client_cert_file, &options.client_key_file]
            .map(|file| non_empty(file.clone()));
    if !protocol.has_tls() {
        if ca_file.is_some() || cert_file.is_some() || key_file.is_some() {
            let field = if ca_file.is_some() { "ca_file" } else { "client_cert_file" };
            reading.refuse(field, "needs TLS: set `security_protocol` to SSL or SASL_SSL");
        }
        return None;
    }
    let client = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => Some(ClientCertificate { cert_file, key_file }),
        (None, None) => None,
        (Some(_), None) => {
            reading.refuse("client_key_file", "is required with `client_cert_file`");
            None
        }
        (None, Some(_)) => {
            reading.refuse("client_cert_file", "is required with `client_key_file`");
            None
        }
    };
    Some(KafkaTls { ca_file, client })
}

fn sasl(
    reading: &mut Reading,
    mechanism: Option<Mechanism>,
    options: proto::KafkaOptions,
) -> Option<KafkaSasl> {
    let password_given = !options.sasl_username.is_empty() || options.sasl_password.is_some();
    if password_given && !matches!(mechanism, Some(Mechanism::Password(_))) {
        reading.refuse("sasl_username", "and `sasl_password` need `sasl_mechanism` PLAIN or SCRAM");
    }
    if options.identity.is_some() && !matches!(mechanism, Some(Mechanism::OauthBearer)) {
        reading.refuse("identity", "needs `sasl_mechanism` OAUTHBEARER");
    }
    match mechanism? {
        Mechanism::Password(mechanism) => Some(KafkaSasl::Password {
            mechanism,
            username: reading.required("sasl_username", options.sasl_username),
            password: secret::required(reading, "sasl_password", options.sasl_password)?,
        }),
        Mechanism::OauthBearer => {
            let Some(identity) = options.identity else {
                reading.refuse("identity", "is required with OAUTHBEARER");
                return None;
            };
            reading
                .within("identity", |reading| identity::read(reading, identity))
                .map(KafkaSasl::OauthBearer)
        }
    }
}

pub(super) fn write(options: &KafkaOptions) -> proto::KafkaOptions {
    let mut wire = proto::KafkaOptions {
        topic: options.topic.clone(),
        compression: options.compression.name().to_owned(),
        ..Default::default()
    };
    match &options.access {
        KafkaAccess::EventHubs { connection_string, secondary_connection_string } => {
            wire.connection_string = Some(secret::write(connection_string));
            wire.secondary_connection_string = secondary_connection_string.as_ref().map(secret::write);
        }
        KafkaAccess::Brokers { brokers, tls, sasl } => {
            wire.brokers.clone_from(brokers);
            wire.security_protocol = options.access.security_protocol().to_owned();
            if let Some(tls) = tls {
                wire.ca_file = tls.ca_file.clone().unwrap_or_default();
                if let Some(client) = &tls.client {
                    wire.client_cert_file.clone_from(&client.cert_file);
                    wire.client_key_file.clone_from(&client.key_file);
                }
            }
            wire.sasl_mechanism = sasl.as_ref().map_or("", KafkaSasl::mechanism).to_owned();
            match sasl {
                None => {}
                Some(KafkaSasl::Password { username, password, .. }) => {
                    wire.sasl_username.clone_from(username);
                    wire.sasl_password = Some(secret::write(password));
                }
                Some(KafkaSasl::OauthBearer(identity)) => wire.identity = Some(identity::write(identity)),
            }
        }
    }
    wire
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Password(mechanism) => mechanism.name(),
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}
