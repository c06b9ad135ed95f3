//! What a sink knows of shipments whose events may be handed over again: those that may have arrived although they failed,
//! and those that others have left. Such an event goes into no other blob.

use std::time::{Duration, Instant};

use hashbrown::HashSet;
use uuid::Uuid;

/// Shipments that are known by their events; with more, the oldest that nothing waits for is forgotten, at the price of
/// repeats.
pub(super) const KNOWN_MAX: usize = 64;
/// Shipments that have arrived and are still kept; with more, the oldest is kept no longer.
const ARRIVED_MAX: usize = 100;
/// Shipments that are to be kept no longer; with more, the oldest stays until it is stale.
const USELESS_MAX: usize = 1_000;
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

#[derive(Debug)]
struct Known {
    id: Uuid,
    maker: Maker,
    events: HashSet<Uuid>,
    /// Submissions that wait for it.
    tokens: Vec<u64>,
    has_arrived: bool,
    /// Whatever is in it was parked before.
    since: Instant,
}

/// The shipments that a sink knows of.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: Vec<Known>,
    /// Those that arrived at once, and since when they are kept for nobody but a successor.
    arrived: Vec<(Uuid, Instant)>,
    /// Those that are to be kept no longer.
    useless: Vec<Uuid>,
}

impl Ledger {
    /// Where an event belongs; a submission that waits is answered with its shipment.
    pub(super) fn place(&mut self, event: Uuid, token: u64) -> Place {
        let mut of_event = self.known.iter_mut().filter(|known| known.events.contains(&event));
        let Some(first) = of_event.next() else { return Place::Nowhere };
        if first.has_arrived || of_event.any(|known| known.has_arrived) {
            return Place::Arrived;
        }
        first.tokens.push(token);
        Place::Waits
    }

    /// A shipment may have arrived, or has, and its events may come again.
    pub(super) fn know(
        &mut self,
        (id, maker): (Uuid, Maker),
        events: HashSet<Uuid>,
        has_arrived: bool,
        now: Instant,
    ) {
        if self.known.len() >= KNOWN_MAX
            && let Some(oldest) = self.known.iter().position(|known| known.tokens.is_empty())
        {
            self.known.remove(oldest);
        }
        self.known.push(Known { id, maker, events, tokens: Vec::new(), has_arrived, since: now });
    }

    /// A shipment has arrived at once: nothing of it comes again here.
    pub(super) fn arrived_at_once(&mut self, id: Uuid, now: Instant) {
        self.arrived.push((id, now));
        if self.arrived.len() > ARRIVED_MAX {
            let (oldest, _) = self.arrived.remove(0);
            self.discard(oldest);
        }
    }

    /// A shipment is to be kept no longer.
    pub(super) fn discard(&mut self, id: Uuid) {
        self.useless.push(id);
        if self.useless.len() > USELESS_MAX {
            self.useless.remove(0);
        }
    }

    /// The ids of all shipments that are known.
    pub(super) fn ids(&self) -> HashSet<Uuid> {
        let known = self.known.iter().map(|known| known.id);
        known.chain(self.arrived.iter().map(|(id, _)| *id)).chain(self.useless.iter().copied()).collect()
    }

    /// The shipments that events wait for.
    pub(super) fn awaited(&self) -> Vec<Uuid> {
        let awaited = self.known.iter().filter(|known| !known.tokens.is_empty());
        awaited.map(|known| known.id).collect()
    }

    /// A shipment was sent again and has arrived; the submissions that have waited for it.
    pub(super) fn has_arrived(&mut self, id: Uuid) -> Vec<u64> {
        let known = self.known.iter_mut().find(|known| known.id == id);
        known.map_or_else(Vec::new, |known| {
            known.has_arrived = true;
            std::mem::take(&mut known.tokens)
        })
    }

    /// A shipment can never be sent again; the submissions that have waited for it.
    pub(super) fn lose(&mut self, id: Uuid) -> Vec<u64> {
        let place = self.known.iter().position(|known| known.id == id);
        self.discard(id);
        place.map_or_else(Vec::new, |place| self.known.swap_remove(place).tokens)
    }

    /// The submissions that wait for a shipment, which has failed again; they are to be handed over again.
    pub(super) fn waiting(&mut self, id: Uuid) -> Vec<u64> {
        let known = self.known.iter_mut().find(|known| known.id == id);
        known.map_or_else(Vec::new, |known| std::mem::take(&mut known.tokens))
    }

    /// The submissions that wait for any shipment; they are to be handed over again.
    pub(super) fn all_waiting(&mut self) -> Vec<u64> {
        self.known.iter_mut().flat_map(|known| std::mem::take(&mut known.tokens)).collect()
    }

    /// Nothing is handed over again that was parked before `until`.
    pub(super) fn clear(&mut self, until: Instant) {
        let Self { known, arrived, useless } = self;
        known.retain(|known| {
            let last = match known.maker {
                Maker::This => known.since,
                Maker::Other => known.since + COMING_AGAIN,
            };
            let is_over = last < until && known.tokens.is_empty();
            // That of another may hold events of partitions that are somewhere else now.
            if is_over && known.maker == Maker::This {
                useless.push(known.id);
            }
            !is_over
        });
        arrived.retain(|(id, since)| {
            let is_over = *since < until;
            if is_over {
                useless.push(*id);
            }
            !is_over
        });
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
mod tests {
    use super::*;

    const EVENT: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const SHIPMENT: Uuid = Uuid::from_u128(100);

    fn ledger(maker: Maker, has_arrived: bool, now: Instant) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.know((SHIPMENT, maker), HashSet::from_iter([EVENT]), has_arrived, now);
        ledger
    }

    #[test]
    fn an_event_of_a_shipment_waits_for_it() {
        // given a shipment that may have arrived
        let mut ledger = ledger(Maker::This, false, Instant::now());
        assert_eq!(ledger.awaited(), Vec::<Uuid>::new());

        // when its event comes again, and another one
        assert_eq!(ledger.place(OTHER, 7), Place::Nowhere);
        assert_eq!(ledger.place(EVENT, 8), Place::Waits);

        // then the shipment is sent again, and answers for its event, also the next time
        assert_eq!(ledger.awaited(), [SHIPMENT]);
        assert_eq!(ledger.has_arrived(SHIPMENT), [8]);
        assert_eq!(ledger.place(EVENT, 9), Place::Arrived);
    }

    #[test]
    fn a_shipment_that_is_lost_holds_nothing_up() {
        let mut ledger = ledger(Maker::Other, false, Instant::now());
        assert_eq!(ledger.place(EVENT, 8), Place::Waits);
        assert_eq!(ledger.lose(SHIPMENT), [8]);
        assert_eq!(ledger.place(EVENT, 9), Place::Nowhere);
    }

    #[test]
    fn what_waits_can_be_handed_over_again() {
        let mut ledger = ledger(Maker::This, false, Instant::now());
        assert_eq!(ledger.place(EVENT, 8), Place::Waits);
        assert_eq!(ledger.waiting(SHIPMENT), [8]);
        assert_eq!(ledger.place(EVENT, 8), Place::Waits);
        assert_eq!(ledger.all_waiting(), [8]);
        assert_eq!(ledger.awaited(), Vec::<Uuid>::new());
        assert_eq!(ledger.place(EVENT, 9), Place::Waits);
    }

    #[test]
    fn a_shipment_is_kept_until_its_events_cannot_come_again() {
        // given one that arrived at once, one that failed and has arrived since, and one of another worker
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut ledger = ledger(Maker::This, true, now);
        ledger.know((Uuid::from_u128(101), Maker::Other), HashSet::from_iter([OTHER]), true, now);
        ledger.arrived_at_once(Uuid::from_u128(102), now);

        // when what was parked with them is still there, all are kept
        ledger.clear(now);
        assert!(ledger.useless(10).is_empty());

        // when it is gone, those of this worker are not
        ledger.clear(later);
        let useless = ledger.useless(10).to_vec();
        assert_eq!(useless, [SHIPMENT, Uuid::from_u128(102)]);
        assert_eq!(ledger.useless(1), [SHIPMENT]);
        ledger.forgotten(&useless);
        assert!(ledger.useless(10).is_empty());

        // and the events of the other are known until capture has sent again what it had not settled
        assert_eq!(ledger.place(OTHER, 1), Place::Arrived);
        ledger.clear(later + COMING_AGAIN);
        assert_eq!(ledger.place(OTHER, 1), Place::Nowhere);
        assert!(ledger.useless(10).is_empty());
    }

    #[test]
    fn there_are_bounds() {
        let now = Instant::now();
        let mut ledger = ledger(Maker::This, false, now);
        assert_eq!(ledger.place(EVENT, 1), Place::Waits);
        for number in 0..1_000 {
            let id = Uuid::from_u128(1_000 + number);
            ledger.know((id, Maker::Other), HashSet::from_iter([id]), true, now);
            ledger.arrived_at_once(Uuid::from_u128(5_000 + number), now);
        }
        assert_eq!(ledger.known.len(), KNOWN_MAX);
        assert_eq!(ledger.arrived.len(), ARRIVED_MAX);
        assert_eq!(ledger.awaited(), [SHIPMENT], "what something waits for stays");
    }
}
