//! Opens a session: start-up message and authentication (PostgreSQL manual, section "Message Flow").

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt as _;
use tokio_postgres::config::ChannelBinding;

use super::connection::{Connection, ReplicationError};

/// Who logs in, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: Option<&'a [u8]>,
    pub(super) database: &'a str,
    /// Settings of the session, `-c name=value`; empty for none.
    pub(super) options: &'a str,
    pub(super) application_name: &'a str,
    /// Whether the login must be bound to the TLS session.
    pub(super) channel_binding: ChannelBinding,
}

impl Login<'_> {
    /// Logs in on a fresh connection, and waits until it can take a command.
    pub(super) async fn run(&self, connection: &mut Connection) -> Result<(), ReplicationError> {
        let parameters = [
            ("user", self.user),
            ("database", self.database),
            ("replication", "database"),
            ("options", self.options),
            ("application_name", self.application_name),
            ("client_encoding", "UTF8"),
        ];
        connection.send(|out| frontend::startup_message(parameters, out)).await?;
        let mut bound = false;
        loop {
            match connection.message().await? {
                Message::AuthenticationOk => self.may_be_unbound(bound)?,
                Message::AuthenticationCleartextPassword => {
                    self.may_be_unbound(bound)?;
                    let password = self.password()?;
                    connection.send(|out| frontend::password_message(password, out)).await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    self.may_be_unbound(bound)?;
                    let hash = md5_hash(self.user.as_bytes(), self.password()?, body.salt());
                    connection.send(|out| frontend::password_message(hash.as_bytes(), out)).await?;
                }
                Message::AuthenticationSasl(body) => {
                    let mechanisms: Vec<String> =
                        body.mechanisms().map(|name| Ok(name.to_owned())).collect()?;
                    bound = self.scram(connection, &mechanisms).await?;
                }
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(ReplicationError::server(&mut body.fields())),
                Message::ParameterStatus(_) | Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
                _ => return Err(ReplicationError::Protocol { expected: "an authentication request" }),
            }
        }
    }

    /// Logs in by SCRAM, bound to the TLS session where both sides can; tells whether it was.
    async fn scram(
        &self,
        connection: &mut Connection,
        mechanisms: &[String],
    ) -> Result<bool, ReplicationError> {
        let offered = |mechanism: &str| mechanisms.iter().any(|name| name == mechanism);
        let end_point = connection.stream.tls_server_end_point();
        let end_point = end_point.filter(|_| self.channel_binding != ChannelBinding::Disable);
        let (mechanism, binding) = match end_point {
            Some(end_point) if offered(SCRAM_SHA_256_PLUS) => {
                (SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(end_point))
            }
            // Told to the server, which so notices somebody who removed its offer on the way.
            Some(_) => (SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
            None => (SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        };
        let bound = mechanism == SCRAM_SHA_256_PLUS;
        if !offered(mechanism) {
            return Err(ReplicationError::Protocol { expected: "SCRAM-SHA-256" });
        }
        self.may_be_unbound(bound)?;
        let mut scram = ScramSha256::new(self.password()?, binding);
        connection.send(|out| frontend::sasl_initial_response(mechanism, scram.message(), out)).await?;
        loop {
            match connection.message().await? {
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    connection.send(|out| frontend::sasl_response(scram.message(), out)).await?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    scram.finish(body.data())?;
                    return Ok(bound);
                }
                Message::ErrorResponse(body) => return Err(ReplicationError::server(&mut body.fields())),
                _ => return Err(ReplicationError::Protocol { expected: "a SASL message" }),
            }
        }
    }

    fn may_be_unbound(&self, bound: bool) -> Result<(), ReplicationError> {
        if !bound && self.channel_binding == ChannelBinding::Require {
            return Err(ReplicationError::Unbound);
        }
        Ok(())
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
        let written = async {
            self.stream.write_all(&out).await?;
            // TLS may hold back what it was given.
            self.stream.flush().await
        };
        let written = tokio::time::timeout(self.answer_deadline, written);
        written.await.map_err(|_| ReplicationError::Silent { deadline: self.answer_deadline })??;
        Ok(())
    }

    /// The next message before a stream has begun.
    pub(super) async fn message(&mut self) -> Result<Message, ReplicationError> {
        loop {
            if let Some(message) = Message::parse(&mut self.buffer)? {
                return Ok(message);
            }
            self.fill_in_time().await?;
        }
    }
}
