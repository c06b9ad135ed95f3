//! Options of an MQTT endpoint.

use crate::secret::Secret;

/// Options of an MQTT endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttOptions {
    /// Host name or address of the broker.
    pub broker: String,
    /// TCP port.
    pub port: u16,
    /// TLS; `None` for a plain connection.
    pub tls: Option<MqttTls>,
    /// Topic; may hold `{subject}`, `{type}` and `{twinId}`.
    pub topic: String,
    /// Client id, to which workers add a suffix of their own; `None` for one made from the endpoint's name.
    pub client_id: Option<String>,
    /// User name and password; `None` for none.
    pub login: Option<MqttLogin>,
    /// Quality of service.
    pub qos: MqttQos,
    /// Messages are retained by the broker.
    pub retain: bool,
    /// Version of the protocol.
    pub version: MqttVersion,
}

/// Files for TLS, on the worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MqttTls {
    /// PEM file with the certificates that are trusted; `None` for the system's.
    pub ca_file: Option<String>,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttLogin {
    /// User name.
    pub username: String,
    /// Password; `None` for none.
    pub password: Option<Secret>,
}

/// Quality of service: when a message counts as delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MqttQos {
    /// When it was handed to the socket: messages can be lost.
    AtMostOnce,
    /// When PUBACK came.
    #[default]
    AtLeastOnce,
    /// When PUBCOMP came.
    ExactlyOnce,
}

/// Version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MqttVersion {
    /// MQTT 3.1.
    V310,
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    #[default]
    V500,
}

impl MqttQos {
    /// All of them, by their number.
    pub const ALL: [Self; 3] = [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce];
}

impl MqttVersion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V310, Self::V311, Self::V500];

    /// The name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V310 => "3.1.0",
            Self::V311 => "3.1.1",
            Self::V500 => "5.0.0",
        }
    }
}
