//! Sockets notice a lost peer, and nothing but a yes begins TLS.

use tokio::net::TcpListener;

use super::*;
use crate::config::PostgresSettings;

const DEADLINE: Duration = Duration::from_secs(10);

/// A server that answers the request for TLS with `answer`.
async fn answering(answer: &'static [u8]) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = [0; 8];
        stream.read_exact(&mut request).await?;
        stream.write_all(answer).await?;
        // Held open until the client leaves.
        stream.read_u8().await
    });
    Ok(address)
}

async fn open(answer: &'static [u8], parameters: &str) -> Result<Transport, TransportError> {
    let url = format!("postgres://u@localhost/d?{parameters}");
    let settings = PostgresSettings { url, ..PostgresSettings::default() };
    let string = ConnectionString::new(&settings).unwrap();
    let address = answering(answer).await.unwrap();
    let negotiation = string.tls.mode.negotiations()[0];
    Transport::open(&string, "localhost", address, negotiation, DEADLINE).await
}

#[tokio::test]
async fn the_socket_probes_a_silent_peer_and_bounds_unanswered_data() {
    // Given the default settings
    // When a connection is opened
    let transport = open(b"", "sslmode=disable").await.unwrap();
    // Then it is probed after 30 s of silence, and given up 30 s later
    let Transport::Plain(stream) = transport else { panic!("encrypted") };
    let socket = SockRef::from(&stream);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_server_without_tls_is_taken_by_prefer_and_refused_by_require() {
    assert!(matches!(open(b"N", "sslmode=prefer").await, Ok(Transport::Plain(_))));
    assert!(matches!(open(b"N", "sslmode=require").await, Err(TransportError::NotOffered)));
    assert!(matches!(open(b"E", "sslmode=prefer").await, Err(TransportError::NoAnswer)));
}

#[tokio::test]
async fn unencrypted_bytes_after_the_yes_are_no_handshake() {
    // Given a man in the middle who puts a message of his own behind the server's yes
    // When the handshake begins
    let opened = open(b"SZ\0\0\0\x05I", "sslmode=require").await;
    // Then his message is read as TLS, and is none
    assert!(matches!(opened, Err(TransportError::Handshake(_))), "{opened:?}");
}

#[tokio::test]
async fn a_root_certificate_that_is_missing_is_named() {
    let opened = open(b"S", "sslmode=verify-full&sslrootcert=/nowhere/ca.pem").await;
    let error = opened.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("sslrootcert") && error.contains("/nowhere/ca.pem"), "{error}");
}
