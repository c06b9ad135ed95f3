//! Parking: the shelves of an endpoint, one for each partition that the worker holds, and their operations on the store.

mod damage;
mod overflow;
mod release;
mod window;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use hashbrown::{HashMap, HashSet};
use prometheus_client::metrics::counter::Counter;
use twinroute_common::backoff::Backoff;

use super::lane::Lane;
use crate::backlog::operation::Outcome;
use crate::backlog::shelf::{Damaged, Leave, Shelf, ShelfLimits, Stock, Taken, Trouble};
use crate::backlog::store::Store;
use crate::config::BacklogSettings;
use crate::delivery::{Delivery, Origin, Parked};
use crate::holdings::Held;
use crate::settlement::{ItemRef, LeaseId};
use crate::space::{Share, Spaces};

/// Waits after an operation on the store, or the end of an event without it, has failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// An operation on the store that was begun is over after so many times what it may take: its answer may be late.
const OPERATION_TRIES: u32 = 2;

/// A backlog is full when there is always something that waits for room, so long: a moment without any is common at the bound.
const FULL_AFTER: Duration = Duration::from_secs(2);

/// Where and how events are parked.
#[derive(Clone)]
pub struct ParkingContext {
    /// The store.
    pub store: Store,
    /// Limits.
    pub settings: BacklogSettings,
}

/// The shelves of an endpoint.
pub(super) struct Parking {
    endpoint: String,
    /// `None` when nothing is parked.
    context: Option<ParkingContext>,
    parked_bytes_max: u64,
    /// Partitions that are held, of so many.
    share: (usize, u32),
    /// It is known which are held.
    are_told: bool,
    read_bytes_max: u64,
    /// Partitions in which an event blocks its key until an operator helps.
    blocked: HashSet<u32>,
    shelves: HashMap<u32, Place>,
    /// Shelves that have something to do, in turn.
    busy: VecDeque<u32>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    /// What segments take of the space of all endpoints that are being written, and that were read back.
    written: Share,
    read: Share,
    /// Something could be begun, and there is no space for it.
    lacks_space: bool,
    /// Since when something waits to be parked, and the endpoint's bound leaves no room for it.
    full_since: Option<Instant>,
    /// Waits after something could not be given up for want of room, and until when.
    overflow_backoff: Backoff,
    overflow_from: Option<Instant>,
    /// Counts the damaged segments that were skipped.
    skipped_segments: Counter,
}

struct Place {
    shelf: Shelf,
    /// It is in the list of those that have something to do.
    is_busy: bool,
}

impl Place {
    /// Puts it into the list of those that have something to do, unless it is there.
    fn rouse(&mut self, partition: u32, busy: &mut VecDeque<u32>) {
        if !std::mem::replace(&mut self.is_busy, true) {
            busy.push_back(partition);
        }
    }
}

/// An operation has come to its end.
pub(super) struct Done {
    partition: u32,
    lease: LeaseId,
    outcome: Outcome,
}

/// What the endpoint's destination allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// New events are parked.
    pub(super) diverted: bool,
    /// The destination does not answer: only as much is read as is needed to try it.
    pub(super) tripped: bool,
    /// What a full backlog has no room for is given up, and one more can be now.
    pub(super) gives_up: bool,
    /// The destination cannot be reached.
    pub(super) away: bool,
}

/// What is parked at an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parkings {
    pub(super) stock: Stock,
    pub(super) oldest: Option<Instant>,
    /// It was looked what there is of every partition that is held.
    pub(super) is_complete: bool,
    /// The segments that cannot be read, as many as are told, by partition.
    pub(super) damaged: Vec<Damaged>,
    /// How many there are.
    pub(super) damaged_count: usize,
    pub(super) trouble: Option<Trouble>,
}

impl Parking {
    pub(super) fn new(
        endpoint: &str,
        context: Option<ParkingContext>,
        spaces: &Spaces,
        skipped_segments: Counter,
    ) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            context,
            parked_bytes_max: 0,
            share: (0, 0),
            are_told: false,
            read_bytes_max: 0,
            blocked: HashSet::new(),
            shelves: HashMap::new(),
            busy: VecDeque::new(),
            running: FuturesUnordered::new(),
            written: spaces.written.share(),
            read: spaces.read.share(),
            lacks_space: false,
            full_since: None,
            overflow_backoff: Backoff::new(RETRY.0, RETRY.1),
            overflow_from: None,
            skipped_segments,
        }
    }

    /// Bounds: `None` for the worker's own.
    pub(super) fn limit(&mut self, parked_bytes_max: Option<u64>, read_bytes_max: Option<u64>) {
        if let Some(ParkingContext { settings, .. }) = &self.context {
            self.parked_bytes_max = parked_bytes_max.unwrap_or(settings.parked_bytes_max);
            self.read_bytes_max = read_bytes_max.unwrap_or_default().max(settings.read_bytes_max);
        }
    }

    /// Events can be parked.
    pub(super) fn is_used(&self) -> bool {
        self.context.is_some()
    }

    /// Nothing is parked that the destination could be tried with.
    pub(super) fn is_empty(&self) -> bool {
        self.busy.is_empty() || self.stock().bytes == 0
    }

    /// Makes shelves for partitions that were granted, and looks what there is.
    pub(super) fn follow(&mut self, held: &Held) {
        self.share = (held.by_number.len(), held.count);
        self.are_told = held.are_told;
        let Some(ParkingContext { store, settings }) = &self.context else { return };
        for (&partition, holding) in &held.by_number {
            let known = self.shelves.get(&partition);
            if known.is_some_and(|place| place.shelf.lease() == holding.lease) {
                continue;
            }
            let (first, longest) = RETRY;
            let limits = ShelfLimits {
                segment_bytes_max: settings.segment_bytes_max,
                segment_linger: settings.segment_linger(),
                former_ends: settings.operation_timeout() * OPERATION_TRIES,
                backoff: Backoff::new(first, longest),
            };
            let lease = (holding.lease, holding.epoch);
            let folder = store.folder(&self.endpoint, partition);
            let shelf = Shelf::new(folder, partition, lease, holding.settled.clone(), limits);
            let before = self.shelves.insert(partition, Place { shelf, is_busy: true });
            if before.is_none_or(|place| !place.is_busy) {
                self.busy.push_back(partition);
            }
        }
    }

    /// A lease that there is no shelf for yet.
    pub(super) fn lacks(&self, origin: &Origin) -> bool {
        let place = self.shelves.get(&origin.partition());
        self.is_used() && place.is_none_or(|place| place.shelf.lease() != origin.lease())
    }

    /// Gives a delivery to the lane, or to the shelf where others stand before it.
    pub(super) fn place(&mut self, delivery: Delivery, lane: &mut Lane, diverted: bool, now: Instant) {
        let (partition, lease) = (delivery.origin.partition(), delivery.origin.lease());
        if !self.is_used() {
            return lane.push(delivery, now);
        }
        let place = self.shelves.get_mut(&partition).filter(|place| place.shelf.lease() == lease);
        // Otherwise its lease is over: it is not acknowledged, and comes again to whoever holds the partition.
        let Some(place) = place else { return };
        if diverted || !place.shelf.is_direct() {
            place.shelf.push(delivery, now);
            place.rouse(partition, &mut self.busy);
        } else {
            lane.push(delivery, now);
        }
    }

    /// Takes over what was with the lane, in the order of the stream.
    pub(super) fn put_back(&mut self, withdrawn: Vec<Delivery>, now: Instant) {
        let mut by_partition: HashMap<u32, Vec<Delivery>> = HashMap::new();
        for delivery in withdrawn {
            // One whose lease is over comes again to whoever holds the partition.
            if !self.lacks(&delivery.origin) {
                by_partition.entry(delivery.origin.partition()).or_default().push(delivery);
            }
        }
        for (partition, deliveries) in by_partition {
            let Some(place) = self.shelves.get_mut(&partition) else { continue };
            place.shelf.push_before(deliveries, now);
            place.rouse(partition, &mut self.busy);
        }
    }

    /// Starts what can be started, and gives the lane what stands at the front.
    pub(super) fn advance(&mut self, lane: &mut Lane, conditions: Conditions, now: Instant) {
        self.lacks_space = false;
        let mut is_full = false;
        self.blocked = if lane.has_setbacks() { lane.blocked_partitions() } else { HashSet::new() };
        let mut stock = if self.busy.is_empty() { Stock::default() } else { self.stock() };
        self.hold(stock);
        for _ in 0..self.busy.len() {
            let Some(partition) = self.busy.pop_front() else { break };
            let leave = self.leave(partition, stock, conditions);
            let is_limited = leave.read_bytes < self.wanted_bytes(self.before(partition, stock), conditions);
            let Some(place) = self.shelves.get_mut(&partition) else { continue };
            self.lacks_space |= place.shelf.lacks_space(leave, is_limited);
            for delivery in place.shelf.take_direct(leave) {
                lane.push(delivery, now);
            }
            let Some(ParkingContext { store, settings }) = &self.context else { return };
            let before = place.shelf.stock();
            let may_start = self.running.len() < settings.operations_max as usize;
            if may_start && let Some(operation) = place.shelf.start(leave, now) {
                let after = place.shelf.stock();
                stock.writing_bytes += after.writing_bytes - before.writing_bytes;
                stock.reading_bytes += after.reading_bytes - before.reading_bytes;
                if self.blocked.contains(&partition) {
                    stock.blocked_bytes += after.reading_bytes - before.reading_bytes;
                }
                let (store, lease) = (store.clone(), place.shelf.lease());
                let folder = store.folder(&self.endpoint, partition);
                let run = async move {
                    let outcome = store.execute(&folder, operation).await;
                    Done { partition, lease, outcome }
                };
                self.running.push(run.boxed());
            }
            is_full |= place.shelf.overflows_at(leave).is_some();
            place.is_busy = !place.shelf.is_idle();
            if place.is_busy {
                self.busy.push_back(partition);
            }
            self.hold(stock);
        }
        self.full_since = is_full.then(|| self.full_since.unwrap_or(now));
        // The next time another one is the first to find room.
        let first = usize::from(self.busy.len() > 1);
        self.busy.rotate_left(first);
    }

    /// Something is begun as soon as other endpoints leave space for it, of which nobody is told.
    pub(super) fn lacks_space(&self) -> bool {
        self.lacks_space
    }

    /// The next operation that comes to its end; never, while none runs.
    pub(super) async fn done(&mut self) -> Done {
        match self.running.next().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// Takes what came of an operation. Items that are parked by it are added to `settled`.
    pub(super) fn take(&mut self, done: Done, lane: &mut Lane, now: Instant, settled: &mut Vec<ItemRef>) {
        let Done { partition, lease, outcome } = done;
        let place = self.shelves.get_mut(&partition).filter(|place| place.shelf.lease() == lease);
        // Otherwise the partition was given back meanwhile.
        let Some(place) = place else { return };
        let Taken { loaded, durable, skipped } = place.shelf.take(outcome, now);
        for delivery in loaded {
            lane.push(delivery, now);
        }
        if let Some(skipped) = skipped {
            self.count_skipped(&skipped);
        }
        for origin in durable {
            self.settle(origin, settled);
        }
    }

    /// An event that waited on a shelf is durable elsewhere.
    fn settle(&mut self, origin: Origin, settled: &mut Vec<ItemRef>) {
        match origin {
            Origin::Stream(item) => settled.push(item),
            Origin::Backlog(parked) => self.delivered(parked),
            // It is never parked.
            Origin::Redriven(_) => {}
        }
    }

    /// A parked event needs nothing more.
    pub(super) fn delivered(&mut self, parked: Parked) {
        if let Some(place) = self.shelves.get_mut(&parked.partition) {
            place.shelf.delivered(parked);
        }
    }

    /// When [`Parking::advance`] may have something to do that it has not now.
    pub(super) fn due_at(&self, conditions: Conditions) -> Option<Instant> {
        let operations_max = self.context.as_ref()?.settings.operations_max;
        if self.busy.is_empty() || self.running.len() >= operations_max as usize {
            return None;
        }
        let stock = self.stock();
        let overflow = |shelf: &Shelf, leave: Leave| {
            let at = shelf.overflows_at(leave).filter(|_| conditions.gives_up)?;
            Some(self.overflow_from.map_or(at, |from| from.max(at)))
        };
        let due_at = |partition: &u32| {
            let Place { shelf, .. } = self.shelves.get(partition)?;
            let leave = self.leave(*partition, stock, conditions);
            shelf.due_at(leave).into_iter().chain(overflow(shelf, leave)).min()
        };
        self.busy.iter().filter_map(due_at).min()
    }

    /// More may be parked than is known.
    pub(super) fn is_unknown(&self) -> bool {
        self.is_used() && !self.is_complete()
    }

    /// It was looked what there is of every partition that is held.
    fn is_complete(&self) -> bool {
        let mut shelves = self.shelves.values();
        self.are_told
            && self.share.0 == self.shelves.len()
            && shelves.all(|place| place.shelf.is_looked_through())
    }

    /// What is parked.
    pub(super) fn look(&self) -> Parkings {
        let shelves = || self.shelves.values().map(|place| &place.shelf);
        let (damaged, damaged_count) = self.damaged();
        // What needs an operator is told first, and always the same of it.
        let rank = |trouble: &Trouble| match trouble {
            Trouble::Damaged(damaged) => damaged.partition,
            Trouble::Fenced { .. } | Trouble::Store(_) | Trouble::Full { .. } => u32::MAX,
        };
        Parkings {
            stock: self.stock(),
            oldest: shelves().filter_map(Shelf::oldest).min(),
            is_complete: self.is_complete(),
            trouble: shelves().filter_map(Shelf::trouble).min_by_key(rank),
            damaged,
            damaged_count,
        }
    }
}
