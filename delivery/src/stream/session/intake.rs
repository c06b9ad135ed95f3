//! Intake: batches are noted for settlement, then dispatched or kept.

use std::time::Instant;

use tracing::{error, info, warn};
use twinroute_common::event::{Item, PoisonEvent};

use super::Session;
use crate::dispatch::Round;
use crate::metrics::StreamMetrics;
use crate::settlement::{ItemRef, Settlement};
use crate::stream::StreamError;
use crate::stream::frames::Batch;
use crate::stream::leases::{Admission, Leases};

/// What an item that can't be delivered says of itself.
struct Poison {
    partition: u32,
    what: String,
}

impl Session<'_> {
    pub(super) fn take_batches(&mut self, batches: Vec<Batch>) -> Result<(), StreamError> {
        let now = Instant::now();
        let round = self.dispatcher.round();
        self.version = self.version.max(round.version());
        let mut intake = Intake {
            settlement: self.settlement,
            leases: &mut self.leases,
            metrics: &self.context.metrics,
            round,
            poison: Vec::new(),
        };
        for batch in batches {
            if let Some(last) = batch.items.last() {
                self.last_seen.received(last.item.position());
            }
            intake.take(batch, now)?;
        }
        let poison = intake.finish()?;
        self.note(poison);
        Ok(())
    }

    /// The routing has changed: what waited for its version is dispatched.
    pub(super) fn dispatch_waiting(&mut self) -> Result<(), StreamError> {
        let round = self.dispatcher.round();
        self.version = self.version.max(round.version());
        let mut intake = Intake {
            settlement: self.settlement,
            leases: &mut self.leases,
            metrics: &self.context.metrics,
            round,
            poison: Vec::new(),
        };
        while let Some((partition, number, items)) = intake.leases.next_waiting(self.version) {
            intake.dispatch(partition, number, items);
        }
        let poison = intake.finish()?;
        self.note(poison);
        if let Some(awaited) = self.leases.awaited_version(self.version) {
            info!(version = self.version, awaited, "partitions wait for a newer route table");
        }
        Ok(())
    }

    fn note(&mut self, poison: Vec<Poison>) {
        for Poison { partition, what } in poison {
            self.context.metrics.poison_events.inc();
            let text =
                format!("partition {partition} is blocked by an item that cannot be delivered: {what}");
            error!("{text}; nothing behind it in this partition is delivered");
            self.context.poison.send_replace(Some(text));
            self.report();
        }
    }
}

/// Items on their way into one round of dispatch.
struct Intake<'s> {
    settlement: &'s mut Settlement,
    leases: &'s mut Leases,
    metrics: &'s StreamMetrics,
    round: Round<'s>,
    poison: Vec<Poison>,
}

impl Intake<'_> {
    fn take(&mut self, batch: Batch, now: Instant) -> Result<(), StreamError> {
        let Batch { partition, epoch, number, items } = batch;
        let held = self.leases.get(partition).filter(|held| held.epoch == epoch);
        let lease = held.map(|held| held.lease).ok_or_else(|| {
            let (generation, counter) = (epoch.generation, epoch.counter);
            StreamError::Protocol(format!(
                "a batch of partition {partition} under epoch {generation}.{counter}, which this worker does not hold"
            ))
        })?;
        self.settlement.receive(lease, number, items.iter().map(|item| item.cost_bytes), now)?;
        self.metrics.items.inc_by(items.len() as u64);
        let items = items.into_iter().map(|item| item.item).collect();
        match self.leases.admit(partition, number, items, self.round.version()) {
            Admission::Dispatch(items) => self.dispatch(partition, number, items),
            Admission::Kept => {}
        }
        Ok(())
    }

    /// Dispatches a batch up to its first item that can't be delivered.
    fn dispatch(&mut self, partition: u32, number: u64, items: Vec<Item>) {
        let Some(lease) = self.leases.get(partition).map(|held| held.lease) else { return };
        for (index, item) in (0..).zip(items) {
            let item_ref = ItemRef { lease, batch: number, item: index, partition };
            let deliveries = match self.dispatch_item(item_ref, &item) {
                Ok(deliveries) => deliveries,
                Err(what) => {
                    self.leases.poison(partition);
                    self.poison.push(Poison { partition, what });
                    return;
                }
            };
            self.settlement.dispatched(item_ref, deliveries);
        }
    }

    /// The number of deliveries, or why there can be none.
    fn dispatch_item(&mut self, item_ref: ItemRef, item: &Item) -> Result<u32, String> {
        match item {
            Item::Event(event) => self.round.event(item_ref, event).map_err(|error| {
                let (graph, label, id) = (&event.graph, &event.label, &event.entity_id);
                format!("{graph}.{label} `{id}` at {}: {error}", event.position)
            }),
            Item::Poison(poison) => Err(describe(poison)),
            // Every partition has it; the holder of one speaks of it.
            Item::Discontinuity(gap) if item_ref.partition == 0 => {
                warn!(position = %gap.position, "changes are missing from the stream: {}", gap.reason);
                self.metrics.discontinuities.inc();
                Ok(self.round.gap(item_ref, gap))
            }
            Item::Discontinuity(_) => Ok(0),
        }
    }

    fn finish(self) -> Result<Vec<Poison>, StreamError> {
        self.round.finish()?;
        Ok(self.poison)
    }
}

fn describe(poison: &PoisonEvent) -> String {
    let PoisonEvent { position, graph, label, ordering_key, reason, .. } = poison;
    format!("{graph}.{label} `{ordering_key}` at {position}: {reason}")
}
