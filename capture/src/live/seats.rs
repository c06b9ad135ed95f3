//! The live consumers that are connected, and what each of them is handed.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use twinroute_common::event::Item;
use twinroute_common::lsn::Lsn;

use super::{Join, LiveRefused};
use crate::config::CaptureSettings;
use crate::hub::{Ending, Hub};
use crate::metrics::SubscriptionMetrics;
use crate::selection::Selection;
use crate::state::{Running, Watched};
use crate::subscription::{Bounds, Subscription, Unacked};

/// All that are connected.
#[derive(Debug)]
pub(super) struct Seats {
    settings: Arc<CaptureSettings>,
    seats: Vec<Seat>,
    /// The transaction that was handed on last, perhaps not to its end.
    current: Lsn,
}

/// A consumer. Its stream holds the hub; when that is over the hub is gone.
#[derive(Debug)]
struct Seat {
    hub: Weak<Hub>,
    selection: Selection,
    /// Transactions up to this one were committed before it came.
    after: Lsn,
}

impl Seats {
    pub(super) fn new(settings: Arc<CaptureSettings>) -> Self {
        Self { settings, seats: Vec::new(), current: Lsn::ZERO }
    }

    /// Gives a consumer a hub of its own, with partitions, epochs and credit as any other has them.
    pub(super) fn admit(&mut self, join: Join, source: &Hub, metrics: &SubscriptionMetrics) {
        let Join { selection, answer } = join;
        self.seats.retain(|seat| seat.hub.strong_count() > 0);
        if self.seats.len() >= self.settings.live.consumers_max {
            drop(answer.send(Err(LiveRefused::Full(self.seats.len()))));
            return;
        }
        let identity = source.identity.clone();
        let received = source.with(|subscription| subscription.received());
        let subscription = Subscription::new(self.bounds(), identity.incarnation, received, 0);
        let hub = Hub::new(identity, subscription);
        self.seats.push(Seat { hub: Arc::downgrade(&hub), selection, after: self.current });
        let (_, watched) = watch::channel(Watched::default());
        let running = Running { hub, requests: None, watched, metrics: metrics.clone() };
        // One that is gone leaves its seat empty.
        drop(answer.send(Ok(running)));
    }

    fn bounds(&self) -> Bounds {
        let stream = &self.settings.stream;
        stream.bounds(stream.partition_count, self.settings.live.unacked_max())
    }

    /// Hands items on to all who want them, and cuts off who holds too many already.
    pub(super) fn hand_on(&mut self, items: &[Arc<Item>]) {
        let Some(last) = items.last() else { return };
        self.current = last.position().commit_lsn;
        let settings = &self.settings;
        self.seats.retain(|seat| {
            let Some(hub) = seat.hub.upgrade() else { return false };
            let wanted: Vec<_> = items.iter().filter(|item| seat.wants(item)).map(Arc::clone).collect();
            let Some(last) = wanted.last().map(|item| item.position().commit_lsn) else { return true };
            let behind = behind(settings, hub.with(|subscription| subscription.unacked()));
            match behind {
                Some(reason) => hub.close(Ending::Behind(reason)),
                // The end of a transaction, or of a part of it: nothing is confirmed for a live consumer.
                None => hub.push(wanted, Some(last)),
            }
            !hub.is_closed()
        });
    }

    /// Tells all how far the stream is, and forgets who is gone; gives how many are left.
    pub(super) fn look(&mut self, received: Lsn) -> usize {
        self.seats.retain(|seat| {
            let hub = seat.hub.upgrade();
            if let Some(hub) = &hub {
                hub.with(|subscription| subscription.keepalive(received));
            }
            hub.is_some()
        });
        self.seats.len()
    }

    pub(super) fn are_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// What all of them have not acknowledged, in bytes.
    pub(super) fn unacked_bytes(&self) -> u64 {
        let hubs = self.seats.iter().filter_map(|seat| seat.hub.upgrade());
        hubs.map(|hub| hub.with(|subscription| subscription.unacked().bytes)).sum()
    }

    /// All of them end.
    pub(super) fn close(&mut self, ending: &Ending) {
        let hubs = self.seats.drain(..).filter_map(|seat| seat.hub.upgrade());
        hubs.for_each(|hub| hub.close(ending.clone()));
    }
}

impl Seat {
    fn wants(&self, item: &Item) -> bool {
        item.position().commit_lsn > self.after && self.selection.takes(item)
    }
}

/// How far a consumer is behind that is not to be handed more.
fn behind(settings: &CaptureSettings, unacked: Unacked) -> Option<String> {
    let live = &settings.live;
    let (held, key) = if unacked.events >= live.unacked_events_max {
        (format!("{} events", unacked.events), "live.unacked_events_max")
    } else if unacked.bytes >= live.unacked_bytes_max {
        (format!("{} bytes", unacked.bytes), "live.unacked_bytes_max")
    } else {
        return None;
    };
    Some(format!("this live consumer is {held} behind, which is {key}; connect again to go on from then"))
}

#[cfg(test)]
mod tests;
