//! Opens a session: start-up message and authentication (PostgreSQL manual, section "Message Flow").

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt as _;

use super::connection::{Connection, ReplicationError};

/// Who logs in, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: Option<&'a [u8]>,
    pub(super) database: &'a str,
    pub(super) application_name: &'a str,
}

impl Login<'_> {
    /// Logs in on a fresh connection, and waits until it can take a command.
    pub(super) async fn run(&self, connection: &mut Connection) -> Result<(), ReplicationError> {
        let parameters = [
            ("user", self.user),
            ("database", self.database),
            ("replication", "database"),
            ("application_name", self.application_name),
            ("client_encoding", "UTF8"),
        ];
        connection.send(|out| frontend::startup_message(parameters, out)).await?;
        loop {
            match connection.message().await? {
                Message::AuthenticationOk => {}
                Message::AuthenticationCleartextPassword => {
                    let password = self.password()?;
                    connection.send(|out| frontend::password_message(password, out)).await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(self.user.as_bytes(), self.password()?, body.salt());
                    connection.send(|out| frontend::password_message(hash.as_bytes(), out)).await?;
                }
                Message::AuthenticationSasl(body) => {
                    let mechanisms: Vec<String> =
                        body.mechanisms().map(|name| Ok(name.to_owned())).collect()?;
                    self.scram(connection, &mechanisms).await?;
                }
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(ReplicationError::server(&mut body.fields())),
                Message::ParameterStatus(_) | Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
                _ => return Err(ReplicationError::Protocol { expected: "an authentication request" }),
            }
        }
    }

    async fn scram(
        &self,
        connection: &mut Connection,
        mechanisms: &[String],
    ) -> Result<(), ReplicationError> {
        if !mechanisms.iter().any(|name| name == SCRAM_SHA_256) {
            return Err(ReplicationError::Protocol { expected: "SCRAM-SHA-256" });
        }
        let mut scram = ScramSha256::new(self.password()?, ChannelBinding::unsupported());
        connection.send(|out| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)).await?;
        loop {
            match connection.message().await? {
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    connection.send(|out| frontend::sasl_response(scram.message(), out)).await?;
                }
                Message::AuthenticationSaslFinal(body) => return Ok(scram.finish(body.data())?),
                Message::ErrorResponse(body) => return Err(ReplicationError::server(&mut body.fields())),
                _ => return Err(ReplicationError::Protocol { expected: "a SASL message" }),
            }
        }
    }

    fn password(&self) -> Result<&[u8], ReplicationError> {
        self.password.ok_or(ReplicationError::PasswordMissing)
    }
}

impl Connection {
    /// Sends what `write` puts into a buffer.
    pub(super) async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), ReplicationError> {
        let mut out = BytesMut::new();
        write(&mut out)?;
        let written = tokio::time::timeout(self.answer_deadline, self.stream.write_all(&out));
        written.await.map_err(|_| ReplicationError::Silent { deadline: self.answer_deadline })??;
        Ok(())
    }

    /// The next message before a stream has begun.
    pub(super) async fn message(&mut self) -> Result<Message, ReplicationError> {
        loop {
            if let Some(message) = Message::parse(&mut self.buffer)? {
                return Ok(message);
            }
            let filled = tokio::time::timeout(self.answer_deadline, self.fill());
            filled.await.map_err(|_| ReplicationError::Silent { deadline: self.answer_deadline })??;
        }
    }
}
