//! The shelf: the parked backlog of one endpoint in one partition under one lease, as a state machine without IO.
//!
//! A shelf says which operation on the store comes next, one at a time, and is told what came of it. What it is given
//! stands behind what it has parked. As soon as everything parked is with the endpoint's lane, new events go there
//! directly.

mod limits;
mod segments;
mod stock;

use std::collections::VecDeque;
use std::time::Instant;

use twinroute_common::partition::Epoch;

pub use self::limits::{Leave, ShelfLimits};
use self::segments::{Segments, Stored};
pub use self::stock::{Stock, Trouble};
use super::claim::{self, Adopted, Claim, Finding, Found, Listed};
use super::name::{Folder, ObjectKind, SegmentName};
use super::operation::{Operation, Outcome};
use super::segment;
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
    /// Written under this epoch.
    written: u64,
    segments: Segments,
    garbage: Vec<String>,
    /// What stands behind the segments, in order.
    behind: VecDeque<Delivery>,
    behind_bytes: u64,
    behind_since: Option<Instant>,
    /// What is being written.
    writing: Option<Writing>,
    running: Option<Operation>,
    /// A failed operation, and when to try it again.
    again: Option<(Instant, Operation)>,
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
            written: 0,
            segments: Segments::default(),
            garbage: Vec::new(),
            behind: VecDeque::new(),
            behind_bytes: 0,
            behind_since: None,
            writing: None,
            running: None,
            again: None,
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
        is_looked_through && self.writing.is_none()
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
        if leave.park || !self.nothing_is_before() {
            return VecDeque::new();
        }
        self.behind_bytes = 0;
        self.behind_since = None;
        std::mem::take(&mut self.behind)
    }

    /// The next operation, if one may be started at `now`. It runs until its outcome is told.
    pub fn start(&mut self, leave: Leave, now: Instant) -> Option<Operation> {
        if self.running.is_some() {
            return None;
        }
        let operation = match self.again.take() {
            Some((at, operation)) if at > now => {
                self.again = Some((at, operation));
                return None;
            }
            Some((_, operation)) => operation,
            None => self.next(leave, now)?,
        };
        self.running = Some(operation.clone());
        Some(operation)
    }

    /// When [`Shelf::start`] may have something that it has not now.
    #[must_use]
    pub fn due_at(&self, leave: Leave) -> Option<Instant> {
        if self.running.is_some() {
            return None;
        }
        let again = self.again.as_ref().map(|(at, _)| *at);
        let written = self.behind_since.filter(|_| self.is_to_be_parked(leave));
        again.or(written.map(|since| since + self.limits.segment_linger))
    }

    fn next(&mut self, leave: Leave, now: Instant) -> Option<Operation> {
        match self.phase {
            Phase::Unknown => return Some(Operation::List),
            Phase::Fenced => return None,
            Phase::Known | Phase::Claimed => {}
        }
        let is_due = self.is_due(leave, now);
        let needs_claim = is_due || !self.segments.is_empty() || !self.garbage.is_empty();
        if self.phase == Phase::Known {
            return needs_claim.then(|| self.claim());
        }
        if is_due {
            return Some(self.write());
        }
        if !self.garbage.is_empty() {
            return Some(Operation::Delete(self.garbage.clone()));
        }
        if let Some(name) = self.segments.finished() {
            return Some(Operation::Delete(self.objects_of(name).into()));
        }
        let next = self.segments.next_to_read(leave.read_bytes)?;
        let [segment, delivered] = self.objects_of(&next);
        Some(Operation::Read(segment, delivered))
    }

    fn is_to_be_parked(&self, leave: Leave) -> bool {
        (leave.park || !self.segments.all_with_lane()) && leave.write_bytes >= self.behind_bytes
    }

    fn is_due(&self, leave: Leave, now: Instant) -> bool {
        let Some(since) = self.behind_since.filter(|_| self.is_to_be_parked(leave)) else { return false };
        self.behind_bytes >= self.limits.segment_bytes_max || since + self.limits.segment_linger <= now
    }

    fn objects_of(&self, name: &SegmentName) -> [String; 2] {
        let segment = ObjectKind::Segment(name.clone());
        [self.folder.object(&segment), self.folder.object(&ObjectKind::Delivered(name.clone()))]
    }

    fn claim(&self) -> Operation {
        let adopted = |stored: &Stored| Adopted {
            object: self.folder.object(&ObjectKind::Segment(stored.name.clone())),
            cut: stored.cut.clone(),
        };
        let claim = Claim { segments: self.segments.iter().map(adopted).collect() };
        // A list of texts is always JSON.
        let content = serde_json::to_vec(&claim).unwrap_or_default();
        Operation::Claim(self.folder.object(&ObjectKind::Claim(self.epoch)), content.into())
    }

    fn write(&mut self) -> Operation {
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        while bytes < self.limits.segment_bytes_max
            && let Some(delivery) = self.behind.pop_front()
        {
            bytes += segment::bytes_of(&delivery.event);
            deliveries.push(delivery);
        }
        self.behind_bytes = self.behind_bytes.saturating_sub(bytes);
        if self.behind.is_empty() {
            self.behind_since = None;
        }
        self.written += 1;
        let sequences = || deliveries.iter().map(|delivery| &*delivery.event.sequence);
        let name = SegmentName {
            epoch: self.epoch,
            number: self.written,
            events: deliveries.len() as u64,
            first: sequences().min().unwrap_or_default().to_owned(),
            last: sequences().max().unwrap_or_default().to_owned(),
        };
        let content = segment::encode(deliveries.iter().map(|delivery| &*delivery.event));
        let object = self.folder.object(&ObjectKind::Segment(name.clone()));
        self.writing = Some(Writing { name, deliveries, bytes: content.len() as u64 });
        Operation::Write(object, content)
    }

    /// Takes the outcome of the operation that runs. What is durable by it is added to `durable`; what goes to the lane
    /// is given back.
    pub fn take(&mut self, outcome: Outcome, now: Instant, durable: &mut Vec<Origin>) -> Vec<Delivery> {
        let Some(operation) = self.running.take() else { return Vec::new() };
        if let Outcome::Failed(error) = outcome {
            self.error = Some(error);
            self.again = Some((now + self.limits.backoff.next(), operation));
            return Vec::new();
        }
        self.error = None;
        self.limits.backoff.reset();
        match (operation, outcome) {
            (Operation::List, Outcome::Listed(objects, claim)) => self.listed(&objects, claim.as_ref(), now),
            (Operation::Claim(..), _) => self.phase = Phase::Claimed,
            (Operation::Write(..), _) => self.written(durable, now),
            (Operation::Read(..), Outcome::Read(content, delivered)) => {
                return self.read(content.as_deref(), &delivered);
            }
            (Operation::Delete(objects), _) => self.deleted(&objects),
            (Operation::List | Operation::Read(..), _) => {
                debug_assert!(false, "an outcome of another operation")
            }
        }
        Vec::new()
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
                    self.segments.push(Stored { name, cut, bytes, since });
                }
                self.garbage = garbage;
                self.phase = if claimed == Some(self.epoch) { Phase::Claimed } else { Phase::Known };
            }
        }
    }

    fn written(&mut self, durable: &mut Vec<Origin>, now: Instant) {
        let Some(Writing { name, deliveries, bytes }) = self.writing.take() else { return };
        self.segments.push(Stored { name, cut: None, bytes, since: now });
        durable.extend(deliveries.into_iter().map(|delivery| delivery.origin));
    }

    fn read(&mut self, content: Option<&[u8]>, delivered: &[u32]) -> Vec<Delivery> {
        let Some(content) = content else {
            // A former holder delivered it, and could still delete it after this one had claimed it.
            self.segments.vanished();
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
        let finished = self.segments.all_finished();
        let finished = finished.map(|name| Operation::Delete(self.objects_of(name).into()));
        let started = self.segments.started().map(|(name, delivered)| {
            // A list of numbers is always JSON.
            let content = serde_json::to_vec(delivered).unwrap_or_default();
            Operation::Write(self.folder.object(&ObjectKind::Delivered(name.clone())), content.into())
        });
        finished.chain(started).collect()
    }

    /// Gives up what is not parked yet.
    pub fn give_up(self) -> impl Iterator<Item = Delivery> {
        let writing = self.writing.into_iter().flat_map(|writing| writing.deliveries);
        writing.chain(self.behind)
    }
}
