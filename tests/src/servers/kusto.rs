//! The Kusto stand-in as a process.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use serde_json::json;

use super::{START_DEADLINE, STOP_DEADLINE, azurite::Azurite};
use crate::{checkout, ports, process::Process};

/// A running stand-in.
#[derive(Debug)]
pub struct Kusto {
    process: Process,
    dir: PathBuf,
    port: u16,
    azurite_ports: (u16, u16),
}

impl Kusto {
    /// Starts a stand-in in front of `azurite`, with its tables and log in `dir`, which is created
    /// when missing.
    ///
    /// # Errors
    /// When the binary is not built or does not start.
    pub async fn start(dir: &Path, azurite: &Azurite) -> Result<Self> {
        let dir = checkout::create(dir)?;
        let (port, azurite_ports) = (ports::free()?, azurite.ports());
        let mut server = Self { process: launch(&dir, port, azurite_ports)?, dir, port, azurite_ports };
        server.until_ready().await?;
        Ok(server)
    }

    /// The ingestion URI; the query URI is the same.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The stand-in's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops the stand-in; [`Self::start_again`] starts it again.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.terminate(STOP_DEADLINE).await?;
        Ok(())
    }

    /// Kills (-9) the stand-in.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts the stopped or killed stand-in on the same data and port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = launch(&self.dir, self.port, self.azurite_ports)?;
        self.until_ready().await
    }

    /// Lets the stand-in outlive us; gives back its process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn detach(self) -> Result<i32> {
        self.process.detach()
    }

    async fn until_ready(&mut self) -> Result<()> {
        let endpoint = format!("{}/v1/rest/mgmt", self.uri());
        let http = reqwest::Client::new();
        self.process
            .until_ready(START_DEADLINE, async || {
                let command = json!({"db": "", "csl": ".show version"});
                let answer = http.post(&endpoint).json(&command).send().await?;
                answer.error_for_status()?;
                Ok(())
            })
            .await
    }
}

fn launch(dir: &Path, port: u16, (blob, queue): (u16, u16)) -> Result<Process> {
    let mut command = Command::new(checkout::binary("kusto-stand-in")?);
    let at = |port: u16| format!("127.0.0.1:{port}");
    command
        .args(["serve", "--listen", &at(port)])
        .args(["--azurite-blobs", &format!("http://{}", at(blob))])
        .args(["--azurite-queues", &format!("http://{}", at(queue))])
        .arg("--dir")
        .arg(dir.join("tables"));
    Process::start("the Kusto stand-in", command, &dir.join("log"))
}
