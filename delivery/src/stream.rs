//! The consumer side of the capture stream: connect, follow one session after the other, leave in order.

mod connect;
mod error;
mod fence;
mod frames;
mod last_seen;
mod leases;
mod outbox;
mod recall;
mod session;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use twinroute_common::causes::Causes;
use twinroute_common::grpc::ClientSettings;
use twinroute_common::health::Condition;
use twinroute_common::outage::Outage;

pub use error::StreamError;
pub use fence::Fence;

use self::connect::connect;
use self::last_seen::LastSeen;
use self::recall::recall_all;
use self::session::Session;
use crate::config::{MemorySettings, StreamSettings};
use crate::holdings::Holdings;
use crate::letter_box::LetterBox;
use crate::metrics::StreamMetrics;
use crate::pressure::Shortage;
use crate::routing::CurrentRouting;
use crate::settlement::{ItemRef, Settlement};

/// What the stream needs from the rest of the worker.
pub struct StreamContext {
    /// How capture is reached.
    pub capture: ClientSettings,
    /// What is taken, and how much of it.
    pub settings: StreamSettings,
    /// What the process may hold.
    pub memory: MemorySettings,
    /// Whether that is nearly reached.
    pub shortage: Shortage,
    /// Name of this worker.
    pub worker_id: String,
    /// CloudEvents `source`.
    pub source: String,
    /// The routing in force.
    pub routing: Arc<CurrentRouting>,
    /// Says whether sinks may be written to.
    pub fence: Arc<Fence>,
    /// The partitions that are held, for the endpoints.
    pub holdings: Holdings,
    /// What the endpoints have settled.
    pub settled: mpsc::Receiver<Vec<ItemRef>>,
    /// Readiness: the stream is open.
    pub condition: Condition,
    /// Why partitions are blocked by poison, for people; `None` when none is.
    pub poison: watch::Sender<Option<String>>,
    /// Where poison items go; `None` for nowhere, then each blocks its partition.
    pub poison_letters: Option<LetterBox>,
    /// Numbers.
    pub metrics: StreamMetrics,
    /// Cancelled when the worker is to leave.
    pub drain: CancellationToken,
    /// How long leaving may take.
    pub drain_timeout: Duration,
}

/// Follows the stream until the worker is told to leave and everything is settled or given back.
///
/// # Errors
/// Only what makes it wrong to come back: another worker has taken this one's name.
pub async fn run(mut context: StreamContext) -> Result<(), StreamError> {
    let mut outage = Outage::new("follow the capture stream", context.capture.addresses.clone());
    let mut backoff = context.settings.backoff();
    let drain = context.drain.clone();
    if !first_routing(&context).await {
        return Ok(());
    }
    let mut last_seen = LastSeen::default();
    // One for all streams: a notice of a former one may still be on its way, and must not settle what the next one sends.
    let mut settlement = Settlement::default();
    loop {
        let started = Instant::now();
        match follow(&mut context, &mut last_seen, &mut settlement, &mut outage).await {
            Ok(()) => return Ok(()),
            Err(error @ StreamError::Replaced { .. }) => return Err(error),
            Err(error) => {
                let reason = Causes(&error).to_string();
                outage.failed(&reason);
                context.condition.failing(reason);
            }
        }
        backoff.lasted(started.elapsed());
        tokio::select! {
            biased;
            () = drain.cancelled() => return Ok(()),
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}

/// Without a route table every event would look as if nobody wanted it. `false` when the worker leaves before there is one.
async fn first_routing(context: &StreamContext) -> bool {
    context.condition.failing("waiting for the first route table");
    let mut versions = context.routing.versions();
    tokio::select! {
        biased;
        () = context.drain.cancelled() => false,
        found = versions.wait_for(|version| *version > 0) => found.is_ok(),
    }
}

/// Follows one stream. Afterwards no sink writes anything of it.
async fn follow(
    context: &mut StreamContext,
    last_seen: &mut LastSeen,
    settlement: &mut Settlement,
    outage: &mut Outage,
) -> Result<(), StreamError> {
    let connected = tokio::select! {
        biased;
        () = context.drain.cancelled() => return Ok(()),
        connected = connect(context, *last_seen) => connected?,
    };
    outage.works();
    context.condition.ok();
    let end = Session::new(context, last_seen, settlement, connected).run().await;
    context.fence.close();
    context.holdings.lost();
    context.metrics.partitions.set(0);
    context.metrics.partitions_awaiting_routes.set(0);
    recall_all(&context.routing, &mut context.settled).await;
    settlement.reset();
    end
}

#[cfg(test)]
mod tests;
