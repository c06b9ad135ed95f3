//! Options of a Kafka or Event Hubs endpoint.

use super::identity::TokenIdentity;
use crate::secret::Secret;

/// Options of a Kafka or Event Hubs endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Which brokers, and how to get in.
    pub access: KafkaAccess,
    /// Topic, or name of the event hub.
    pub topic: String,
    /// Compression of record batches.
    pub compression: Compression,
}

/// Which brokers, and how to get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaAccess {
    /// Brokers by their addresses.
    Brokers {
        /// `host:port` each; never empty.
        brokers: Vec<String>,
        /// TLS; `None` for a plain connection.
        tls: Option<KafkaTls>,
        /// Authentication; `None` for none.
        sasl: Option<KafkaSasl>,
    },
    /// An Event Hubs namespace: TLS, and SASL PLAIN with the user `$ConnectionString`.
    EventHubs {
        /// Connection string; names the namespace.
        connection_string: Secret,
        /// The one to change to when the first is refused.
        secondary_connection_string: Option<Secret>,
    },
}

/// Files for TLS, on the worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaTls {
    /// PEM file with the certificates that are trusted; `None` for the system's.
    pub ca_file: Option<String>,
    /// Client certificate; `None` for none.
    pub client: Option<ClientCertificate>,
}

/// Files of a client certificate, on the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate.
    pub cert_file: String,
    /// PEM file with the key.
    pub key_file: String,
}

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaSasl {
    /// By user name and password.
    Password {
        /// Mechanism.
        mechanism: PasswordMechanism,
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
    /// By an access token.
    OauthBearer(TokenIdentity),
}

/// SASL mechanisms with user name and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMechanism {
    /// RFC 4616.
    Plain,
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802 with SHA-512.
    ScramSha512,
}

/// Compression of record batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl KafkaAccess {
    /// Kafka's name of the security protocol.
    #[must_use]
    pub fn security_protocol(&self) -> &'static str {
        match self {
            Self::Brokers { tls: None, sasl: None, .. } => "PLAINTEXT",
            Self::Brokers { tls: Some(_), sasl: None, .. } => "SSL",
            Self::Brokers { tls: None, sasl: Some(_), .. } => "SASL_PLAINTEXT",
            Self::Brokers { tls: Some(_), sasl: Some(_), .. } | Self::EventHubs { .. } => "SASL_SSL",
        }
    }
}

impl KafkaSasl {
    /// Kafka's name of the mechanism.
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Password { mechanism, .. } => mechanism.name(),
            Self::OauthBearer(_) => "OAUTHBEARER",
        }
    }
}

impl PasswordMechanism {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Kafka's name of the mechanism.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's name of the codec.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}
