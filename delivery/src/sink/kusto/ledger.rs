//! What a sink knows of shipments whose events may be handed over again: those that may have arrived although they failed,
//! and those that others have left. Such an event goes into no other blob.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hashbrown::HashSet;
use uuid::Uuid;

/// Shipments that are known by their events; with more, those that have arrived are forgotten first and then the oldest, at
/// the price of repeats.
pub(super) const KNOWN_MAX: usize = 64;
/// Shipments that have arrived at once and are still kept; with more, the oldest is kept no longer.
const ARRIVED_MAX: usize = 100;
/// Shipments that are to be kept no longer; with more, the oldest stays until it is stale.
const USELESS_MAX: usize = 1_000;
/// How often a shipment cannot be read until it counts as lost.
const READS_MAX: u32 = 3;
/// How long a shipment of another worker is known after its segments are gone: what was not settled there is sent by capture
/// again, and stands in no segment meanwhile.
const COMING_AGAIN: Duration = Duration::from_secs(60);

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is in no shipment.
    Nowhere,
    /// It is in one that is to be sent again, and waits for it.
    Waits,
    /// It has arrived.
    Arrived,
}

/// Who has made a shipment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// This sink.
    This,
    /// Another worker, or an earlier sink of this one.
    Other,
}

/// A shipment that is known.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) maker: Maker,
    pub(super) has_arrived: bool,
    /// The partitions of its events.
    pub(super) partitions: BTreeSet<u32>,
    /// Its events, unless none of them can come again here.
    pub(super) events: HashSet<Uuid>,
    /// Whatever is in it was parked before.
    pub(super) since: Instant,
}

/// What became of a shipment that was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    Arrived,
    Failed,
    /// It could not be read, this time.
    NotRead,
    /// It is not there any more.
    Lost,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    /// Submissions that wait for it.
    tokens: Vec<u64>,
    reads_failed: u32,
}

impl Entry {
    fn is_by_events(&self) -> bool {
        !self.known.events.is_empty()
    }
}

/// The shipments that a sink knows of.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// Those that are to be kept no longer.
    useless: Vec<Uuid>,
}

impl Ledger {
    /// Where an event belongs; a submission that waits is answered with its shipment.
    pub(super) fn place(&mut self, event: Uuid, token: u64) -> Place {
        let mut of_event = self.entries.iter_mut().filter(|entry| entry.known.events.contains(&event));
        let Some(first) = of_event.next() else { return Place::Nowhere };
        if first.known.has_arrived || of_event.any(|entry| entry.known.has_arrived) {
            return Place::Arrived;
        }
        first.tokens.push(token);
        Place::Waits
    }

    /// Takes note of a shipment, in place of what was known of it.
    pub(super) fn know(&mut self, known: Known) {
        let is_by_events = !known.events.is_empty();
        self.entries.retain(|entry| entry.known.id != known.id);
        self.entries.push(Entry { known, tokens: Vec::new(), reads_failed: 0 });
        let max = if is_by_events { KNOWN_MAX } else { ARRIVED_MAX };
        let alike = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_by_events() == is_by_events);
        if alike.clone().count() > max {
            let free = alike.filter(|(_, entry)| entry.tokens.is_empty());
            let first = free.min_by_key(|(_, entry)| (!entry.known.has_arrived, entry.known.since));
            if let Some(place) = first.map(|(place, _)| place) {
                let Entry { known, .. } = self.entries.remove(place);
                if known.maker == Maker::This && known.has_arrived {
                    self.discard(known.id);
                }
            }
        }
    }

    /// How many more shipments can be known by their events: those that have arrived give way.
    pub(super) fn room(&self) -> usize {
        let uncertain = self.entries.iter().filter(|entry| !entry.known.has_arrived);
        KNOWN_MAX.saturating_sub(uncertain.count())
    }

    /// The ids of all shipments of which nothing more need be known.
    pub(super) fn ids(&self) -> HashSet<Uuid> {
        let known = self.entries.iter().filter(|entry| entry.is_by_events()).map(|entry| entry.known.id);
        known.chain(self.useless.iter().copied()).collect()
    }

    /// Up to `max` shipments that events wait for.
    pub(super) fn awaited(&self, max: usize) -> Vec<Uuid> {
        let awaited = self.entries.iter().filter(|entry| !entry.tokens.is_empty());
        awaited.map(|entry| entry.known.id).take(max).collect()
    }

    /// A shipment was sent again; the submissions that have waited for it.
    pub(super) fn resolve(&mut self, id: Uuid, resolution: Resolution) -> Vec<u64> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.known.id == id) else {
            return Vec::new();
        };
        let tokens = std::mem::take(&mut entry.tokens);
        match resolution {
            Resolution::Arrived => entry.known.has_arrived = true,
            Resolution::Failed => {}
            Resolution::NotRead => entry.reads_failed += 1,
            Resolution::Lost => entry.reads_failed = READS_MAX,
        }
        if entry.reads_failed >= READS_MAX {
            self.entries.retain(|entry| entry.known.id != id);
            self.discard(id);
        }
        tokens
    }

    /// The submissions that wait for any shipment; they are to be handed over again.
    pub(super) fn all_waiting(&mut self) -> Vec<u64> {
        self.entries.iter_mut().flat_map(|entry| std::mem::take(&mut entry.tokens)).collect()
    }

    /// Nothing is handed over again that was parked before `until`, of the partitions that are held.
    pub(super) fn clear(&mut self, until: Instant, is_held: impl Fn(u32) -> bool) {
        let is_over = |Entry { known, tokens, .. }: &mut Entry| {
            let last = match known.maker {
                Maker::This => known.since,
                Maker::Other => known.since + COMING_AGAIN,
            };
            last < until && tokens.is_empty()
        };
        let over: Vec<Entry> = self.entries.extract_if(.., is_over).collect();
        for Entry { known, .. } in over {
            // Otherwise the other partitions' holders may need it still.
            if known.partitions.iter().all(|partition| is_held(*partition)) {
                self.discard(known.id);
            }
        }
    }

    /// A shipment is to be kept no longer.
    pub(super) fn discard(&mut self, id: Uuid) {
        self.useless.push(id);
        if self.useless.len() > USELESS_MAX {
            self.useless.remove(0);
        }
    }

    /// Up to `max` of the shipments that are to be kept no longer.
    pub(super) fn useless(&self, max: usize) -> &[Uuid] {
        self.useless.get(..max).unwrap_or(&self.useless)
    }

    /// Some shipments are not kept any more.
    pub(super) fn forgotten(&mut self, ids: &[Uuid]) {
        self.useless.retain(|id| !ids.contains(id));
    }
}

#[cfg(test)]
mod tests;
