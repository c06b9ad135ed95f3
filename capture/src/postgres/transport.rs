//! Bytes to and from one server: a TCP connection that notices a lost peer, with TLS or without.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{future, io};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection_string::ConnectionString;
use super::tls::end_point::tls_server_end_point;
use super::tls::{Negotiation, TlsError};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nobody answers there.
    #[error("cannot connect")]
    Tcp(#[source] io::Error),
    /// The server did not go on.
    #[error("no answer within {deadline:?}")]
    Silent {
        /// How long was waited.
        deadline: Duration,
    },
    /// TLS is required, and the server has none.
    #[error("the server does not offer TLS, which sslmode requires")]
    NotOffered,
    /// The server answered something else than yes or no.
    #[error("the server answered neither yes nor no to the request for TLS")]
    NoAnswer,
    /// The handshake failed, for example since the certificate is not to be trusted.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The host is no name that a certificate could be for.
    #[error("the host's name cannot be in a certificate")]
    Name,
    /// Our files are not usable.
    #[error(transparent)]
    Files(#[from] TlsError),
}

/// A connection to a server that has said nothing yet.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Connects to `address`, which is the host named `host`. Each step may take `deadline`.
    ///
    /// # Errors
    /// [`TransportError`].
    pub(crate) async fn open(
        connection_string: &ConnectionString,
        host: &str,
        address: SocketAddr,
        negotiation: Negotiation,
        deadline: Duration,
    ) -> Result<Self, TransportError> {
        let connect_deadline = connection_string.session.get_connect_timeout().copied().unwrap_or(deadline);
        let mut stream =
            within(connect_deadline, TcpStream::connect(address)).await?.map_err(TransportError::Tcp)?;
        notice_loss(&stream, &connection_string.session).map_err(TransportError::Tcp)?;
        if negotiation == Negotiation::Plain {
            return Ok(Self::Plain(stream));
        }
        match within(deadline, request_tls(&mut stream)).await?.map_err(TransportError::Tcp)? {
            b'S' => {}
            b'N' if negotiation == Negotiation::EncryptedIfOffered => return Ok(Self::Plain(stream)),
            b'N' => return Err(TransportError::NotOffered),
            _ => return Err(TransportError::NoAnswer),
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TransportError::Name)?;
        let connector = TlsConnector::from(Arc::new(connection_string.tls.client_config().await?));
        let encrypted = within(deadline, connector.connect(name, stream)).await?;
        Ok(Self::Encrypted(Box::new(encrypted.map_err(TransportError::Handshake)?)))
    }

    /// TLS protects it.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }

    /// What SCRAM binds a login to; `None` without TLS, or with a certificate that has no such value.
    pub(crate) fn tls_server_end_point(&self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(_) => None,
            Self::Encrypted(stream) => {
                let (_, session) = stream.get_ref();
                session.peer_certificates()?.first().and_then(tls_server_end_point)
            }
        }
    }
}

async fn within<T>(deadline: Duration, work: impl Future<Output = T>) -> Result<T, TransportError> {
    tokio::time::timeout(deadline, work).await.map_err(|_| TransportError::Silent { deadline })
}

/// Asks for TLS. One byte is read and no more: what follows it unencrypted must not be taken for the server's word.
async fn request_tls(stream: &mut TcpStream) -> io::Result<u8> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    stream.read_u8().await
}

/// A peer that is gone without a word is noticed by probes, and by data that stays unanswered.
fn notice_loss(stream: &TcpStream, session: &tokio_postgres::Config) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if session.get_keepalives() {
        let mut keepalive = TcpKeepalive::new().with_time(session.get_keepalives_idle());
        if let Some(interval) = session.get_keepalives_interval() {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(retries) = session.get_keepalives_retries() {
            keepalive = keepalive.with_retries(retries);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(session.get_tcp_user_timeout().copied())?;
    Ok(())
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl tokio_postgres::tls::TlsStream for Transport {
    fn channel_binding(&self) -> ChannelBinding {
        self.tls_server_end_point().map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// Hands tokio-postgres a transport as it is: whether there is TLS is settled before.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsNegotiated;

impl TlsConnect<Transport> for AsNegotiated {
    type Stream = Transport;
    type Error = std::convert::Infallible;
    type Future = future::Ready<Result<Transport, Self::Error>>;

    fn connect(self, transport: Transport) -> Self::Future {
        future::ready(Ok(transport))
    }
}
