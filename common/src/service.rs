//! The life of a service process: settings, logs, health, signals, and an exit code that says how it ended.
//!
//! Exit codes: 0 after a clean end, 1 after a failure or when the grace period was not enough, 2 for a mistake in
//! the command line or the configuration. Of a health check: 0 for well, 1 for not well.

mod cli;
mod drain;
mod healthcheck;
mod life;

use std::error::Error;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use drain::{Drain, Part};

use crate::causes::Causes;
use crate::config::{self, Settings};
use crate::health::Health;
use crate::http::SharedRegistry;
use crate::telemetry;
use cli::{Cli, Command};

/// What distinguishes one binary from another.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The binary's name, such as `capture`.
    pub name: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
    /// `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
}

/// What the service's own code is given.
#[derive(Debug)]
pub struct Context<T> {
    /// The checked settings.
    pub settings: Arc<T>,
    /// Make all conditions before the first await; `/readyz` and gRPC health follow them.
    pub health: Health,
    /// Metrics to show at `/metrics`.
    pub registry: SharedRegistry,
    /// Cancelled by SIGTERM and SIGINT: stop taking work, settle what there is, return.
    pub shutdown: CancellationToken,
    /// How long settling may take from then on.
    pub grace: Duration,
    /// Names of the parts that are still settling, for the log line when the grace period was not enough.
    pub drain: Drain,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean,
    Failed,
    Misconfigured,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(match end {
            End::Clean => 0,
            End::Failed => 1,
            End::Misconfigured => 2,
        })
    }
}

/// The whole `main` of a service: reads the command line and the settings, starts logs, health and signals, runs
/// `run` until it returns or the grace period after a signal is over.
pub fn main<T, F, Fut, E>(service: &Service, run: F) -> ExitCode
where
    T: Settings,
    F: FnOnce(Context<T>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let cli = cli::parse::<T>(service);
    start(service, &cli, run).into()
}

fn start<T, F, Fut, E>(service: &Service, cli: &Cli, run: F) -> End
where
    T: Settings,
    F: FnOnce(Context<T>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let settings = match config::load::<T>(cli.config.as_deref(), std::env::vars_os()) {
        Ok(settings) => settings,
        Err(errors) => {
            say(io::stderr(), &errors.to_string());
            return End::Misconfigured;
        }
    };
    if cli.check {
        say(io::stdout(), "ok");
        return End::Clean;
    }
    if let Some(Command::Healthcheck { question }) = cli.command {
        return match healthcheck::ask(question, settings.base().http) {
            Ok(answer) => {
                say(io::stdout(), &answer);
                End::Clean
            }
            Err(unhealthy) => {
                say(io::stderr(), &Causes(&unhealthy).to_string());
                End::Failed
            }
        };
    }
    if let Err(error) = telemetry::start(settings.base().log) {
        say(io::stderr(), &error.to_string());
        return End::Failed;
    }
    life::live(service, settings, run)
}

/// Writes one line; a reader that is gone does not matter.
fn say(mut stream: impl io::Write, text: &str) {
    let _gone = writeln!(stream, "{text}");
}
