//! MQTT 3.1 over a client library that speaks 3.1.1: only CONNECT differs, so its protocol name and level are replaced on
//! the way out (MQTT 3.1, section 3.1; MQTT 3.1.1, section 3.1.2).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rumqttc_v4::tokio_rustls::TlsConnector;
use rumqttc_v4::{NetworkOptions, default_socket_connect};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Protocol name and level of MQTT 3.1.1, as they stand in CONNECT.
const NAME_311: &[u8] = b"\x00\x04MQTT\x04";
/// The same of MQTT 3.1.
const NAME_310: &[u8] = b"\x00\x06MQIsdp\x03";
/// First byte of CONNECT.
const CONNECT: u8 = 0x10;

/// Connects, with TLS inside, because the packet has to be changed before it is encrypted.
pub(super) async fn connect(
    address: String,
    network: NetworkOptions,
    host: String,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<Connect310<Box<dyn Stream>>> {
    let socket = default_socket_connect(address, network).await?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(socket),
        Some(config) => {
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Box::new(TlsConnector::from(config).connect(name, socket).await?)
        }
    };
    Ok(Connect310::new(stream))
}

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// Replaces the first packet that is written.
pub(super) struct Connect310<S> {
    stream: S,
    first: First,
}

/// How far the first packet is.
enum First {
    /// Not written to its end yet.
    Incomplete(Vec<u8>),
    /// Replaced; this is still to go out.
    Outgoing(Vec<u8>),
    /// Gone.
    Gone,
}

impl<S> Connect310<S> {
    fn new(stream: S) -> Self {
        Self { stream, first: First::Incomplete(Vec::new()) }
    }
}

impl<S: AsyncWrite + Unpin> Connect310<S> {
    /// Sends what is left of the first packet.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let First::Outgoing(rest) = &mut self.first {
            if rest.is_empty() {
                self.first = First::Gone;
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rest.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connect310<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let First::Incomplete(packet) = &mut self.first {
            packet.extend_from_slice(bytes);
            if is_complete(packet) {
                self.first = First::Outgoing(as_310(packet)?);
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_first(context))?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_first(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_first(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connect310<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

/// A packet's remaining length and the number of bytes that tell it (MQTT 3.1.1, section 2.2.3); `None` when it is not
/// there to its end.
fn remaining_length(packet: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (index, byte) in packet.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((length, index + 1));
        }
    }
    None
}

fn is_complete(packet: &[u8]) -> bool {
    remaining_length(packet).is_some_and(|(length, told_in)| packet.len() >= 1 + told_in + length)
}

/// The packet with the other name; what follows it stays.
fn as_310(packet: &[u8]) -> io::Result<Vec<u8>> {
    let no_connect =
        || io::Error::new(io::ErrorKind::InvalidData, "the first packet is no CONNECT of MQTT 3.1.1");
    let (length, told_in) = remaining_length(packet).ok_or_else(no_connect)?;
    let body =
        packet.get(1 + told_in..).and_then(|body| body.strip_prefix(NAME_311)).ok_or_else(no_connect)?;
    if packet.first() != Some(&CONNECT) {
        return Err(no_connect());
    }
    let mut replaced = vec![CONNECT];
    let mut length = length - NAME_311.len() + NAME_310.len();
    loop {
        let low = u8::try_from(length & 0x7F).unwrap_or_default();
        length >>= 7;
        replaced.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    replaced.extend_from_slice(NAME_310);
    replaced.extend_from_slice(body);
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// CONNECT with a client id of `id_bytes` bytes.
    fn connect_packet(id_bytes: usize) -> Vec<u8> {
        let mut body = NAME_311.to_vec();
        body.extend_from_slice(&[0x02, 0x00, 0x1E]);
        body.extend_from_slice(&u16::try_from(id_bytes).unwrap().to_be_bytes());
        body.extend(std::iter::repeat_n(b'i', id_bytes));
        let mut packet = vec![CONNECT];
        match body.len() {
            short @ 0..128 => packet.push(u8::try_from(short).unwrap()),
            long => {
                packet.extend([u8::try_from(long % 128).unwrap() | 0x80, u8::try_from(long / 128).unwrap()])
            }
        }
        packet.extend(body);
        packet
    }

    #[tokio::test]
    async fn connect_is_replaced_however_it_is_written() {
        for chunk in [1, 3, 1000] {
            // given a stream that replaces CONNECT
            let (near, mut far) = tokio::io::duplex(4096);
            let mut near = Connect310::new(near);

            // when CONNECT and another packet are written in pieces
            for piece in connect_packet(5).chunks(chunk) {
                near.write_all(piece).await.unwrap();
            }
            near.write_all(b"\xC0\x00").await.unwrap();
            near.flush().await.unwrap();
            drop(near);

            // then the first one is MQTT 3.1's and the other is as it was
            let mut sent = Vec::new();
            far.read_to_end(&mut sent).await.unwrap();
            assert_eq!(sent, b"\x10\x13\x00\x06MQIsdp\x03\x02\x00\x1E\x00\x05iiiii\xC0\x00", "{chunk}");
        }
    }

    #[test]
    fn the_length_may_need_another_byte() {
        // 126 bytes are told in one byte, 128 in two
        let packet = connect_packet(126 - 12);
        let replaced = as_310(&packet).unwrap();
        assert_eq!(replaced.get(..3), Some(&[CONNECT, 0x80, 0x01][..]));
        assert_eq!(replaced.len(), packet.len() + 3);
    }

    #[test]
    fn anything_else_is_no_connect() {
        assert!(as_310(b"\x30\x07\x00\x04MQTT\x04").is_err());
        assert!(as_310(b"\x10\x02\x00\x00").is_err());
    }
}
