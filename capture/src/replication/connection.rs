//! A connection in replication mode: opens it, starts a stream, reads its frames, reports how far we are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut as _, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{ErrorFields, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::AsyncReadExt as _;
use twinroute_common::lsn::Lsn;

use super::frame::{Frame, FrameError, Frames};
use super::login::Login;
use crate::decode::WHOLE_BYTES_MAX;
use crate::postgres::connection_string::ConnectionString;
use crate::postgres::server::Server;
use crate::postgres::transport::{Transport, TransportError};

/// What one read from the socket may take, in bytes.
const READ_BYTES: usize = 256 << 10;

/// A replication connection that failed. All of them are retried.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// There is no connection to the server that the control connection is on.
    #[error("no replication connection to {server}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// The connection broke.
    #[error("the replication connection broke")]
    Io(#[from] std::io::Error),
    /// The server closed the connection.
    #[error("PostgreSQL closed the replication connection")]
    Closed,
    /// The server did not answer.
    #[error("PostgreSQL did not answer within {deadline:?}")]
    Silent {
        /// How long was waited.
        deadline: Duration,
    },
    /// The server wants a password, and the configuration has none.
    #[error("PostgreSQL asks for a password; put one into postgres.url")]
    PasswordMissing,
    /// The login would not be bound to a TLS session.
    #[error(
        "channel_binding of postgres.url is require, and the server does not offer SCRAM-SHA-256-PLUS over TLS"
    )]
    Unbound,
    /// The server reported an error.
    #[error("PostgreSQL says {severity}: {message} (SQLSTATE {code})")]
    Server {
        /// `ERROR` or `FATAL`.
        severity: String,
        /// SQLSTATE.
        code: String,
        /// For people.
        message: String,
    },
    /// The server did something else than the protocol allows.
    #[error("PostgreSQL did not send {expected}")]
    Protocol {
        /// What should have come.
        expected: &'static str,
    },
    /// A message that a stream does not have.
    #[error("the replication stream is broken")]
    Frame(#[from] FrameError),
}

impl ReplicationError {
    pub(super) fn server(fields: &mut ErrorFields<'_>) -> Self {
        let (mut severity, mut code, mut message) = (String::new(), String::new(), String::new());
        while let Ok(Some(field)) = fields.next() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'S' => severity = value,
                b'C' => code = value,
                b'M' => message = value,
                _ => {}
            }
        }
        Self::Server { severity, code, message }
    }

    /// Another walsender uses the slot (SQLSTATE 55006, `object_in_use`).
    #[must_use]
    pub fn is_slot_in_use(&self) -> bool {
        matches!(self, Self::Server { code, .. } if code == "55006")
    }
}

/// A connection in replication mode.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Transport,
    pub(super) buffer: BytesMut,
    frames: Frames,
    pub(super) answer_deadline: Duration,
}

impl Connection {
    /// Connects to `server`, in the way in which it was chosen, and logs in.
    ///
    /// # Errors
    /// [`ReplicationError`].
    pub async fn open(
        connection_string: &ConnectionString,
        server: &Server,
        application_name: &str,
        answer_deadline: Duration,
    ) -> Result<Self, ReplicationError> {
        let Server { host, address, .. } = server;
        let stream =
            Transport::open(connection_string, host, *address, server.negotiation(), answer_deadline).await;
        let stream =
            stream.map_err(|source| ReplicationError::Unreachable { server: server.to_string(), source })?;
        let buffer = BytesMut::with_capacity(READ_BYTES);
        let frames = Frames::new(WHOLE_BYTES_MAX);
        let mut connection = Self { stream, buffer, frames, answer_deadline };
        let session = &connection_string.session;
        let user = session.get_user().unwrap_or_default();
        let login = Login {
            user,
            password: session.get_password(),
            database: session.get_dbname().unwrap_or(user),
            options: session.get_options().unwrap_or_default(),
            application_name,
            channel_binding: session.get_channel_binding(),
        };
        login.run(&mut connection).await?;
        Ok(connection)
    }

    /// Starts to stream pgoutput messages of the publication from a slot.
    ///
    /// # Errors
    /// [`ReplicationError::is_slot_in_use`] while another walsender has the slot.
    pub async fn start(&mut self, slot: &str, from: Lsn, publication: &str) -> Result<(), ReplicationError> {
        let publication = publication.replace('\'', "''").replace('"', "\"\"");
        let command = format!(
            "START_REPLICATION SLOT \"{slot}\" LOGICAL {from} \
             (proto_version '1', publication_names '\"{publication}\"', messages 'true')"
        );
        self.send(|out| frontend::query(&command, out)).await?;
        loop {
            // CopyBothResponse is the one message that postgres-protocol does not know.
            if self.buffer.first() == Some(&b'W') {
                return self.skip_copy_both_response().await;
            }
            if self.buffer.is_empty() {
                self.fill_in_time().await?;
                continue;
            }
            match self.message().await? {
                Message::ErrorResponse(body) => return Err(ReplicationError::server(&mut body.fields())),
                Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                _ => return Err(ReplicationError::Protocol { expected: "CopyBothResponse" }),
            }
        }
    }

    async fn skip_copy_both_response(&mut self) -> Result<(), ReplicationError> {
        loop {
            let length = self.buffer.get(1..5).and_then(|length| length.first_chunk::<4>());
            let total = length.map(|length| u32::from_be_bytes(*length) as usize + 1);
            if let Some(total) = total.filter(|total| self.buffer.len() >= *total) {
                let _response = self.buffer.split_to(total);
                return Ok(());
            }
            self.fill_in_time().await?;
        }
    }

    /// The same as [`Self::fill`], for an answer that must come.
    pub(super) async fn fill_in_time(&mut self) -> Result<(), ReplicationError> {
        let deadline = self.answer_deadline;
        let filled = tokio::time::timeout(deadline, self.fill());
        filled.await.map_err(|_| ReplicationError::Silent { deadline })??;
        Ok(())
    }

    /// Waits for bytes and takes in what is there; how many they are. Nothing is lost when it is cancelled.
    ///
    /// # Errors
    /// [`ReplicationError::Closed`] at the end of the stream, [`ReplicationError::Io`].
    pub async fn fill(&mut self) -> Result<usize, ReplicationError> {
        // Rows are slices of the buffer. Many share one, or each would hold on to room that it does not use.
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ReplicationError::Closed),
            bytes => Ok(bytes),
        }
    }

    /// [`Self::fill`] took all that was there if it took fewer bytes.
    pub(super) fn little_bytes(&self) -> usize {
        // Of what it has, a TLS session gives what one read of 4,096 bytes brought, in whole records.
        if self.stream.is_encrypted() { 1_536 } else { READ_BYTES / 16 }
    }

    /// The next frame of those that were received.
    ///
    /// # Errors
    /// [`ReplicationError`] when the stream is broken, or the server reports an error or ends it.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ReplicationError> {
        match self.frames.cut(&mut self.buffer)? {
            Some(Frame::Error(body)) => {
                let mut message = BytesMut::new();
                message.put_u8(b'E');
                message.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
                message.extend_from_slice(&body);
                match Message::parse(&mut message)? {
                    Some(Message::ErrorResponse(body)) => Err(server_error(&body)),
                    _ => Err(ReplicationError::Protocol { expected: "a well-formed error" }),
                }
            }
            Some(Frame::Done) => Err(ReplicationError::Closed),
            frame => Ok(frame),
        }
    }

    /// Reports how far the WAL was received, and how far the slot may forget it (`StandbyStatusUpdate`).
    ///
    /// # Errors
    /// [`ReplicationError`] when it cannot be sent in time.
    pub async fn report(&mut self, received: Lsn, confirmed: Lsn) -> Result<(), ReplicationError> {
        const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);
        let now = SystemTime::now().duration_since(UNIX_EPOCH + POSTGRES_EPOCH).unwrap_or_default();
        let now_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        self.send(|out| {
            out.put_u8(b'd');
            out.put_u32(4 + 1 + 8 * 4 + 1);
            out.put_u8(b'r');
            out.put_u64(received.max(confirmed).0);
            out.put_u64(confirmed.0);
            out.put_u64(confirmed.0);
            out.put_i64(now_us);
            out.put_u8(0);
            Ok(())
        })
        .await
    }

    /// Ends the stream in order, so that the slot is free at once.
    ///
    /// # Errors
    /// [`ReplicationError`] when it cannot be sent in time.
    pub async fn finish(mut self) -> Result<(), ReplicationError> {
        self.send(|out| {
            frontend::copy_done(out);
            frontend::terminate(out);
            Ok(())
        })
        .await
    }
}

fn server_error(body: &ErrorResponseBody) -> ReplicationError {
    ReplicationError::server(&mut body.fields())
}
