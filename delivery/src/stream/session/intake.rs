//! Intake: batches are noted for settlement, then dispatched or kept.

use std::time::Instant;

use tracing::warn;
use twinroute_common::causes::Causes;
use twinroute_common::event::{EventData, Item, PoisonEvent};
use twinroute_common::render::{Poison, RenderError};

use super::Session;
use super::poison::{PoisonItem, Refused};
use crate::dispatch::Round;
use crate::metrics::StreamMetrics;
use crate::settlement::{ItemRef, Settlement};
use crate::stream::StreamError;
use crate::stream::frames::Batch;
use crate::stream::leases::{Admission, Leases, Waiting};

/// Codes of dead letters that no sink has refused.
const UNREADABLE: &str = "UNREADABLE";
const NOT_RENDERED: &str = "NOT_RENDERED";

impl Session<'_> {
    pub(super) fn take_batches(&mut self, batches: Vec<Batch>) -> Result<(), StreamError> {
        let now = Instant::now();
        let round = self.dispatcher.round();
        self.version = self.version.max(round.version());
        let mut intake = Intake {
            settlement: self.settlement,
            leases: &mut self.leases,
            metrics: &self.context.metrics,
            passes_poison: self.context.poison_letters.is_some(),
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
        self.end_poison(poison);
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
            passes_poison: self.context.poison_letters.is_some(),
            round,
            poison: Vec::new(),
        };
        while let Some((partition, batch)) = intake.leases.next_waiting(self.version) {
            intake.dispatch(partition, batch);
        }
        let poison = intake.finish()?;
        self.end_poison(poison);
        if let Some(awaited) = self.leases.awaited_version(self.version) {
            warn!(version = self.version, awaited, "partitions wait for a newer route table");
        }
        Ok(())
    }
}

/// Items on their way into one round of dispatch.
struct Intake<'s> {
    settlement: &'s mut Settlement,
    leases: &'s mut Leases,
    metrics: &'s StreamMetrics,
    /// Partitions go on behind poison items, as soon as these are dead letters.
    passes_poison: bool,
    round: Round<'s>,
    poison: Vec<PoisonItem>,
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
        let batch = Waiting { number, first: 0, items };
        match self.leases.admit(partition, batch, self.round.version()) {
            Admission::Dispatch(batch) => self.dispatch(partition, batch),
            Admission::Kept => {}
        }
        Ok(())
    }

    /// Dispatches a batch up to its first item that can't be delivered; what follows waits for its letter.
    fn dispatch(&mut self, partition: u32, batch: Waiting) {
        let Some(lease) = self.leases.get(partition).map(|held| held.lease) else { return };
        let Waiting { number, first, items } = batch;
        let mut items = items.into_iter();
        let mut index = first;
        while let Some(item) = items.next() {
            let item_ref = ItemRef { lease, batch: number, item: index, partition };
            index += 1;
            match self.dispatch_item(item_ref, &item) {
                Ok(deliveries) => self.settlement.dispatched(item_ref, deliveries),
                Err(refused) => {
                    if self.passes_poison {
                        self.settlement.dispatched(item_ref, 1);
                        let rest = Waiting { number, first: index, items: items.collect() };
                        self.leases.await_letter(partition, rest);
                    } else {
                        self.leases.block(partition);
                    }
                    self.poison.push(refused.of(item_ref));
                    return;
                }
            }
        }
    }

    /// The number of deliveries, or why there can be none.
    fn dispatch_item(&mut self, item_ref: ItemRef, item: &Item) -> Result<u32, Box<Refused>> {
        match item {
            Item::Event(event) => {
                self.round.event(item_ref, event).map_err(|error| self.not_rendered(event, &error))
            }
            Item::Poison(poison) => Err(self.unreadable(poison)),
            // Every partition has it; the holder of one speaks of it.
            Item::Discontinuity(gap) if item_ref.partition == 0 => {
                warn!(position = %gap.position, "changes are missing from the stream: {}", gap.reason);
                self.metrics.discontinuities.inc();
                Ok(self.round.gap(item_ref, gap))
            }
            Item::Discontinuity(_) => Ok(0),
        }
    }

    fn not_rendered(&self, event: &EventData, error: &RenderError) -> Box<Refused> {
        let reason = Causes(error).to_string();
        let EventData { position, graph, label, entity_id, .. } = event;
        Box::new(Refused {
            what: format!("{graph}.{label} `{entity_id}` at {position}: {reason}"),
            code: NOT_RENDERED,
            event: self.round.poison(&Poison::unrendered(event, &reason)),
            reason,
        })
    }

    fn unreadable(&self, poison: &PoisonEvent) -> Box<Refused> {
        let PoisonEvent { position, graph, label, ordering_key, reason, .. } = poison;
        Box::new(Refused {
            what: format!("{graph}.{label} `{ordering_key}` at {position}: {reason}"),
            code: UNREADABLE,
            event: self.round.poison(&Poison::unread(poison)),
            reason: reason.clone(),
        })
    }

    fn finish(self) -> Result<Vec<PoisonItem>, StreamError> {
        self.round.finish()?;
        Ok(self.poison)
    }
}
