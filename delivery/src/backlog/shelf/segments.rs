//! The segments of a shelf, in the order of delivery, and how far each one is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use twinroute_common::cloud_event::CloudEvent;

use crate::backlog::name::SegmentName;
use crate::backlog::segment::Damage;

/// A segment in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) name: SegmentName,
    /// The highest `sequence` that is valid in it; `None` when all is.
    pub(super) cut: Option<String>,
    pub(super) bytes: u64,
    /// Since when it is there.
    pub(super) since: Instant,
    /// Another holder wrote it, or an endpoint of the same name that was deleted.
    pub(super) is_adopted: bool,
}

/// Segments from the first that is not deleted to the last that was written. All questions but the rare ones take the
/// same time however many there are.
#[derive(Debug, Default)]
pub(super) struct Segments {
    entries: VecDeque<Entry>,
    last_id: u64,
    totals: Totals,
    /// Segments that are neither with the lane nor finished.
    unread: usize,
    finished: usize,
}

/// Sums over segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Size of all in bytes.
    pub(super) bytes: u64,
    /// Events that are not with the lane.
    pub(super) unread_events: u64,
    /// Size of what is with the lane in bytes, about.
    pub(super) read_bytes: u64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    stored: Stored,
    state: State,
}

#[derive(Debug)]
enum State {
    Stored,
    Reading,
    /// Its events are with the lane.
    Loaded {
        /// Events that were read.
        read: u64,
        /// Those of them that are not delivered yet.
        open: u64,
        /// Indexes of those that are.
        delivered: Vec<u32>,
    },
    /// All its events are delivered.
    Finished,
    /// It cannot be read, and nothing behind it is.
    Damaged(Damage),
    /// The same, and it is to be set aside.
    Skipped(Damage),
}

impl Entry {
    /// Its share of what is with the lane, in bytes.
    fn read_bytes(&self) -> u64 {
        match self.state {
            State::Loaded { read, open, .. } => self.stored.bytes * open / read.max(1),
            _ => 0,
        }
    }
}

impl Segments {
    pub(super) fn push(&mut self, stored: Stored) {
        self.last_id += 1;
        self.totals.bytes += stored.bytes;
        self.totals.unread_events += stored.name.events;
        self.unread += 1;
        self.entries.push_back(Entry { id: self.last_id, stored, state: State::Stored });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.entries.iter().map(|entry| &entry.stored)
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Whatever is not delivered is with the lane.
    pub(super) fn all_with_lane(&self) -> bool {
        self.unread == 0
    }

    /// The next segment, if it has no more than `bytes_max`; it is being read from now on.
    pub(super) fn next_to_read(&mut self, bytes_max: u64) -> Option<SegmentName> {
        let next = self.next_place().and_then(|place| self.entries.get_mut(place))?;
        (next.stored.bytes <= bytes_max).then(|| {
            next.state = State::Reading;
            next.stored.name.clone()
        })
    }

    /// Size of the segment that can be read next, in bytes.
    pub(super) fn next_bytes(&self) -> Option<u64> {
        let next = self.next_place().and_then(|place| self.entries.get(place))?;
        Some(next.stored.bytes)
    }

    /// Where the segment stands that can be read next. Behind a damaged one nothing is read.
    fn next_place(&self) -> Option<usize> {
        let is_done = |state: &State| matches!(state, State::Loaded { .. } | State::Finished);
        let place = self.entries.iter().position(|entry| !is_done(&entry.state))?;
        let is_stored = |entry: &&Entry| matches!(entry.state, State::Stored);
        self.entries.get(place).filter(is_stored).map(|_| place)
    }

    /// The segment that is being read.
    pub(super) fn reading(&self) -> Option<&Stored> {
        let mut reading = self.entries.iter().filter(|entry| matches!(entry.state, State::Reading));
        reading.next().map(|entry| &entry.stored)
    }

    /// The segment that was being read has these events. Those that are valid and not delivered, with the segment's id and
    /// their indexes.
    pub(super) fn loaded(
        &mut self,
        events: Vec<Arc<CloudEvent>>,
        delivered: &[u32],
    ) -> Vec<(u64, u32, Arc<CloudEvent>)> {
        let Some(entry) = self.entries.iter_mut().find(|entry| matches!(entry.state, State::Reading)) else {
            return Vec::new();
        };
        let (id, cut) = (entry.id, entry.stored.cut.as_deref());
        let is_open = |index: &u32, event: &CloudEvent| {
            !delivered.contains(index) && cut.is_none_or(|cut| *event.sequence <= *cut)
        };
        let open: Vec<_> = (0_u32..)
            .zip(events)
            .filter(|(index, event)| is_open(index, event))
            .map(|(index, event)| (id, index, event))
            .collect();
        let count = open.len() as u64;
        entry.state = State::Loaded { read: count, open: count, delivered: delivered.to_vec() };
        self.unread -= 1;
        self.totals.unread_events -= entry.stored.name.events;
        self.totals.read_bytes += entry.read_bytes();
        self.finish_if_done(id);
        open
    }

    /// The segment that was being read was delivered by a former holder, and deleted.
    pub(super) fn delivered_before(&mut self) {
        self.loaded(Vec::new(), &[]);
    }

    /// The segment that was being read cannot be read.
    pub(super) fn damaged(&mut self, damage: Damage) {
        let mut reading = self.entries.iter_mut().filter(|entry| matches!(entry.state, State::Reading));
        if let Some(entry) = reading.next() {
            entry.state = State::Damaged(damage);
        }
    }

    /// The segment that cannot be read, and why, until it is set aside.
    pub(super) fn damage(&self) -> Option<(&SegmentName, &Damage)> {
        self.entries.iter().find_map(|entry| match &entry.state {
            State::Damaged(damage) | State::Skipped(damage) => Some((&entry.stored.name, damage)),
            _ => None,
        })
    }

    /// The segment that cannot be read is to be set aside.
    pub(super) fn skip(&mut self) {
        let damaged = self.entries.iter_mut().find_map(|entry| match &entry.state {
            State::Damaged(damage) => Some((damage.clone(), &mut entry.state)),
            _ => None,
        });
        if let Some((damage, state)) = damaged {
            *state = State::Skipped(damage);
        }
    }

    /// The segment that is to be set aside, and what is wrong with it.
    pub(super) fn skipped(&self) -> Option<(&SegmentName, &Damage)> {
        self.entries.iter().find_map(|entry| match &entry.state {
            State::Skipped(damage) => Some((&entry.stored.name, damage)),
            _ => None,
        })
    }

    /// The segment that was to be set aside is gone.
    pub(super) fn forget_skipped(&mut self) -> Option<(SegmentName, Damage)> {
        let place = self.entries.iter().position(|entry| matches!(entry.state, State::Skipped(_)))?;
        let Entry { stored: Stored { name, bytes, .. }, state, .. } = self.entries.remove(place)?;
        self.unread -= 1;
        self.totals.bytes -= bytes;
        self.totals.unread_events -= name.events;
        match state {
            State::Skipped(damage) => Some((name, damage)),
            _ => None,
        }
    }

    /// An event of a segment needs nothing more.
    pub(super) fn delivered(&mut self, id: u64, index: u32) {
        let Ok(place) = self.entries.binary_search_by_key(&id, |entry| entry.id) else { return };
        let Some(entry) = self.entries.get_mut(place) else { return };
        let before = entry.read_bytes();
        let State::Loaded { open, delivered, .. } = &mut entry.state else { return };
        *open = open.saturating_sub(1);
        delivered.push(index);
        self.totals.read_bytes -= before - entry.read_bytes();
        self.finish_if_done(id);
    }

    fn finish_if_done(&mut self, id: u64) {
        let Ok(place) = self.entries.binary_search_by_key(&id, |entry| entry.id) else { return };
        let Some(entry) = self.entries.get_mut(place) else { return };
        if matches!(entry.state, State::Loaded { open: 0, .. }) {
            entry.state = State::Finished;
            self.finished += 1;
        }
    }

    /// A segment that is to be deleted.
    pub(super) fn finished(&self) -> Option<&SegmentName> {
        if self.finished == 0 { None } else { self.all_finished().next() }
    }

    /// All segments that are to be deleted.
    pub(super) fn all_finished(&self) -> impl Iterator<Item = &SegmentName> {
        let finished = self.entries.iter().filter(|entry| matches!(entry.state, State::Finished));
        finished.map(|entry| &entry.stored.name)
    }

    /// Finished segments are deleted.
    pub(super) fn forget_finished(&mut self, is_deleted: impl Fn(&SegmentName) -> bool) {
        let Self { entries, totals, finished, .. } = self;
        entries.retain(|entry| {
            let goes = matches!(entry.state, State::Finished) && is_deleted(&entry.stored.name);
            if goes {
                totals.bytes -= entry.stored.bytes;
                *finished -= 1;
            }
            !goes
        });
    }

    /// Segments of which some events are delivered and others are not, with the indexes of the former.
    pub(super) fn started(&self) -> impl Iterator<Item = (&SegmentName, &Vec<u32>)> {
        self.entries.iter().filter_map(|entry| match &entry.state {
            State::Loaded { delivered, .. } if !delivered.is_empty() => Some((&entry.stored.name, delivered)),
            _ => None,
        })
    }
}
