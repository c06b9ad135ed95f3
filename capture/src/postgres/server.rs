//! Chooses a server: the first of `postgres.url` that takes a login and is what `target_session_attrs` asks for.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};
use tracing::{info, warn};
use twinroute_common::causes::Causes;

use super::connection_string::{ConnectionString, HostPort};
use super::tls::Negotiation;
use super::transport::{AsNegotiated, Transport, TransportError};

/// A server that was chosen, so that other connections lead to the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The name that its certificate must be for.
    pub(crate) host: String,
    /// Where it is. A name may have several addresses, and so lead to several servers.
    pub(crate) address: SocketAddr,
    /// The session with it is encrypted.
    pub(crate) encrypted: bool,
}

impl Server {
    /// How another connection to it begins: as the one that chose it.
    pub(crate) fn negotiation(&self) -> Negotiation {
        if self.encrypted { Negotiation::Encrypted } else { Negotiation::Plain }
    }

    /// Says in the log where we are connected, and warns when others can listen.
    pub fn tell(&self) {
        info!(server = %self, encrypted = self.encrypted, "connected");
        if self.is_exposed() {
            warn!(server = %self, "no TLS: whoever is on the way can read and change events; see sslmode");
        }
    }

    /// What is sent to it can be read and changed on the way.
    fn is_exposed(&self) -> bool {
        !self.encrypted && !self.address.ip().to_canonical().is_loopback()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<IpAddr>().is_ok() {
            self.address.fmt(f)
        } else {
            write!(f, "{} at {}", self.host, self.address)
        }
    }
}

/// Why a server was not chosen.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("its name cannot be resolved")]
    Resolve(#[source] io::Error),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("login failed")]
    Login {
        encrypted: bool,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("no answer within {deadline:?}")]
    Silent { deadline: Duration },
    #[error("it does not tell whether it can be written to")]
    Unknown(#[source] tokio_postgres::Error),
    #[error("it is read-only, and target_session_attrs is read-write")]
    ReadOnly,
    #[error("it can be written to, and target_session_attrs is read-only")]
    ReadWrite,
}

impl Refusal {
    /// It may be another thing without TLS: libpq's rule for `prefer`, except that a wrong password is not sent again.
    fn is_about_tls(&self) -> bool {
        match self {
            Self::Transport(error) => matches!(error, TransportError::Handshake(_)),
            Self::Login { encrypted, source } => {
                *encrypted && source.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
            }
            _ => false,
        }
    }
}

/// No server was chosen.
#[derive(Debug, thiserror::Error)]
#[error("{reasons}")]
pub struct NoServer {
    /// Each server with the reason.
    reasons: String,
}

/// A session with a server that was chosen.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) driver: JoinHandle<()>,
    pub(super) server: Server,
}

/// Opens a session with the first server that fits. Each step may take `deadline`.
///
/// # Errors
/// [`NoServer`] when none does.
pub(super) async fn open(
    connection_string: &ConnectionString,
    application_name: &str,
    deadline: Duration,
) -> Result<Session, NoServer> {
    let mut reasons = Vec::new();
    for server in connection_string.servers() {
        let addresses = match resolve(&server, deadline).await {
            Ok(addresses) => addresses,
            Err(refusal) => {
                reasons.push(format!("{}:{}: {}", server.host, server.port, Causes(&refusal)));
                continue;
            }
        };
        for address in addresses {
            let opener =
                Opener { connection_string, host: &server.host, address, application_name, deadline };
            if let Some(session) = opener.open(&mut reasons).await {
                return Ok(session);
            }
        }
    }
    Err(NoServer { reasons: reasons.join("; ") })
}

async fn resolve(server: &HostPort, deadline: Duration) -> Result<Vec<SocketAddr>, Refusal> {
    if let Some(address) = server.hostaddr {
        return Ok(vec![SocketAddr::new(address, server.port)]);
    }
    let found = tokio::time::timeout(deadline, tokio::net::lookup_host((server.host.as_str(), server.port)));
    let found = found.await.map_err(|_| Refusal::Silent { deadline })?.map_err(Refusal::Resolve)?;
    Ok(found.collect())
}

/// Opens a session at one address.
struct Opener<'a> {
    connection_string: &'a ConnectionString,
    host: &'a str,
    address: SocketAddr,
    application_name: &'a str,
    deadline: Duration,
}

impl Opener<'_> {
    /// Tries the ways that `sslmode` allows; `None` when none of them leads in, which adds to `reasons`.
    async fn open(&self, reasons: &mut Vec<String>) -> Option<Session> {
        for negotiation in self.connection_string.tls.mode.negotiations() {
            match self.open_by(*negotiation).await {
                Ok(session) => return Some(session),
                Err(refusal) => {
                    reasons.push(format!("{}: {}", self.address, Causes(&refusal)));
                    if !refusal.is_about_tls() {
                        break;
                    }
                }
            }
        }
        None
    }

    async fn open_by(&self, negotiation: Negotiation) -> Result<Session, Refusal> {
        let Self { connection_string, host, address, deadline, .. } = *self;
        let transport = Transport::open(connection_string, host, address, negotiation, deadline).await?;
        let encrypted = transport.is_encrypted();
        let server = Server { host: host.to_owned(), address, encrypted };
        let mut config = connection_string.session.clone();
        config.application_name(self.application_name);
        // So it takes the transport from `AsNegotiated` at once, without a request for TLS of its own.
        config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        let login = self.within(config.connect_raw(transport, AsNegotiated)).await?;
        let (client, connection) = login.map_err(|source| Refusal::Login { encrypted, source })?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        let session = Session { client, driver, server };
        match self.check(&session.client).await {
            Ok(()) => Ok(session),
            Err(refusal) => {
                session.driver.abort();
                Err(refusal)
            }
        }
    }

    async fn check(&self, client: &Client) -> Result<(), Refusal> {
        let wanted = self.connection_string.session.get_target_session_attrs();
        if wanted == TargetSessionAttrs::Any {
            return Ok(());
        }
        let answer = self.within(client.simple_query("SHOW transaction_read_only")).await?;
        let read_only = answer
            .map_err(Refusal::Unknown)?
            .iter()
            .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")));
        match wanted {
            TargetSessionAttrs::ReadWrite if read_only => Err(Refusal::ReadOnly),
            TargetSessionAttrs::ReadOnly if !read_only => Err(Refusal::ReadWrite),
            _ => Ok(()),
        }
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Refusal> {
        let deadline = self.deadline;
        tokio::time::timeout(deadline, work).await.map_err(|_| Refusal::Silent { deadline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_without_tls_is_exposed() {
        let server = |address: &str, encrypted| Server {
            host: "h".to_owned(),
            address: address.parse().unwrap(),
            encrypted,
        };
        assert!(server("192.0.2.1:5432", false).is_exposed());
        assert!(server("[2001:db8::1]:5432", false).is_exposed());
        assert!(!server("192.0.2.1:5432", true).is_exposed());
        for loopback in ["127.0.0.1:5432", "[::1]:5432", "[::ffff:127.0.0.2]:5432"] {
            assert!(!server(loopback, false).is_exposed(), "{loopback}");
        }
    }

    #[test]
    fn a_server_is_shown_by_name_and_address() {
        let server = |host: &str| Server {
            host: host.to_owned(),
            address: "192.0.2.1:5432".parse().unwrap(),
            encrypted: true,
        };
        assert_eq!(server("db.example.com").to_string(), "db.example.com at 192.0.2.1:5432");
        assert_eq!(server("192.0.2.1").to_string(), "192.0.2.1:5432");
    }
}
