//! Which operation comes next on a shelf.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::segments::Stored;
use super::{Leave, Phase, Shelf, Writing};
use crate::backlog::claim::{Adopted, Claim};
use crate::backlog::name::{ObjectKind, SegmentName};
use crate::backlog::operation::Operation;
use crate::backlog::segment;

/// So many times longer events wait to be parked while the destination takes what is before them.
const CATCHING_UP: u32 = 5;
/// Objects deleted by one operation: more would take a store far away longer than an operation may.
pub const DELETED_MAX: usize = 200;

impl Shelf {
    /// The next operation, if one may be started at `now`. It runs until its outcome is told.
    pub fn start(&mut self, leave: Leave, now: Instant) -> Option<Operation> {
        if self.running.is_some() {
            return None;
        }
        let operation = match self.again.iter().position(|(at, _)| *at <= now) {
            Some(due) => self.again.swap_remove(due).1,
            None => self.next(leave, now)?,
        };
        self.has_written = matches!(operation, Operation::Write(..));
        self.running = Some(operation.clone());
        Some(operation)
    }

    /// When [`Shelf::start`] may have something that it has not now.
    #[must_use]
    pub fn due_at(&self, leave: Leave) -> Option<Instant> {
        if self.running.is_some() || self.phase == Phase::Fenced {
            return None;
        }
        let again = self.again.iter().map(|(at, _)| *at).min();
        // Until the claim is durable nothing else is begun while something waits for its next try.
        let may_park = self.phase == Phase::Claimed || self.again.is_empty();
        let parked = self.behind_since.filter(|_| may_park && self.is_to_be_parked(leave));
        again.into_iter().chain(parked.map(|since| since + self.linger(leave))).min()
    }

    /// A write that fails, while the destination takes events and nothing is before it, is given up: its events go to the
    /// lane, and the object is deleted in case that it was written.
    pub(super) fn give_up_writing(&mut self) {
        let Some(failed) =
            self.again.iter().position(|(_, operation)| matches!(operation, Operation::Write(..)))
        else {
            return;
        };
        if self.segments.all_with_lane()
            && let Some(Writing { name, deliveries, .. }) = self.writing.take()
        {
            self.again.swap_remove(failed);
            self.garbage.push(self.folder.object(&ObjectKind::Segment(name)));
            for delivery in deliveries.into_iter().rev() {
                self.behind.push_front(delivery);
            }
        }
    }

    /// An operation of a kind has failed, and waits for its next try.
    pub(super) fn waits(&self, is_kind: impl Fn(&Operation) -> bool) -> bool {
        self.again.iter().any(|(_, operation)| is_kind(operation))
    }

    fn next(&mut self, leave: Leave, now: Instant) -> Option<Operation> {
        let is_due = self.is_due(leave, now);
        match self.phase {
            Phase::Fenced => return None,
            Phase::Unknown if self.again.is_empty() => return Some(Operation::List),
            Phase::Known if self.again.is_empty() => {
                let needs_claim = is_due || !self.segments.is_empty() || !self.garbage.is_empty();
                return needs_claim.then(|| self.claim());
            }
            Phase::Unknown | Phase::Known => return None,
            Phase::Claimed => {}
        }
        // Otherwise a store that takes longer for a write than the next one waits would never be read.
        if is_due && !self.has_written {
            return Some(self.write(leave));
        }
        let other = self.skip_next().or_else(|| self.delete());
        other.or_else(|| self.read_next(leave)).or_else(|| is_due.then(|| self.write(leave)))
    }

    fn delete(&self) -> Option<Operation> {
        if self.waits(|operation| matches!(operation, Operation::Delete(_))) {
            return None;
        }
        if !self.garbage.is_empty() {
            return Some(Operation::Delete(self.garbage.iter().take(DELETED_MAX).cloned().collect()));
        }
        self.segments.finished().map(|name| Operation::Delete(self.objects_of(name).into()))
    }

    fn read_next(&mut self, leave: Leave) -> Option<Operation> {
        let next = self.segments.next_to_read(leave.read_bytes)?;
        let [segment, delivered] = self.objects_of(&next);
        Some(Operation::Read(segment, delivered))
    }

    fn is_to_be_parked(&self, leave: Leave) -> bool {
        self.wants_to_park(leave) && self.next_segment_bytes() <= leave.copy_bytes
    }

    fn wants_to_park(&self, leave: Leave) -> bool {
        self.is_behind(leave) && self.overflow.is_empty() && self.has_room(leave)
    }

    /// Size of the segment that would be written next, in bytes, about.
    fn next_segment_bytes(&self) -> u64 {
        let first = self.behind.front().map_or(0, |first| segment::bytes_of(&first.event));
        self.behind_bytes.min(self.limits.segment_bytes_max).max(first)
    }

    /// Something would be written if a copy of it might be made, or read if what may be read were not `is_limited`.
    #[must_use]
    pub fn lacks_space(&self, leave: Leave, is_limited: bool) -> bool {
        let is_parked = !self.behind.is_empty() && self.wants_to_park(leave);
        (is_parked && self.next_segment_bytes() > leave.copy_bytes)
            || (is_limited && self.segments.next_bytes().is_some_and(|bytes| bytes > leave.read_bytes))
    }

    /// What waits here cannot go to the lane, and nothing of it is being written.
    pub(super) fn is_behind(&self, leave: Leave) -> bool {
        (leave.park || !self.segments.all_with_lane()) && self.writing.is_none()
    }

    /// A segment of the first event that waits is within the endpoint's bound.
    pub(super) fn has_room(&self, leave: Leave) -> bool {
        self.behind.front().is_none_or(|first| segment::bytes_of(&first.event) <= leave.write_bytes)
    }

    fn is_due(&self, leave: Leave, now: Instant) -> bool {
        let Some(since) = self.behind_since.filter(|_| self.is_to_be_parked(leave)) else { return false };
        self.behind_bytes >= self.limits.segment_bytes_max || since + self.linger(leave) <= now
    }

    /// While the destination takes events, most of what waits here need not be parked any more.
    pub(super) fn linger(&self, leave: Leave) -> Duration {
        if leave.park { self.limits.segment_linger } else { self.limits.segment_linger * CATCHING_UP }
    }

    pub(super) fn objects_of(&self, name: &SegmentName) -> [String; 2] {
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

    fn write(&mut self, leave: Leave) -> Operation {
        let bytes_max = self.limits.segment_bytes_max.min(leave.write_bytes);
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        while let Some(delivery) = self.behind.pop_front() {
            let with_it = bytes + segment::bytes_of(&delivery.event);
            if with_it > bytes_max && !deliveries.is_empty() {
                self.behind.push_front(delivery);
                break;
            }
            bytes = with_it;
            deliveries.push(delivery);
        }
        self.behind_bytes = self.behind_bytes.saturating_sub(bytes);
        if self.behind.is_empty() {
            self.behind_since = None;
            self.behind = VecDeque::new();
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
}
