//! Endpoints and event routes: which events go where, and how.

mod endpoint;
mod event_route;
mod identity;
mod kafka;
mod kusto;
mod mqtt;
mod policy;
mod table;
mod violation;
pub mod wire;

pub use endpoint::{DeadLetterContainer, Destination, DestinationKind, Endpoint};
pub use event_route::EventRoute;
pub use identity::{ClientSecretIdentity, TokenIdentity, TokenServer};
pub use kafka::{
    ClientCertificate, Compression, KafkaAccess, KafkaOptions, KafkaSasl, KafkaTls, PasswordMechanism,
};
pub use kusto::{KustoOptions, KustoTables};
pub use mqtt::{MqttLogin, MqttOptions, MqttQos, MqttTls, MqttVersion};
pub use policy::{BackoffRange, DeliveryPolicy, OnExhausted, OnFull};
pub use table::{BaseMismatch, RouteTable, RouteTableDelta};
pub use violation::{Violation, Violations};
