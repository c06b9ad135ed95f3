//! Runs the Kusto stand-in as a process of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};
use twinroute_tests::{kusto_stand_in, servers::azurite::Account};

/// How long a health check waits for the connection.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// A stand-in for Kusto's data-management endpoint, in front of an Azurite.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until it is told to stop.
    Serve(Serve),
    /// Whether one serves on this port of 127.0.0.1.
    Healthcheck {
        /// The port.
        port: u16,
    },
}

#[derive(Parser)]
struct Serve {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Azurite's blob service, as the stand-in and its clients reach it: http://host:port
    #[arg(long)]
    azurite_blobs: String,
    /// Azurite's queue service, likewise.
    #[arg(long)]
    azurite_queues: String,
    /// Where tables are kept: a folder per database, a `<table>.jsonl` with the rows in it.
    #[arg(long)]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve(arguments).await,
        Command::Healthcheck { port } => {
            let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            tokio::time::timeout(PROBE_DEADLINE, connecting).await?.context("nobody answers")?;
            Ok(())
        }
    }
}

async fn serve(arguments: Serve) -> Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    // As the first process of a container it would not end on a signal that it does not ask for.
    let mut terminate = signal(SignalKind::terminate())?;
    let account = Account::at(&arguments.azurite_blobs, &arguments.azurite_queues);
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    tokio::select! {
        served = kusto_stand_in::serve(listener, account, arguments.dir) => served,
        _ = terminate.recv() => Ok(()),
    }
}
