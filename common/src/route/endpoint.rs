//! A destination of events.

use super::kafka::KafkaOptions;
use super::kusto::KustoOptions;
use super::mqtt::MqttOptions;
use super::policy::{DeliveryPolicy, OnExhausted};
use crate::format::EventFormat;
use crate::secret::Secret;

/// A destination, and how delivery to it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name: 2 to 50 characters, letters, digits and `-`, starts with a letter.
    pub name: String,
    /// Where it leads.
    pub destination: Destination,
    /// How delivery is tried.
    pub policy: DeliveryPolicy,
    /// Where events go that can't be delivered; `None` for nowhere.
    pub dead_letter: Option<DeadLetterContainer>,
}

/// Where an endpoint leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Apache Kafka or Azure Event Hubs.
    Kafka(KafkaOptions),
    /// An MQTT broker.
    Mqtt(MqttOptions),
    /// Azure Data Explorer, by queued ingestion.
    Kusto(KustoOptions),
}

/// The kinds of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DestinationKind {
    /// Apache Kafka or Azure Event Hubs.
    Kafka,
    /// An MQTT broker.
    Mqtt,
    /// Azure Data Explorer.
    Kusto,
}

/// Where events go that can't be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterContainer {
    /// `https://<account>.blob.core.windows.net/<container>`, without a SAS.
    pub url: String,
    /// SAS with write permission.
    pub sas: Option<Secret>,
    /// SAS with read, list and delete permission.
    pub read_sas: Option<Secret>,
}

impl Endpoint {
    /// What happens to an event that is given up: as the policy says, where it says nothing a dead letter, and nowhere a
    /// dead letter without a container for it.
    #[must_use]
    pub fn on_exhausted(&self) -> OnExhausted {
        match (self.policy.on_exhausted, &self.dead_letter) {
            (Some(OnExhausted::DeadLetter) | None, Some(_)) => OnExhausted::DeadLetter,
            (Some(OnExhausted::DeadLetter) | None, None) => OnExhausted::Block,
            (Some(chosen @ (OnExhausted::Block | OnExhausted::Drop)), _) => chosen,
        }
    }
}

impl Destination {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        match self {
            Self::Kafka(_) => DestinationKind::Kafka,
            Self::Mqtt(_) => DestinationKind::Mqtt,
            Self::Kusto(_) => DestinationKind::Kusto,
        }
    }
}

impl DestinationKind {
    /// The name, as it stands in the API: `kafka`, `mqtt` or `kusto`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Mqtt => "mqtt",
            Self::Kusto => "kusto",
        }
    }

    /// The format of a route that names none.
    #[must_use]
    pub fn default_format(self) -> EventFormat {
        match self {
            Self::Kafka | Self::Mqtt => EventFormat::EventNotification,
            Self::Kusto => EventFormat::DataHistory,
        }
    }

    /// Whether a destination of this kind can take events of the format. Kusto's tables hold data history only.
    #[must_use]
    pub fn takes(self, format: EventFormat) -> bool {
        match self {
            Self::Kafka | Self::Mqtt => true,
            Self::Kusto => format == EventFormat::DataHistory,
        }
    }
}
