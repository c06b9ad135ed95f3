//! The project: the compose file of this checkout under a name of its own, with images and ports of its own.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use twinroute_tests::{checkout, ports, wait};

use crate::{
    command::{docker, output},
    container::Container,
    images::BASE_IMAGE,
    teardown::Teardown,
};

/// How long Compose may take to build images, or to bring containers up or down.
const COMPOSE_DEADLINE: Duration = Duration::from_secs(300);

/// How long the containers may take to be well again.
const HEALTH_DEADLINE: Duration = Duration::from_secs(60);

/// How often the engine is asked about containers: each time costs a process.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The variables of the compose file for ports of this machine.
const PORT_VARIABLES: [&str; 8] = [
    "POSTGRES_PORT",
    "KAFKA_PORT",
    "MQTT_PORT",
    "KUSTO_PORT",
    "CAPTURE_GRPC_PORT",
    "CAPTURE_HTTP_PORT",
    "ROUTES_GRPC_PORT",
    "ROUTES_HTTP_PORT",
];

/// Where the tests of containers keep what they make.
pub(crate) fn folder() -> PathBuf {
    checkout::root().join(".run/containers")
}

pub(crate) struct Project {
    name: String,
    environment: Vec<(&'static str, String)>,
    ports: BTreeMap<&'static str, u16>,
    _teardown: Teardown,
}

impl Project {
    /// A project that nobody has yet. Nothing runs.
    pub(crate) async fn new() -> Result<Self> {
        docker(["version"]).await.context(
            "no Docker engine answers: tests/install/install.sh containers installs one on Debian and starts it; elsewhere start yours",
        )?;
        let name = format!("twinroute-test-{}", std::process::id());
        let ports: BTreeMap<_, _> =
            PORT_VARIABLES.into_iter().map(|name| Ok((name, ports::free()?))).collect::<Result<_>>()?;
        let mut environment = crate::images::environment();
        environment.push(("COMPOSE_PROJECT_NAME", name.clone()));
        environment.push(("TWINROUTE_TAG", name.clone()));
        environment.extend(ports.iter().map(|(name, port)| (*name, port.to_string())));
        let down = ["down", "--volumes", "--remove-orphans", "--rmi", "all", "--timeout", "5"];
        let down: Vec<_> = compose_program().into_iter().chain(down.map(OsString::from)).collect();
        let teardown = Teardown::by(&down, &environment)?;
        Ok(Self { name, environment, ports, _teardown: teardown })
    }

    /// Runs `docker compose`; gives back what it prints.
    pub(crate) async fn compose(&self, arguments: &[&str]) -> Result<String> {
        let mut program = compose_program().into_iter();
        let mut command = Command::new(program.next().unwrap_or_default());
        command.args(program).args(arguments).current_dir(checkout::root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        output(command, COMPOSE_DEADLINE).await
    }

    /// The image that is built from this target.
    pub(crate) fn image(&self, target: &str) -> String {
        format!("twinroute/{target}:{}", self.name)
    }

    /// The port of this machine that a variable of the compose file names.
    pub(crate) fn port(&self, variable: &str) -> Result<u16> {
        self.ports.get(variable).copied().with_context(|| format!("{variable} is no variable for a port"))
    }

    /// All containers, also those that have ended.
    pub(crate) async fn containers(&self) -> Result<Vec<Container>> {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let ids = docker(["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]).await?;
        ensure!(!ids.is_empty(), "there is no container");
        let shown = docker(["inspect"].into_iter().chain(ids.split_whitespace())).await?;
        serde_json::from_str(&shown).context("docker inspect shows something else than before")
    }

    /// The containers of these services.
    pub(crate) async fn containers_of(&self, services: &[&str]) -> Result<Vec<Container>> {
        let mut containers = self.containers().await?;
        containers.retain(|container| services.contains(&container.service()));
        Ok(containers)
    }

    /// One container of a service.
    pub(crate) async fn container(&self, service: &str) -> Result<Container> {
        let found = self.containers_of(&[service]).await?.pop();
        found.with_context(|| format!("there is no container of {service}"))
    }

    /// Waits until all containers are well.
    pub(crate) async fn is_well(&self) -> Result<()> {
        self.until("all containers to be well", |containers| {
            containers.iter().try_for_each(Container::is_well)
        })
        .await
    }

    /// Ends a container by a signal to its process; waits until the engine has started it again.
    pub(crate) async fn signal(&self, service: &str, signal: &str) -> Result<()> {
        let before = self.container(service).await?;
        // After its own `kill` the engine takes it that the user wants the container to be down.
        let kill = format!("kill -s {signal} {}", before.state.pid);
        docker(["run", "--rm", "--pid", "host", "--network", "none", BASE_IMAGE, "bash", "-c", &kill])
            .await?;
        self.until("the container to be started again", |containers| {
            let now = containers.iter().find(|container| container.id == before.id);
            let now = now.with_context(|| format!("{} is gone", before.name()))?;
            ensure!(now.state.started_at != before.state.started_at, "it is as before");
            Ok(())
        })
        .await
    }

    /// Pauses a container, and lets it go on when `meanwhile` is over.
    pub(crate) async fn paused<T>(
        &self,
        service: &str,
        meanwhile: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        let container = self.container(service).await?;
        docker(["pause", &container.id]).await?;
        let done = meanwhile().await;
        docker(["unpause", &container.id]).await?;
        done.with_context(|| format!("while {} was paused", container.name()))
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&[Container]) -> Result<()>) -> Result<()> {
        let mut pace = tokio::time::interval(LOOK_INTERVAL);
        wait::until(HEALTH_DEADLINE, what, async || {
            pace.tick().await;
            holds(&self.containers().await?)
        })
        .await
    }
}

/// Compose as the install script has put it into the cache, where Docker has none or one that is too old.
fn compose_program() -> Vec<OsString> {
    match checkout::installed("docker-compose-trixie") {
        Ok(folder) => vec![folder.join("docker-compose").into()],
        Err(_) => vec!["docker".into(), "compose".into()],
    }
}
