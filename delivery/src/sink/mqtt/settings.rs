//! An endpoint's options with everything resolved.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use secrecy::SecretString;
use twinroute_common::backoff::Backoff;
use twinroute_common::route::{MqttOptions, MqttQos, MqttVersion};
use uuid::Uuid;

use super::tls;
use super::topic::TopicTemplate;
use crate::config::sinks::MqttLimits;
use crate::sink::{SinkContext, SinkError};

/// The namespace of client ids' suffixes; made up once, and never changed.
const SUFFIXES: Uuid = Uuid::from_u128(0x5b0f_19d3_7a5e_4c0c_9d66_2f0a_8d31_e5b4);

/// Characters of the longest client id that every MQTT 3.1 server takes (section 3.1).
const CLIENT_ID_310_MAX: usize = 23;

/// An endpoint's options with everything resolved.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) client_id: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretString>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) topic: TopicTemplate,
    pub(super) qos: MqttQos,
    pub(super) retain: bool,
    pub(super) version: MqttVersion,
    pub(super) limits: MqttLimits,
}

impl Settings {
    pub(super) fn new(name: &str, options: &MqttOptions, context: &SinkContext) -> Result<Self, SinkError> {
        let login = options.login.as_ref();
        let password = login.and_then(|login| login.password.as_ref());
        Ok(Self {
            host: options.broker.clone(),
            port: options.port,
            client_id: client_id(name, options, &context.worker_id),
            username: login.map(|login| login.username.clone()),
            password: password.map(|secret| context.secret(secret)).transpose()?,
            tls: options.tls.as_ref().map(tls::client_config).transpose()?,
            topic: TopicTemplate::parse(&options.topic)?,
            qos: options.qos,
            retain: options.retain,
            version: options.version,
            limits: context.limits.mqtt.clone(),
        })
    }

    pub(super) fn connect_deadline(&self) -> Duration {
        Duration::from_millis(self.limits.connect_deadline_ms)
    }

    pub(super) fn ack_deadline(&self) -> Duration {
        Duration::from_millis(self.limits.ack_deadline_ms)
    }

    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(
            Duration::from_millis(self.limits.reconnect_initial_ms),
            Duration::from_millis(self.limits.reconnect_max_ms),
        )
    }
}

/// A client id with a suffix for this worker and endpoint. It is the same after a restart, so that the broker ends what is
/// left of the connection before.
fn client_id(name: &str, options: &MqttOptions, worker_id: &str) -> String {
    let suffix = Uuid::new_v5(&SUFFIXES, format!("{worker_id}/{name}").as_bytes()).simple().to_string();
    let suffix = suffix.get(..8).unwrap_or_default();
    let base = options.client_id.clone().unwrap_or_else(|| format!("twinroute-{name}"));
    let base_max = match options.version {
        MqttVersion::V310 => CLIENT_ID_310_MAX - 1 - suffix.len(),
        MqttVersion::V311 | MqttVersion::V500 => usize::MAX,
    };
    let base: String = base.chars().take(base_max).collect();
    format!("{base}-{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(client_id: Option<&str>, version: MqttVersion) -> MqttOptions {
        MqttOptions {
            broker: "localhost".to_owned(),
            port: 1883,
            tls: None,
            topic: "twins".to_owned(),
            client_id: client_id.map(str::to_owned),
            login: None,
            qos: MqttQos::AtLeastOnce,
            retain: false,
            version,
        }
    }

    #[test]
    fn no_two_workers_or_endpoints_share_a_client_id() {
        let options = options(Some("plant"), MqttVersion::V500);
        let ids = [
            client_id("events", &options, "worker-1"),
            client_id("events", &options, "worker-2"),
            client_id("alarms", &options, "worker-1"),
        ];
        for id in &ids {
            assert!(id.starts_with("plant-"), "{id}");
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
        }
        assert_eq!(ids.first(), Some(&client_id("events", &options, "worker-1")));
    }

    #[test]
    fn a_client_id_is_short_enough_for_the_first_protocol() {
        let id = client_id("a-very-long-endpoint-name", &options(None, MqttVersion::V310), "worker-1");
        assert_eq!(id.len(), CLIENT_ID_310_MAX);
        let id = client_id("a-very-long-endpoint-name", &options(None, MqttVersion::V311), "worker-1");
        assert!(id.starts_with("twinroute-a-very-long-endpoint-name-"), "{id}");
    }
}
