//! Eclipse Mosquitto: an MQTT 3.1, 3.1.1 and 5 broker.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{START_DEADLINE, STOP_DEADLINE, listens};
use crate::{checkout, ports, process::Process};

/// A broker that lets everybody in and keeps for a slow consumer all there is.
#[derive(Debug)]
pub struct Mosquitto {
    process: Process,
    dir: PathBuf,
    port: u16,
}

impl Mosquitto {
    /// Starts a broker with its sessions and log in `dir`, which is created when missing.
    ///
    /// # Errors
    /// When Mosquitto is not installed or does not start.
    pub async fn start(dir: &Path) -> Result<Self> {
        let dir = checkout::create(dir)?;
        checkout::create(&dir.join("data"))?;
        let port = ports::free()?;
        std::fs::write(dir.join("mosquitto.conf"), configuration(&dir, port, 0))?;
        let mut server = Self { process: launch(&dir)?, dir, port };
        server.until_ready().await?;
        Ok(server)
    }

    /// It refuses what is larger than so many bytes, from its next start on; 0 for nothing.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub fn limit_messages(&self, bytes: u32) -> Result<()> {
        Ok(std::fs::write(self.dir.join("mosquitto.conf"), configuration(&self.dir, self.port, bytes))?)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The broker's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Stops the broker; it keeps its sessions and what they have not yet received.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.terminate(STOP_DEADLINE).await?;
        Ok(())
    }

    /// Kills (-9) the broker: what it had acknowledged since its start is gone with it.
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
        let port = self.port;
        self.process.until_ready(START_DEADLINE, async || listens(port).await).await
    }
}

/// See mosquitto.conf(5). As root it would become a user that may not write to `dir`.
fn configuration(dir: &Path, port: u16, message_bytes_max: u32) -> String {
    let data = dir.join("data");
    let data = data.display();
    format!(
        "listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {data}/
autosave_interval 0
message_size_limit {message_bytes_max}
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
"
    )
}

fn launch(dir: &Path) -> Result<Process> {
    // Debian keeps it where only root's PATH looks.
    let installed = Path::new("/usr/sbin/mosquitto");
    let program = if installed.exists() { installed } else { Path::new("mosquitto") };
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join("mosquitto.conf"));
    Process::start("Mosquitto", command, &dir.join("log"))
}
