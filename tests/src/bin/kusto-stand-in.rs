//! Runs the Kusto stand-in as a process of its own.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::net::TcpListener;
use twinroute_tests::{kusto_stand_in, servers::azurite::Account};

/// A stand-in for Kusto's data-management endpoint on 127.0.0.1, in front of an Azurite there.
#[derive(Parser)]
struct Arguments {
    /// The port to listen on.
    #[arg(long)]
    port: u16,
    /// The port of Azurite's blob service.
    #[arg(long)]
    azurite_blob_port: u16,
    /// The port of Azurite's queue service.
    #[arg(long)]
    azurite_queue_port: u16,
    /// Where tables are kept: a folder per database, a `<table>.jsonl` with the rows in it.
    #[arg(long)]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let account = Account::on_ports(arguments.azurite_blob_port, arguments.azurite_queue_port);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port))
        .await
        .with_context(|| format!("cannot listen on port {}", arguments.port))?;
    kusto_stand_in::serve(listener, account, arguments.dir).await
}
