//! Live subscriptions: whoever wants what happens from now on, on one temporary slot that all of them share.
//!
//! A hub takes what is read from the slot, as for a durable subscription. Its only consumer is the `Tail`, which hands all
//! on to a hub of each live consumer's own and acknowledges at once: so nobody holds back WAL, and nobody waits for anybody.

mod seats;
mod tail;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::tail::Tail;
use crate::config::CaptureSettings;
use crate::metrics::Metrics;
use crate::postgres::ConnectionString;
use crate::pressure::Pressure;
use crate::selection::Selection;
use crate::state::Running;

/// What live subscriptions are called in metrics and in the log: no durable one can have this name.
pub const LIVE: &str = "(live)";

/// Why a live consumer is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LiveRefused {
    /// There are as many as there may be.
    #[error("{0} live consumers are connected, which is live.consumers_max")]
    Full(usize),
    /// There is no stream to share.
    #[error("the live stream cannot begin: {0}")]
    NoStream(String),
}

/// A consumer that wants to join.
#[derive(Debug)]
struct Join {
    selection: Selection,
    answer: oneshot::Sender<Result<Running, LiveRefused>>,
}

/// Lets live consumers in.
#[derive(Clone, Debug)]
pub struct Live {
    joins: mpsc::Sender<Join>,
    settings: Arc<CaptureSettings>,
}

impl Live {
    /// The door, and what must run behind it until `stop`.
    pub fn new(
        settings: Arc<CaptureSettings>,
        config: Arc<ConnectionString>,
        metrics: Metrics,
        pressure: Pressure,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (joins, asked) = mpsc::channel(settings.live.consumers_max);
        let live = Self { joins, settings: Arc::clone(&settings) };
        (live, Tail { settings, config, metrics, pressure }.run(asked, stop))
    }

    /// Joins: all that is committed from now on and is selected will come.
    ///
    /// # Errors
    /// [`LiveRefused`].
    pub async fn join(&self, selection: Selection) -> Result<Running, LiveRefused> {
        let (answer, answered) = oneshot::channel();
        let join = async {
            self.joins.send(Join { selection, answer }).await.map_err(drop)?;
            answered.await.map_err(drop)
        };
        // Twice: to find the server, and to make the slot there.
        let deadline = self.settings.postgres.answer_deadline() * 2;
        match timeout(deadline, join).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(())) => Err(LiveRefused::NoStream("capture is stopping".to_owned())),
            Err(_) => Err(LiveRefused::NoStream(format!("PostgreSQL did not answer within {deadline:?}"))),
        }
    }
}
