//! The settings of a delivery worker.

mod backlog;
mod dead_letters;
mod endpoint;
mod memory;
mod routes;
pub mod sinks;
mod stream;
mod worker;

use serde::{Deserialize, Serialize};
use twinroute_common::config::{
    Base, HttpSettings, LogSettings, Problem, RuntimeSettings, Settings, ShutdownSettings,
};
use twinroute_common::grpc::ClientSettings;
use twinroute_common::secret::SecretPolicy;

pub use backlog::BacklogSettings;
pub use dead_letters::DeadLettersSettings;
pub use endpoint::EndpointSettings;
pub use memory::MemorySettings;
pub use routes::RoutesSettings;
pub use stream::StreamSettings;
pub use worker::WorkerSettings;

use sinks::SinkLimits;

/// The settings of a delivery worker; `deploy/config/delivery.yaml` shows every key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverySettings {
    /// What is logged.
    pub log: LogSettings,
    /// Health and metrics.
    pub http: HttpSettings,
    /// Threads.
    pub runtime: RuntimeSettings,
    /// Stopping.
    pub shutdown: ShutdownSettings,
    /// What references to secrets may name.
    pub secrets: SecretPolicy,
    /// Who this worker is.
    pub worker: WorkerSettings,
    /// How capture is reached.
    pub capture: ClientSettings,
    /// What is taken from capture, and how much of it at a time.
    pub stream: StreamSettings,
    /// What the process may hold.
    pub memory: MemorySettings,
    /// How routes-api is reached.
    pub routes_api: ClientSettings,
    /// The route table.
    pub routes: RoutesSettings,
    /// Every endpoint.
    pub endpoint: EndpointSettings,
    /// Items that no endpoint can take.
    pub dead_letters: DeadLettersSettings,
    /// Where events are parked that a destination does not take.
    pub backlog: BacklogSettings,
    /// Every sink.
    pub sink: SinkLimits,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            log: LogSettings::default(),
            http: HttpSettings::on_port(9092),
            runtime: RuntimeSettings::default(),
            shutdown: ShutdownSettings::default(),
            secrets: SecretPolicy::default(),
            worker: WorkerSettings::default(),
            capture: ClientSettings::to("http://127.0.0.1:50051"),
            stream: StreamSettings::default(),
            memory: MemorySettings::default(),
            routes_api: ClientSettings::to("http://127.0.0.1:50052"),
            routes: RoutesSettings::default(),
            endpoint: EndpointSettings::default(),
            dead_letters: DeadLettersSettings::default(),
            backlog: BacklogSettings::default(),
            sink: SinkLimits::default(),
        }
    }
}

impl Settings for DeliverySettings {
    fn base(&self) -> Base<'_> {
        Base { log: &self.log, http: &self.http, runtime: &self.runtime, shutdown: &self.shutdown }
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.secrets.problems();
        problems.extend(self.worker.problems());
        problems.extend(self.capture.problems("capture"));
        problems.extend(self.stream.problems());
        problems.extend(self.memory.problem(&self.stream));
        problems.extend(self.routes_api.problems("routes_api"));
        problems.extend(self.routes.problems());
        problems.extend(self.endpoint.problems());
        problems.extend(self.dead_letters.problems());
        problems.extend(self.backlog.problems());
        if self.backlog.is_used() && !self.stream.group_token.is_empty() {
            let message =
                "the backlog store's id takes its place: remove the key, or set backlog.url to \"\"";
            problems.push(Problem::new("stream.group_token", message));
        }
        problems.extend(self.sink.problems());
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use twinroute_common::config::{check_example, load};

    use super::*;

    const EXAMPLE: &str = include_str!("../../deploy/config/delivery.yaml");

    #[test]
    fn the_example_has_every_key_with_its_default() {
        assert_eq!(check_example(EXAMPLE, &DeliverySettings::default()), []);
    }

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(DeliverySettings::default().problems(), []);
    }

    #[test]
    fn every_mistake_is_reported_with_its_key() {
        // given a mistake in each of five variables
        let env = [
            ("TWINROUTE__STREAM__CREDIT_EVENTS_MAX", "0"),
            ("TWINROUTE__ROUTES__CACHE_FILE", "table"),
            ("TWINROUTE__DEAD_LETTERS__URL", "letters"),
            ("TWINROUTE__BACKLOG__URL", "https://plant.blob.core.windows.net/backlog?sig=secret"),
            ("TWINROUTE__SINK__MQTT__IN_FLIGHT_EVENTS_MAX", "0"),
        ];
        let env = env.map(|(name, value)| (OsString::from(name), OsString::from(value)));

        // when the settings are loaded
        let loaded = load::<DeliverySettings>(None, env);

        // then all of them are named
        let problems = loaded.err().map(|errors| errors.problems).unwrap_or_default();
        let keys: Vec<&str> = problems.iter().map(|problem| &*problem.key).collect();
        let expected = [
            "stream.credit_events_max",
            "routes.cache_key",
            "dead_letters.url",
            "backlog.url",
            "sink.mqtt.in_flight_events_max",
        ];
        assert_eq!(keys, expected);
    }
}
