//! Why a stream came to its end.

use std::time::Duration;

use twinroute_common::grpc::ConnectError;
use twinroute_common::wire::WireError;

use crate::endpoint::QueueRefused;
use crate::settlement::BatchHole;

/// Why a stream came to its end. All but [`StreamError::Replaced`] are mended by connecting again.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No address answered.
    #[error("cannot connect to capture")]
    Connect(#[from] ConnectError),
    /// Capture refused the stream, or ended it with an error.
    #[error("capture ended the stream: {}: {}", .0.code(), .0.message())]
    Status(Box<tonic::Status>),
    /// Capture ended the stream without a reason, or the connection broke.
    #[error("capture ended the stream")]
    Closed,
    /// Hello was not answered.
    #[error("capture did not answer Hello within {} ms (stream.welcome_timeout_ms)", .0.as_millis())]
    NoWelcome(Duration),
    /// Something else than Welcome came first.
    #[error("capture did not begin the stream with Welcome")]
    NotWelcome,
    /// Capture may send larger messages than this worker takes.
    #[error(
        "capture sends messages of up to {needed} bytes; raise capture.message_bytes_max, which is {configured}"
    )]
    MessageLimit {
        /// Bytes of a message with the largest event.
        needed: u64,
        /// Bytes configured.
        configured: u64,
    },
    /// An event of capture may be larger than this worker has memory for.
    #[error("memory.bytes_max: {0}")]
    Memory(String),
    /// A frame that this build can't read.
    #[error("capture sent a frame that this version cannot read")]
    Wire(#[from] WireError),
    /// A frame that must not come.
    #[error("capture broke the protocol: {0}")]
    Protocol(String),
    /// The numbers of batches have a hole.
    #[error("capture broke the protocol")]
    Hole(#[from] BatchHole),
    /// No heartbeat was answered for a lease.
    #[error("capture answered no heartbeat for a lease")]
    LeaseLost,
    /// Capture said that it closes the stream.
    #[error("capture goes away: {0}")]
    GoAway(String),
    /// The worker was told to leave, and could not settle or give back everything in time.
    #[error("not everything was settled before the worker had to leave; it is sent to another one")]
    NotDrained,
    /// Another stream with this worker's name took its place.
    #[error("another worker has the name {worker_id}: {reason}; give each its own worker.id")]
    Replaced {
        /// The name.
        worker_id: String,
        /// What capture said.
        reason: String,
    },
    /// An endpoint took no more.
    #[error(transparent)]
    Queue(#[from] QueueRefused),
}

impl From<tonic::Status> for StreamError {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
