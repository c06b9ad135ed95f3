//! What the engine tells of a container, as `docker inspect` shows it; only what is looked at.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// The label by which Compose knows the containers of a service.
const SERVICE_LABEL: &str = "com.docker.compose.service";

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub(crate) id: String,
    name: String,
    pub(crate) state: State,
    pub(crate) config: Config,
    pub(crate) host_config: HostConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct State {
    status: String,
    /// On the engine's machine.
    pub(crate) pid: u32,
    pub(crate) exit_code: i32,
    pub(crate) started_at: String,
    #[serde(rename = "OOMKilled")]
    pub(crate) oom_killed: bool,
    pub(crate) paused: bool,
    health: Option<Health>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Config {
    pub(crate) user: String,
    pub(crate) env: Vec<String>,
    labels: BTreeMap<String, String>,
}

/// Its limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    pub(crate) readonly_rootfs: bool,
    pub(crate) cap_drop: Option<Vec<String>>,
    pub(crate) cap_add: Option<Vec<String>>,
    pub(crate) security_opt: Option<Vec<String>>,
    pub(crate) privileged: bool,
    /// Bytes.
    pub(crate) memory: u64,
    /// Bytes, memory included.
    pub(crate) memory_swap: u64,
    pub(crate) port_bindings: BTreeMap<String, Option<Vec<PortBinding>>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PortBinding {
    pub(crate) host_ip: String,
}

impl Container {
    /// Its service in the compose file.
    pub(crate) fn service(&self) -> &str {
        self.config.labels.get(SERVICE_LABEL).map_or("", String::as_str)
    }

    /// Its name, which says project, service and number.
    pub(crate) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// It runs, is not paused, and its health check, if it has one, succeeds.
    pub(crate) fn is_well(&self) -> Result<()> {
        let State { status, paused, health, .. } = &self.state;
        let name = self.name();
        ensure!(status == "running" && !paused, "{name} is {status}");
        let health = health.as_ref().map_or("healthy", |health| &health.status);
        ensure!(health == "healthy", "{name} is {health}");
        Ok(())
    }
}
