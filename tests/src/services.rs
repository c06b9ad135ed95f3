//! The three services as processes of their own, each with its configuration in a file beside its log.

mod small_disk;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{checkout, ports, process::Process, wait};

/// How long a service may take until it is ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// How long a service may take to drain: its own grace period and a little more.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// The folder in which workers of one directory park.
const BACKLOG: &str = "backlog";

/// A service: its process, and where it listens. Ports stay its own over restarts.
#[derive(Debug)]
pub struct Service {
    name: String,
    /// The program, and before it what it is started by.
    command: Vec<OsString>,
    config: PathBuf,
    log: PathBuf,
    process: Process,
    grpc_port: Option<u16>,
    http_port: u16,
}

/// Which of the three binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `capture`.
    Capture,
    /// `routes-api`.
    RoutesApi,
    /// `delivery`.
    Delivery,
}

impl Program {
    fn binary(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::RoutesApi => "routes-api",
            Self::Delivery => "delivery",
        }
    }
}

impl Service {
    /// Starts a service called `name` with `settings`, to which free ports are added. It need not be ready yet.
    ///
    /// # Errors
    /// When the binary is not built, or cannot be started.
    pub fn start(program: Program, name: &str, settings: Value, dir: &Path) -> Result<Self> {
        Self::start_by(Vec::new(), program, name, settings, dir)
    }

    /// Starts a worker whose backlog is on a disk of so many bytes. The disk is empty but for the id of the store that is in
    /// `dir`, nobody else sees it, and it is gone with the worker.
    ///
    /// # Errors
    /// As [`Self::start`]. Where no disk can be mounted the worker ends at once, and its log says so.
    pub fn start_on_small_disk(name: &str, settings: Value, dir: &Path, bytes: u64) -> Result<Self> {
        Self::start_by(small_disk::before(&dir.join(BACKLOG), bytes), Program::Delivery, name, settings, dir)
    }

    fn start_by(
        mut command: Vec<OsString>,
        program: Program,
        name: &str,
        mut settings: Value,
        dir: &Path,
    ) -> Result<Self> {
        let dir = checkout::create(dir)?;
        let (config, log) = (dir.join(format!("{name}.yaml")), dir.join(format!("{name}.log")));
        let http_port = ports::free()?;
        merge(&mut settings, "http", "listen", format!("127.0.0.1:{http_port}"));
        let grpc_port = match program {
            Program::Delivery => {
                // Shared by all workers of the same directory.
                merge(&mut settings, "backlog", "url", format!("file://{}/{BACKLOG}", dir.display()));
                None
            }
            Program::Capture | Program::RoutesApi => {
                let port = ports::free()?;
                merge(&mut settings, "grpc", "listen", format!("127.0.0.1:{port}"));
                Some(port)
            }
        };
        // JSON is YAML.
        std::fs::write(&config, serde_json::to_vec_pretty(&settings)?)?;
        command.push(checkout::binary(program.binary())?.into());
        let process = launch(name, &command, &config, &log)?;
        Ok(Self { name: name.to_owned(), command, config, log, process, grpc_port, http_port })
    }

    /// Where it serves gRPC; empty for a worker, which serves none.
    #[must_use]
    pub fn grpc(&self) -> String {
        self.grpc_port.map_or_else(String::new, |port| format!("127.0.0.1:{port}"))
    }

    /// Where it serves health and metrics.
    #[must_use]
    pub fn http(&self) -> String {
        format!("127.0.0.1:{}", self.http_port)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The directory of its configuration and log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.config.parent().unwrap_or(Path::new("."))
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// When it ends or does not become ready, with its own reason.
    pub async fn until_ready(&mut self) -> Result<()> {
        let http = self.http();
        self.process
            .until_ready(READY_DEADLINE, async || {
                let (status, text) = get(&http, "/readyz").await?;
                ensure!(status == 200, "not ready: {}", text.trim());
                Ok(())
            })
            .await
    }

    /// Waits until a page of it (`/readyz`, `/metrics`) fits.
    ///
    /// # Errors
    /// After `deadline`, with the last page.
    pub async fn until_page(
        &self,
        deadline: Duration,
        path: &str,
        fits: impl Fn(u16, &str) -> bool,
    ) -> Result<String> {
        wait::until(deadline, &format!("{path} of {}", self.name), async || {
            let (status, text) = get(&self.http(), path).await?;
            ensure!(fits(status, &text), "{status}: {text}");
            Ok(text)
        })
        .await
    }

    /// Kills (-9) it.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Asks it to drain and waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate(STOP_DEADLINE).await
    }

    /// Starts it again after its end, with the same configuration and ports.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = launch(&self.name, &self.command, &self.config, &self.log)?;
        Ok(())
    }

    /// Lets it outlive us; gives back its process id.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn detach(self) -> Result<i32> {
        self.process.detach()
    }
}

fn launch(name: &str, command: &[OsString], config: &Path, log: &Path) -> Result<Process> {
    let (first, further) = command.split_first().context("no command")?;
    let mut command = Command::new(first);
    command.args(further).arg("--config").arg(config);
    Process::start(name, command, log)
}

/// Sets `section.key`, unless it is set already.
fn merge(settings: &mut Value, section: &str, key: &str, value: String) {
    if let Some(settings) = settings.as_object_mut() {
        let section = settings.entry(section).or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(section) = section.as_object_mut() {
            section.entry(key).or_insert(Value::String(value));
        }
    }
}

/// Status and text of a page.
async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let response = reqwest::get(format!("http://{address}{path}")).await.context("no answer")?;
    Ok((response.status().as_u16(), response.text().await?))
}
