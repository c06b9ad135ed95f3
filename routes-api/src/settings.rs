//! The settings of routes-api. Every limit has its unit in its name; `deploy/config/routes-api.yaml` has the reasons.

mod bootstrap;
mod limits;
mod postgres;
mod secrets;
mod store;
mod trial;
mod watch;

use serde::{Deserialize, Serialize};
use twinroute_common::config::{
    Base, HttpSettings, LogSettings, Problem, RuntimeSettings, Settings, ShutdownSettings,
};
use twinroute_common::grpc::ServerSettings;

pub use bootstrap::BootstrapSettings;
pub use limits::LimitSettings;
pub use postgres::{ConnectionStringError, PostgresSettings};
pub use secrets::SecretsSettings;
pub use store::StoreSettings;
pub use trial::TrialSettings;
pub use watch::WatchSettings;

/// All settings of routes-api.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoutesApiSettings {
    /// Where endpoints and routes are kept.
    pub postgres: PostgresSettings,
    /// How they are kept.
    pub store: StoreSettings,
    /// How secrets are kept.
    pub secrets: SecretsSettings,
    /// Endpoints and routes from a file.
    pub bootstrap: BootstrapSettings,
    /// The workers' streams.
    pub watch: WatchSettings,
    /// `TestEventRoute`.
    pub trial: TrialSettings,
    /// How much there may be.
    pub limits: LimitSettings,
    /// gRPC.
    pub grpc: ServerSettings,
    /// Health and metrics.
    pub http: HttpSettings,
    /// What is logged.
    pub log: LogSettings,
    /// Threads.
    pub runtime: RuntimeSettings,
    /// Stopping.
    pub shutdown: ShutdownSettings,
}

impl Default for RoutesApiSettings {
    fn default() -> Self {
        Self {
            postgres: PostgresSettings::default(),
            store: StoreSettings::default(),
            secrets: SecretsSettings::default(),
            bootstrap: BootstrapSettings::default(),
            watch: WatchSettings::default(),
            trial: TrialSettings::default(),
            limits: LimitSettings::default(),
            grpc: ServerSettings::on_port(50052),
            http: HttpSettings::on_port(9093),
            log: LogSettings::default(),
            runtime: RuntimeSettings::default(),
            shutdown: ShutdownSettings::default(),
        }
    }
}

impl Settings for RoutesApiSettings {
    fn base(&self) -> Base<'_> {
        Base { log: &self.log, http: &self.http, runtime: &self.runtime, shutdown: &self.shutdown }
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.postgres.problems();
        problems.extend(self.store.problems());
        problems.extend(self.secrets.problems());
        problems.extend(self.bootstrap.problems());
        problems.extend(self.watch.problems());
        problems.extend(self.trial.problems());
        problems.extend(self.limits.problems());
        problems.extend(self.grpc.problems("grpc"));
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use twinroute_common::config::{check_example, load};

    use super::*;

    const EXAMPLE: &str = include_str!("../../deploy/config/routes-api.yaml");

    #[test]
    fn the_example_has_every_key_with_its_default() {
        assert_eq!(check_example(EXAMPLE, &RoutesApiSettings::default()), []);
    }

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(RoutesApiSettings::default().problems(), []);
    }

    #[test]
    fn every_mistake_is_reported_with_its_key() {
        // given a mistake in each of four sections
        let env = [
            ("TWINROUTE__POSTGRES__URL", "mysql://localhost"),
            ("TWINROUTE__SECRETS__KEY", "too short"),
            ("TWINROUTE__STORE__POLL_MS", "0"),
            ("TWINROUTE__BOOTSTRAP__FILE", "/no/such/file.yaml"),
        ];
        let env = env.map(|(name, value)| (OsString::from(name), OsString::from(value)));

        // when the settings are loaded
        let loaded = load::<RoutesApiSettings>(None, env);

        // then all are named, and the key's text is not
        let problems = loaded.err().map(|errors| errors.problems).unwrap_or_default();
        let keys: Vec<&str> = problems.iter().map(|problem| &*problem.key).collect();
        assert_eq!(keys, ["postgres.url", "store.poll_ms", "secrets.key", "bootstrap.file"]);
        assert!(!format!("{problems:?}").contains("too short"));
    }
}
