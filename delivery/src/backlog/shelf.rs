//! The shelf: the parked backlog of one endpoint in one partition under one lease, as a state machine without IO.
//!
//! A shelf says which operation on the store comes next, one at a time, and is told what came of it. What it is given
//! stands behind what it has parked. As soon as everything parked is with the endpoint's lane, new events go there
//! directly.

mod choice;
mod damage;
mod limits;
mod overflow;
mod segments;
mod stock;

use std::collections::VecDeque;
use std::time::Instant;

use twinroute_common::partition::Epoch;

pub use self::choice::DELETED_MAX;
pub use self::limits::{Leave, ShelfLimits};
use self::overflow::Overflowing;
use self::segments::{Segments, Stored};
pub use self::stock::{Damaged, Stock, Trouble};
use super::claim::{self, Claim, Finding, Found, Listed};
use super::name::{Folder, ObjectKind, SegmentName};
use super::operation::{Operation, Outcome};
use super::segment::{self, Damage};
use crate::delivery::{Delivery, Origin, Parked};
use crate::settlement::LeaseId;

/// The parked backlog of one endpoint in one partition under one lease.
#[derive(Debug)]
pub struct Shelf {
    folder: Folder,
    partition: u32,
    lease: LeaseId,
    epoch: Epoch,
    settled: Option<String>,
    limits: ShelfLimits,
    phase: Phase,
    /// Until when a segment of another holder that is gone was delivered by that one; `None` for ever, where an endpoint of the
    /// same name and epoch was deleted.
    former_until: Option<Instant>,
    /// Written under this epoch.
    written: u64,
    segments: Segments,
    garbage: Vec<String>,
    /// What stands behind the segments, in order.
    behind: VecDeque<Delivery>,
    behind_bytes: u64,
    behind_since: Option<Instant>,
    /// What is being given up for want of room; it stands before what is behind the segments.
    overflow: Vec<Overflowing>,
    last_ticket: u64,
    /// What is being written.
    writing: Option<Writing>,
    running: Option<Operation>,
    /// Failed operations, at most one of a kind, and when to try them again.
    again: Vec<(Instant, Operation)>,
    /// The last operation was a write: reads and deletions have their turn.
    has_written: bool,
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has looked yet what there is.
    Unknown,
    /// It is known; the claim is not written, since nothing needed it.
    Known,
    /// The claim is durable.
    Claimed,
    /// A later holder has claimed the folder.
    Fenced,
}

/// What an operation has brought.
#[derive(Debug, Default)]
pub struct Taken {
    /// Parked events that go to the lane.
    pub loaded: Vec<Delivery>,
    /// What is durable by it.
    pub durable: Vec<Origin>,
    /// The damaged segment that is set aside by it.
    pub skipped: Option<Damaged>,
}

#[derive(Debug)]
struct Writing {
    name: SegmentName,
    deliveries: Vec<Delivery>,
    bytes: u64,
}

impl Shelf {
    /// The shelf of a partition that was granted under `epoch` and is settled up to `settled`, as far as capture knows.
    #[must_use]
    pub fn new(
        folder: Folder,
        partition: u32,
        (lease, epoch): (LeaseId, Epoch),
        settled: Option<String>,
        limits: ShelfLimits,
    ) -> Self {
        Self {
            folder,
            partition,
            lease,
            epoch,
            settled,
            limits,
            phase: Phase::Unknown,
            former_until: None,
            written: 0,
            segments: Segments::default(),
            garbage: Vec::new(),
            behind: VecDeque::new(),
            behind_bytes: 0,
            behind_since: None,
            overflow: Vec::new(),
            last_ticket: 0,
            writing: None,
            running: None,
            again: Vec::new(),
            has_written: false,
            error: None,
        }
    }

    /// The lease that it belongs to.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.lease
    }

    /// New events may go to the lane directly: all that stands before them is there.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.behind.is_empty() && self.nothing_is_before()
    }

    /// All that stands before what waits here is with the lane. What a former holder has left is not in the way only when
    /// this one's claim is durable: the next would take it for a part of the backlog.
    fn nothing_is_before(&self) -> bool {
        let is_looked_through = match self.phase {
            Phase::Unknown | Phase::Fenced => false,
            Phase::Known => self.segments.is_empty() && self.garbage.is_empty(),
            Phase::Claimed => self.segments.all_with_lane(),
        };
        is_looked_through && self.writing.is_none() && self.overflow.is_empty()
    }

    /// Nothing is parked, and nothing is to be done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_direct() && self.segments.is_empty() && self.garbage.is_empty() && self.running.is_none()
    }

    /// An operation runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Puts an event behind the others.
    pub fn push(&mut self, delivery: Delivery, now: Instant) {
        self.behind_bytes += segment::bytes_of(&delivery.event);
        self.behind_since.get_or_insert(now);
        self.behind.push_back(delivery);
    }

    /// Puts events that came earlier than those that wait here before them.
    pub fn push_before(&mut self, deliveries: Vec<Delivery>, now: Instant) {
        for delivery in deliveries.into_iter().rev() {
            self.behind_bytes += segment::bytes_of(&delivery.event);
            self.behind.push_front(delivery);
        }
        self.behind_since.get_or_insert(now);
    }

    /// What may go to the lane now without being parked.
    pub fn take_direct(&mut self, leave: Leave) -> VecDeque<Delivery> {
        if leave.park {
            return VecDeque::new();
        }
        self.give_up_writing();
        if !self.nothing_is_before() {
            return VecDeque::new();
        }
        self.behind_bytes = 0;
        self.behind_since = None;
        std::mem::take(&mut self.behind)
    }

    /// Takes the outcome of the operation that runs.
    pub fn take(&mut self, outcome: Outcome, now: Instant) -> Taken {
        let mut taken = Taken::default();
        let Some(operation) = self.running.take() else { return taken };
        if let Outcome::Failed(error) = outcome {
            self.error = Some(error);
            self.again.push((now + self.limits.backoff.next(), operation));
            return taken;
        }
        self.error = None;
        self.limits.backoff.reset();
        match (operation, outcome) {
            (Operation::List, Outcome::Listed(objects, claim)) => self.listed(&objects, claim.as_ref(), now),
            (Operation::Claim(..), _) => {
                self.phase = Phase::Claimed;
                self.former_until = Some(now + self.limits.former_ends);
            }
            (Operation::Write(..), _) => taken.durable = self.written(now),
            (Operation::Read(..), Outcome::Read(content, delivered)) => {
                taken.loaded = self.read(content.as_deref(), &delivered, now);
            }
            (Operation::Rename(..), _) => taken.skipped = self.set_aside(),
            (Operation::Delete(objects), _) => self.deleted(&objects),
            (Operation::List | Operation::Read(..), _) => {
                debug_assert!(false, "an outcome of another operation")
            }
        }
        taken
    }

    fn listed(&mut self, objects: &[Listed], claim: Option<&Claim>, now: Instant) {
        let claimed = claim::newest_claim(&self.folder, objects);
        let finding =
            claim::find(&self.folder, objects, claimed.zip(claim), self.epoch, self.settled.as_deref());
        match finding {
            Finding::Fenced => self.phase = Phase::Fenced,
            Finding::Backlog { segments, garbage } => {
                for Found { name, cut, bytes, age } in segments {
                    let since = now.checked_sub(age).unwrap_or(now);
                    self.segments.push(Stored { name, cut, bytes, since, is_adopted: true });
                }
                self.garbage = garbage;
                // An endpoint that was deleted and made again writes on under its epoch.
                let own = objects.iter().filter_map(|listed| match self.folder.read(&listed.object) {
                    Some(ObjectKind::Segment(name) | ObjectKind::Skipped(name))
                        if name.epoch == self.epoch =>
                    {
                        Some(name.number)
                    }
                    _ => None,
                });
                self.written = own.max().unwrap_or_default();
                self.phase = if claimed == Some(self.epoch) { Phase::Claimed } else { Phase::Known };
            }
        }
    }

    fn written(&mut self, now: Instant) -> Vec<Origin> {
        let Some(Writing { name, deliveries, bytes }) = self.writing.take() else { return Vec::new() };
        self.segments.push(Stored { name, cut: None, bytes, since: now, is_adopted: false });
        deliveries.into_iter().map(|delivery| delivery.origin).collect()
    }

    fn read(&mut self, content: Option<&[u8]>, delivered: &[u32], now: Instant) -> Vec<Delivery> {
        let Some(content) = content else {
            if self.may_be_delivered(now) {
                self.segments.delivered_before();
            } else {
                self.segments.damaged(Damage::Missing);
            }
            return Vec::new();
        };
        let events = match segment::decode(content) {
            Ok(events) => events,
            Err(damage) => {
                self.segments.damaged(damage);
                return Vec::new();
            }
        };
        let (partition, lease) = (self.partition, self.lease);
        let loaded = self.segments.loaded(events, delivered);
        let delivery = |(segment, index, event)| Delivery {
            origin: Origin::Backlog(Parked { lease, partition, segment, index }),
            event,
        };
        loaded.into_iter().map(delivery).collect()
    }

    /// A former holder that had delivered the segment could still delete it after this one had claimed it. So could an endpoint
    /// that was deleted and made again, however long that takes.
    fn may_be_delivered(&self, now: Instant) -> bool {
        let is_adopted = self.segments.reading().is_some_and(|stored| stored.is_adopted);
        is_adopted && self.former_until.is_none_or(|until| now < until)
    }

    fn deleted(&mut self, objects: &[String]) {
        self.garbage.retain(|object| !objects.contains(object));
        self.segments.forget_finished(|name| {
            let object = self.folder.object(&ObjectKind::Segment(name.clone()));
            objects.contains(&object)
        });
    }

    /// Takes note that a parked event needs nothing more.
    pub fn delivered(&mut self, parked: Parked) {
        if parked.lease == self.lease {
            self.segments.delivered(parked.segment, parked.index);
        }
    }

    /// What is to be done when the partition is given back, so that the next holder repeats nothing: segments whose events
    /// are all delivered are deleted, and of the others at the lane is noted which are.
    #[must_use]
    pub fn notes(&self) -> Vec<Operation> {
        let finished = self.segments.all_finished().flat_map(|name| self.objects_of(name));
        let useless: Vec<String> = finished.chain(self.garbage.iter().cloned()).collect();
        let useless =
            (self.phase == Phase::Claimed && !useless.is_empty()).then(|| Operation::Delete(useless));
        let started = self.segments.started().map(|(name, delivered)| {
            // A list of numbers is always JSON.
            let content = serde_json::to_vec(delivered).unwrap_or_default();
            Operation::Write(self.folder.object(&ObjectKind::Delivered(name.clone())), content.into())
        });
        useless.into_iter().chain(started).collect()
    }

    /// Gives up everything: what is not parked yet, and the objects of what is.
    #[must_use]
    pub fn give_up(self) -> (Vec<Delivery>, Vec<String>) {
        let names = self.segments.iter().map(|stored| &stored.name);
        let names = names.chain(self.writing.iter().map(|writing| &writing.name));
        let objects =
            names.flat_map(|name| self.objects_of(name)).chain(self.garbage.iter().cloned()).collect();
        let writing = self.writing.into_iter().flat_map(|writing| writing.deliveries);
        let overflow = self.overflow.into_iter().map(|overflowing| overflowing.delivery);
        (writing.chain(overflow).chain(self.behind).collect(), objects)
    }
}

#[cfg(test)]
mod tests;
