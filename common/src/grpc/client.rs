//! A gRPC channel to the first of several addresses that answers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::transport::{Channel, Endpoint};

use super::FRAME_BYTES;
use crate::causes::Causes;
use crate::config::{Problem, check};

/// A section that says how another service is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// `http://host:port`, several separated by commas; they are tried in turn.
    pub addresses: String,
    /// How long one address may take to answer, in milliseconds.
    pub connect_timeout_ms: u64,
    /// A ping is sent this often, also without calls, in milliseconds.
    pub keepalive_interval_ms: u64,
    /// A connection whose ping is not answered for this long is closed, in milliseconds.
    pub keepalive_timeout_ms: u64,
    /// HTTP/2 window of a connection, in bytes: what the other side may send ahead of our reading.
    pub window_bytes: u32,
    /// The largest message taken, in bytes.
    pub message_bytes_max: usize,
}

impl ClientSettings {
    /// The defaults for a service at `addresses`.
    #[must_use]
    pub fn to(addresses: &str) -> Self {
        Self {
            addresses: addresses.to_owned(),
            connect_timeout_ms: 5_000,
            keepalive_interval_ms: 10_000,
            keepalive_timeout_ms: 10_000,
            window_bytes: 2 * 1024 * 1024,
            message_bytes_max: 64 * 1024 * 1024,
        }
    }

    /// Problems of the section named `section`.
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let key = |name: &str| format!("{section}.{name}");
        let milliseconds = 100..=3_600_000;
        [
            check::addresses(&key("addresses"), &self.addresses),
            check::range(&key("connect_timeout_ms"), &self.connect_timeout_ms, &milliseconds),
            check::range(&key("keepalive_interval_ms"), &self.keepalive_interval_ms, &milliseconds),
            check::range(&key("keepalive_timeout_ms"), &self.keepalive_timeout_ms, &milliseconds),
            check::range(&key("window_bytes"), &self.window_bytes, &(65_535..=i32::MAX.unsigned_abs())),
            check::range(&key("message_bytes_max"), &self.message_bytes_max, &(1024..=1 << 30)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Default for ClientSettings {
    /// No address; each service names its own with [`ClientSettings::to`].
    fn default() -> Self {
        Self::to("")
    }
}

/// No address answered. The text has each address and why.
#[derive(Debug, thiserror::Error)]
pub struct ConnectError {
    refusals: Vec<(String, tonic::transport::Error)>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.refusals.is_empty() {
            return f.write_str("no address is configured");
        }
        for (number, (address, error)) in self.refusals.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {}", Causes(error))?;
        }
        Ok(())
    }
}

/// Connects to the first address that answers within the deadline. Retrying is the caller's, with a
/// [`crate::backoff::Backoff`] and an [`crate::outage::Outage`].
///
/// # Errors
/// When none answers.
pub async fn connect(settings: &ClientSettings) -> Result<Channel, ConnectError> {
    let mut refusals = Vec::new();
    for address in settings.addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        let connected = match endpoint(address, settings) {
            Ok(endpoint) => endpoint.connect().await,
            Err(error) => Err(error),
        };
        match connected {
            Ok(channel) => return Ok(channel),
            Err(error) => refusals.push((address.to_owned(), error)),
        }
    }
    Err(ConnectError { refusals })
}

fn endpoint(address: &str, settings: &ClientSettings) -> Result<Endpoint, tonic::transport::Error> {
    let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    Ok(Endpoint::from_shared(uri)?
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .http2_keep_alive_interval(Duration::from_millis(settings.keepalive_interval_ms))
        .keep_alive_timeout(Duration::from_millis(settings.keepalive_timeout_ms))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(settings.window_bytes)
        .initial_connection_window_size(settings.window_bytes)
        .max_frame_size(FRAME_BYTES)
        .tcp_nodelay(true))
}
