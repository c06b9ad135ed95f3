//! The real servers: each one a process we own, with its data in a folder of its own and a port
//! that stays its own over restarts.

pub mod azurite;
pub mod kafka;
pub mod kusto;
pub mod mosquitto;
pub mod postgres;

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;

/// How long a server may take to be ready: they need a few seconds, on a busy machine more.
pub const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long a server may take to stop when asked to.
pub const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Whether somebody listens on a port of 127.0.0.1.
async fn listens(port: u16) -> Result<()> {
    let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    connected.with_context(|| format!("nobody answers on port {port}"))?;
    Ok(())
}
