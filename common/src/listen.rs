//! Listening sockets: errors that name the key, and a warning where the world can reach them.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::warn;

/// A socket that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error("{key}: {address} is in use by another process; stop that one, or set {key} to another address")]
    InUse {
        /// The configuration key.
        key: String,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Any other reason.
    #[error("{key}: cannot listen on {address}; set {key} to an address of this machine")]
    Unusable {
        /// The configuration key.
        key: String,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens on `address`, which `key` configures; warns once if it can be reached from other machines.
///
/// # Errors
/// When the port is taken or the address is not this machine's.
pub async fn listen(key: &str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = TcpListener::bind(address).await.map_err(|source| {
        let key = key.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { key, address, source },
            _ => ListenError::Unusable { key, address, source },
        }
    })?;
    if !address.ip().is_loopback() {
        warn!(key, %address, "exposed without TLS and credentials: anyone who reaches this address can use it");
    }
    Ok(listener)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[tokio::test]
    async fn a_port_in_use_names_the_key_and_the_address() {
        let first = listen("http.listen", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = listen("http.listen", address).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("http.listen: {address} is in use")), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_unusable() {
        let error = listen("grpc.listen", SocketAddr::from(([192, 0, 2, 1], 0))).await.unwrap_err();
        assert!(matches!(error, ListenError::Unusable { .. }), "{error}");
    }
}
