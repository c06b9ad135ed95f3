//! Azurite: blobs and queues of Azure Storage, with shared access signatures.

pub mod blobs;
pub mod sas;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{START_DEADLINE, STOP_DEADLINE, listens};
use crate::{checkout, ports, process::Process};

/// Where the services of one storage account answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `http://<host>:<port>/devstoreaccount1`
    pub blob_endpoint: String,
    /// `http://<host>:<port>/devstoreaccount1`
    pub queue_endpoint: String,
}

impl Account {
    /// Azurite's account, whose services answer on these ports of 127.0.0.1.
    #[must_use]
    pub fn on_ports(blob: u16, queue: u16) -> Self {
        let service = |port| format!("http://127.0.0.1:{port}");
        Self::at(&service(blob), &service(queue))
    }

    /// Azurite's account, whose services answer at these URLs, `http://<host>:<port>`.
    #[must_use]
    pub fn at(blobs: &str, queues: &str) -> Self {
        let endpoint = |service: &str| format!("{}/{}", service.trim_end_matches('/'), sas::ACCOUNT);
        Self { blob_endpoint: endpoint(blobs), queue_endpoint: endpoint(queues) }
    }

    /// The URL of a container, signed for all that can be done with it and its blobs.
    #[must_use]
    pub fn container(&self, name: &str) -> String {
        format!("{}/{name}?{}", self.blob_endpoint, sas::token())
    }

    /// The URL of a queue, signed for all that can be done with it and its messages.
    #[must_use]
    pub fn queue(&self, name: &str) -> String {
        format!("{}/{name}?{}", self.queue_endpoint, sas::token())
    }
}

/// A storage emulator.
#[derive(Debug)]
pub struct Azurite {
    process: Process,
    dir: PathBuf,
    ports: Ports,
}

/// Tables are not used, but Azurite insists on serving them.
#[derive(Clone, Copy, Debug)]
struct Ports {
    blob: u16,
    queue: u16,
    table: u16,
}

impl Azurite {
    /// Starts an emulator with its data and log in `dir`, which is created when missing.
    ///
    /// # Errors
    /// When Azurite or Node is not installed or it does not start.
    pub async fn start(dir: &Path) -> Result<Self> {
        let dir = checkout::create(dir)?;
        let ports = Ports { blob: ports::free()?, queue: ports::free()?, table: ports::free()? };
        let mut server = Self { process: launch(&dir, ports)?, dir, ports };
        server.until_ready().await?;
        Ok(server)
    }

    /// Where it answers.
    #[must_use]
    pub fn account(&self) -> Account {
        Account::on_ports(self.ports.blob, self.ports.queue)
    }

    /// The ports of its blob and its queue service on 127.0.0.1.
    #[must_use]
    pub fn ports(&self) -> (u16, u16) {
        (self.ports.blob, self.ports.queue)
    }

    /// The emulator's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops the emulator; [`Self::start_again`] starts it again.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.terminate(STOP_DEADLINE).await?;
        Ok(())
    }

    /// Kills (-9) the emulator: what it had not yet written is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts the stopped or killed emulator on the same data and ports.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = launch(&self.dir, self.ports)?;
        self.until_ready().await
    }

    /// Lets the emulator outlive us; gives back its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn detach(self) -> Result<i32> {
        self.process.detach()
    }

    async fn until_ready(&mut self) -> Result<()> {
        let Ports { blob, queue, .. } = self.ports;
        self.process
            .until_ready(START_DEADLINE, async || {
                listens(blob).await?;
                listens(queue).await
            })
            .await
    }
}

fn launch(dir: &Path, ports: Ports) -> Result<Process> {
    let program = "azurite-3.35.0/node_modules/azurite/dist/src/azurite.js";
    let mut command = Command::new("node");
    command
        .arg(checkout::installed(program)?)
        // Clients ask for newer versions of the API than it knows.
        .args(["--silent", "--skipApiVersionCheck"])
        // It would call home.
        .arg("--disableTelemetry")
        .arg("--location")
        .arg(checkout::create(&dir.join("data"))?);
    for (option, port) in
        [("--blobPort", ports.blob), ("--queuePort", ports.queue), ("--tablePort", ports.table)]
    {
        command.args([option, &port.to_string()]);
    }
    Process::start("Azurite", command, &dir.join("log"))
}
