//! Apache Kafka 4.1.1: one KRaft node that is broker and controller.

mod limit;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{START_DEADLINE, STOP_DEADLINE};
use crate::{checkout, ports, process::Process};

/// Any base64 UUID does: the cluster has one node.
const CLUSTER_ID: &str = "dHdpbnJvdXRlLXRlc3RzMQ";

/// Quiet but for warnings.
const LOGGING: &str = include_str!("kafka/log4j2.yaml");

/// How long one question about the cluster may take.
const METADATA_DEADLINE: Duration = Duration::from_secs(2);

/// A broker that creates topics of four partitions when they are first used.
#[derive(Debug)]
pub struct Kafka {
    process: Process,
    dir: PathBuf,
    port: u16,
}

impl Kafka {
    /// Starts a broker with its data and log in `dir`, which is created when missing.
    ///
    /// # Errors
    /// When Kafka or Java is not installed or it does not start.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_as(dir, "auto.create.topics.enable=true\n").await
    }

    /// Starts one that has only the topics that it is told to create.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_without_topics(dir: &Path) -> Result<Self> {
        Self::start_as(dir, "auto.create.topics.enable=false\n").await
    }

    /// `further` properties beside those that every broker here has.
    async fn start_as(dir: &Path, further: &str) -> Result<Self> {
        let dir = checkout::create(dir)?;
        let port = ports::free()?;
        std::fs::write(dir.join("log4j2.yaml"), LOGGING)?;
        let properties = properties(&dir, port, ports::free()?) + further;
        std::fs::write(dir.join("server.properties"), properties)?;
        if !dir.join("data").exists() {
            format(&dir)?;
        }
        let mut server = Self { process: launch(&dir)?, dir, port };
        server.until_ready().await?;
        Ok(server)
    }

    /// `host:port`, as clients' `bootstrap.servers`.
    #[must_use]
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The broker's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops the broker as an operator would; [`Self::start_again`] starts it again.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.terminate(STOP_DEADLINE).await?;
        Ok(())
    }

    /// Kills (-9) the broker.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts the stopped or killed broker on the same data and port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = launch(&self.dir)?;
        self.until_ready().await
    }

    /// Lets the broker outlive us; gives back its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn detach(self) -> Result<i32> {
        self.process.detach()
    }

    async fn until_ready(&mut self) -> Result<()> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            // While it starts, refusals are no news.
            .set("log_level", "2")
            .create()?;
        let client = Arc::new(client);
        self.process
            .until_ready(START_DEADLINE, async || {
                let client = Arc::clone(&client);
                let asking = move || client.fetch_metadata(None, METADATA_DEADLINE);
                let metadata = tokio::task::spawn_blocking(asking).await??;
                ensure!(!metadata.brokers().is_empty(), "no broker is registered yet");
                Ok(())
            })
            .await
    }
}

fn properties(dir: &Path, port: u16, controller_port: u16) -> String {
    let data = dir.join("data");
    let data = data.display();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
log.dirs={data}
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"
    )
}

fn format(dir: &Path) -> Result<()> {
    let output = java(dir)?
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(dir.join("server.properties"))
        .output()
        .context("cannot run java")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "Kafka cannot format its storage: {said}");
    Ok(())
}

fn launch(dir: &Path) -> Result<Process> {
    let mut command = java(dir)?;
    command.arg("kafka.Kafka").arg(dir.join("server.properties"));
    Process::start("Kafka", command, &dir.join("log"))
}

fn java(dir: &Path) -> Result<Command> {
    let libs = checkout::installed("kafka-4.1.1")?.join("libs");
    let logging = dir.join("log4j2.yaml");
    let mut command = Command::new("java");
    command
        .args(["-Xmx512m", "-XX:+UseSerialGC"])
        .arg(format!("-Dlog4j2.configurationFile={}", logging.display()))
        .arg("-cp")
        .arg(libs.join("*"));
    Ok(command)
}
