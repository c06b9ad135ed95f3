//! What the two client libraries have in common.

use futures_util::Stream;

use super::bounds::{Bounds, Message};
use super::settings::Settings;
use crate::sink::{SinkError, Verdict};

/// What a connection tells.
#[derive(Debug)]
pub(super) enum Signal {
    /// The server has accepted the connection.
    Up(Bounds),
    /// Packets went to and fro.
    Traffic,
    /// The connection is lost, or was not made.
    Down {
        /// Why, for people.
        why: String,
        /// The reason code, when it is about one of the messages without saying which.
        about_message: Option<u8>,
    },
}

impl Signal {
    /// The connection as a whole is lost, or was not made.
    pub(super) fn down(why: impl Into<String>) -> Self {
        Self::Down { why: why.into(), about_message: None }
    }
}

/// A version of the protocol.
pub(super) trait Protocol: Send + Sync + Sized + 'static {
    /// Bytes of the properties of a message, with their length; 0 where the protocol has none.
    const PROPERTIES_BYTES: usize;

    /// Begins a connection, which makes progress while the signals are polled. It is never made again by itself, and dropping
    /// the signals ends it.
    fn connect(settings: &Settings) -> Result<(Self, impl Stream<Item = Signal> + Send), SinkError>;

    /// Queues a message; the future tells what became of it.
    ///
    /// # Errors
    /// When the message can never be sent.
    fn publish(&self, message: Message) -> Result<impl Future<Output = Verdict> + Send, SinkError>;

    /// Says good-bye, when everything is acknowledged.
    fn disconnect(&self);
}

/// The verdict on a message whose connection was lost.
pub(super) fn lost(why: impl std::fmt::Display) -> Verdict {
    SinkError::about_connection("CONNECTION_LOST", format!("no acknowledgement: {why}")).retryable()
}

/// The error of a message that the client library refuses.
pub(super) fn refused(why: impl std::fmt::Display) -> SinkError {
    SinkError::about_connection("NOT_QUEUED", format!("the message was not queued: {why}"))
}
