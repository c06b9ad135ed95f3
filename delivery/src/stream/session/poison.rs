//! Items that can never be delivered: each becomes a dead letter, behind which its partition goes on, or blocks it where
//! there is no container for such letters.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::error;
use twinroute_common::backoff::Backoff;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::dead_letter::Failure;
use twinroute_common::outage::Outage;

use super::Session;
use crate::letter_box::LetterBox;
use crate::settlement::ItemRef;
use crate::stream::StreamError;

/// Waits until a letter that could not be written is written again: the partition waits too.
const RETRY_INITIAL: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// An item that can never be delivered.
pub(super) struct PoisonItem {
    pub(super) item: ItemRef,
    /// For people: which item, and why.
    pub(super) what: String,
    /// The event that stands for it.
    pub(super) event: CloudEvent,
    pub(super) failure: Failure,
}

/// An item that can never be delivered, before it is known what becomes of it.
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) code: &'static str,
    pub(super) reason: String,
    pub(super) event: CloudEvent,
}

impl Refused {
    pub(super) fn of(self, item: ItemRef) -> PoisonItem {
        let Self { what, code, reason, event } = self;
        let failure = Failure { reason, code, attempts: 0, time: Timestamp::now(), redrive: None };
        PoisonItem { item, what, event, failure }
    }
}

impl Session<'_> {
    /// Begins to write the letters of poison items, or tells that they block their partitions.
    pub(super) fn end_poison(&mut self, poison: Vec<PoisonItem>) {
        for poison in poison {
            self.context.metrics.poison_events.inc();
            if let Some(letter_box) = &self.context.poison_letters {
                let told = self.context.poison.clone();
                self.letters.push(write(letter_box.clone(), poison, told).boxed());
                continue;
            }
            let PoisonItem { item, what, .. } = poison;
            let text = blocked(item.partition, &what);
            error!("{text}; nothing behind it in this partition is delivered");
            self.context.poison.send_replace(Some(text));
            self.report();
        }
    }

    /// A poison item's letter is durable: the item is settled, and its partition goes on behind it.
    pub(super) fn pass_poison(&mut self, item: ItemRef) -> Result<(), StreamError> {
        self.settlement.delivered(item);
        self.leases.pass(item.partition, item.lease);
        self.dispatch_waiting()?;
        self.report();
        Ok(())
    }
}

/// Letters of poison items on their way, at most one per partition.
pub(super) type Letters = futures_util::stream::FuturesUnordered<BoxFuture<'static, ItemRef>>;

/// Writes a letter, however often that takes, and tells while it cannot be done.
async fn write(letter_box: LetterBox, poison: PoisonItem, told: watch::Sender<Option<String>>) -> ItemRef {
    let PoisonItem { item, what, event, failure } = poison;
    let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX);
    let mut outage = Outage::new("write dead letters of items that cannot be delivered", what.clone());
    while let Err(error) = letter_box.put(&event, &failure).await {
        outage.failed(&error);
        told.send_replace(Some(format!("{}; {error}", blocked(item.partition, &what))));
        tokio::time::sleep(backoff.next()).await;
    }
    outage.works();
    item
}

fn blocked(partition: u32, what: &str) -> String {
    format!("partition {partition} is blocked by an item that cannot be delivered: {what}")
}
