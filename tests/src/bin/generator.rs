//! Changes the demo's factory until it is told to stop: what `docker compose up` shows events of.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use twinroute_tests::{demo::generator, stack::GRAPH};

/// Keeps a small factory busy in the graph `digitaltwins`, each change with its entry in the ledger. Goes on where it was
/// stopped.
#[derive(Parser)]
struct Arguments {
    /// The database as keywords and values: host=postgres user=postgres dbname=postgres
    #[arg(long)]
    database: String,
    /// File with the password.
    #[arg(long)]
    password_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    // As the first process of a container it would not end on a signal that it does not ask for.
    let mut terminate = signal(SignalKind::terminate())?;
    let database = Arguments::parse().connection()?;
    tokio::select! {
        ended = generator::generate(&database, GRAPH) => ended,
        _ = terminate.recv() => Ok(()),
    }
}

impl Arguments {
    fn connection(self) -> Result<String> {
        let Some(file) = self.password_file else { return Ok(self.database) };
        let password = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        // PostgreSQL documentation, 32.1.1.1: how values are quoted.
        let password = password.trim_end().replace('\\', "\\\\").replace('\'', "\\'");
        Ok(format!("{} password='{password}'", self.database))
    }
}
