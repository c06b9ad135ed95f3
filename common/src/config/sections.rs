//! The sections every service has: `log`, `http`, `runtime`, `shutdown`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Problem, check};

/// The common sections of one service's settings.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Section `log`.
    pub log: &'a LogSettings,
    /// Section `http`.
    pub http: &'a HttpSettings,
    /// Section `runtime`.
    pub runtime: &'a RuntimeSettings,
    /// Section `shutdown`.
    pub shutdown: &'a ShutdownSettings,
}

impl Base<'_> {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let level = tracing_subscriber::EnvFilter::try_new(&self.log.level).err().map(|_| {
            Problem::new("log.level", "is not a filter; write info, or info,twinroute_capture=debug")
        });
        let http = self.http;
        let hour_ms = 3_600_000;
        [
            level,
            check::range("http.request_timeout_ms", &http.request_timeout_ms, &(100..=hour_ms)),
            check::range("http.connections_max", &http.connections_max, &(1..=10_000)),
            check::range("http.live_deadline_ms", &http.live_deadline_ms, &(1_000..=hour_ms)),
            check::range("runtime.worker_threads", &self.runtime.worker_threads, &(1..=512)),
            check::range("shutdown.grace_ms", &self.shutdown.grace_ms, &(0..=hour_ms)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Section `log`: what is written to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `text` for people, `json` for collectors.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module: `info,twinroute_capture=debug`.
    pub level: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line.
    Text,
    /// One JSON object.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// Section `http`: health and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
    /// From accepting a connection to the end of its one answer, in milliseconds.
    pub request_timeout_ms: u64,
    /// Connections at the same time; more wait.
    pub connections_max: usize,
    /// The main loop counts as stuck when it gave no sign for this long, in milliseconds.
    pub live_deadline_ms: u64,
}

impl HttpSettings {
    /// The defaults on 127.0.0.1 and `port`.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            request_timeout_ms: 5_000,
            connections_max: 64,
            live_deadline_ms: 10_000,
        }
    }

    /// `request_timeout_ms`.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// `live_deadline_ms`.
    #[must_use]
    pub fn live_deadline(&self) -> Duration {
        Duration::from_millis(self.live_deadline_ms)
    }
}

impl Default for HttpSettings {
    /// On a port that the system chooses; each service names its own with [`HttpSettings::on_port`].
    fn default() -> Self {
        Self::on_port(0)
    }
}

/// Section `runtime`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeSettings {
    /// Threads that run the service's tasks.
    pub worker_threads: usize,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self { worker_threads: 2 }
    }
}

/// Section `shutdown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownSettings {
    /// How long the service may take to settle its work after SIGTERM, in milliseconds.
    pub grace_ms: u64,
}

impl ShutdownSettings {
    /// `grace_ms`.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self { grace_ms: 20_000 }
    }
}
