//! A TCP proxy before a server, which can hold the server's answers back.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

use crate::ports;

/// Bytes that are read at a time, and how many of these pieces are held back at most; then the server is not read.
const PIECE_BYTES: usize = 16 * 1024;
const PIECES_MAX: usize = 1_024;

/// A proxy at work; its connections are cut when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    delay: watch::Sender<Duration>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens, and passes on to `server_port` of 127.0.0.1.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server_port: u16) -> Result<Self> {
        let port = ports::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let (delay, delays) = watch::channel(Duration::ZERO);
        let task = tokio::spawn(async move {
            // Dropped with this task, and all connections with it.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                // A connection that breaks is the business of its two ends.
                let delays = delays.clone();
                connections.spawn(async move { drop(connect(client, server_port, delays).await) });
            }
        });
        Ok(Self { port, delay, task })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on each answer reaches the client so long after the server has given it; also those on their way.
    pub fn delay_answers(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(client: TcpStream, server_port: u16, delays: watch::Receiver<Duration>) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let (held, holding) = mpsc::channel(PIECES_MAX);
    let requests = async {
        io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    tokio::try_join!(requests, take_answers(from_server, held), give_answers(holding, to_client, delays))?;
    Ok(())
}

/// An answer, and when it was given.
type Answer = (Instant, Vec<u8>);

async fn take_answers(mut server: OwnedReadHalf, held: mpsc::Sender<Answer>) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = server.read(&mut piece).await?;
        let bytes = piece.get(..count).unwrap_or_default().to_vec();
        if count == 0 || held.send((Instant::now(), bytes)).await.is_err() {
            return Ok(());
        }
    }
}

async fn give_answers(
    mut holding: mpsc::Receiver<Answer>,
    mut client: OwnedWriteHalf,
    mut delays: watch::Receiver<Duration>,
) -> io::Result<()> {
    while let Some((given_at, bytes)) = holding.recv().await {
        loop {
            let due_at = given_at + *delays.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(due_at) => break,
                Ok(()) = delays.changed() => {}
            }
        }
        client.write_all(&bytes).await?;
    }
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn answers_are_held_back_until_they_are_due() -> Result<()> {
        // Given a server that answers with what it was asked
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let proxy = Proxy::start(listener.local_addr()?.port()).await?;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let (mut from, mut to) = stream.split();
            io::copy(&mut from, &mut to).await
        });
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await?;
        // When answers are held back for an hour, none comes
        proxy.delay_answers(Duration::from_secs(3_600));
        client.write_all(b"question").await?;
        let mut answer = [0; 8];
        let early = tokio::time::timeout(Duration::from_millis(100), client.read_exact(&mut answer)).await;
        assert!(early.is_err());
        // When they are not any more, it does
        proxy.delay_answers(Duration::ZERO);
        tokio::time::timeout(DEADLINE, client.read_exact(&mut answer)).await??;
        assert_eq!(&answer, b"question");
        // And the end of the client is the end of the server
        drop(client);
        tokio::time::timeout(DEADLINE, server).await???;
        Ok(())
    }
}
