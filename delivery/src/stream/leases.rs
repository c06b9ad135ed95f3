//! The partitions that this worker holds: what of them has to wait, and what is being given back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use twinroute_common::event::Item;
use twinroute_common::partition::Epoch;

use crate::settlement::{LeaseId, Settlement};

/// Part of a revoke's deadline within which what is in delivery may be settled: half. The rest is for closing sinks that
/// did not settle it, and for the way back to capture.
const SETTLING: (u32, u32) = (1, 2);

/// What is held and what is being given back.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<u32, Held>,
    releases: Vec<Release>,
    last_release: u64,
}

/// A partition that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) lease: LeaseId,
    pub(super) epoch: Epoch,
    /// Its items are dispatched under this version of the routing or a later one.
    min_version: u64,
    /// Batches that wait for that version, or behind an item that can't be delivered.
    waiting: VecDeque<Waiting>,
    poison: Option<Poison>,
    revoked: bool,
}

/// What becomes of a partition at an item that can't be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poison {
    /// Nothing behind it will be dispatched under this lease.
    Blocks,
    /// What is behind it waits until its letter is durable.
    AwaitsLetter,
}

/// A batch that waits, or the rest of one.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Number of the batch.
    pub(super) number: u64,
    /// Index of the first item that waits.
    pub(super) first: u32,
    pub(super) items: Vec<Item>,
}

/// Partitions on their way back.
#[derive(Debug)]
struct Release {
    id: u64,
    /// The assignment to answer; `None` when capture already gave the partitions to somebody else.
    assignment: Option<u64>,
    leases: Arc<HashSet<LeaseId>>,
    settle_until: Instant,
    recalling: bool,
}

/// What may be done with a batch.
#[derive(Debug)]
pub(super) enum Admission {
    /// Dispatch it.
    Dispatch(Waiting),
    /// It waits, or will never be dispatched under this lease.
    Kept,
}

impl Leases {
    /// Notes a grant. An earlier lease of the partition is over, if there is one.
    pub(super) fn grant(&mut self, partition: u32, lease: LeaseId, epoch: Epoch, min_version: u64) {
        let held = Held { lease, epoch, min_version, waiting: VecDeque::new(), poison: None, revoked: false };
        self.held.insert(partition, held);
    }

    /// Starts to give partitions back that capture revokes.
    pub(super) fn revoke(&mut self, assignment: u64, partitions: &[u32], deadline: Duration, now: Instant) {
        let (part, whole) = SETTLING;
        self.release(Some(assignment), partitions, now + deadline * part / whole);
    }

    /// Starts to clear away partitions that capture has taken already; only those with the epoch that is over.
    pub(super) fn fenced(&mut self, fenced: &[(u32, Epoch)], now: Instant) {
        let ours = fenced.iter().filter(|(partition, epoch)| {
            self.held.get(partition).is_some_and(|held| held.epoch == *epoch && !held.revoked)
        });
        let partitions: Vec<u32> = ours.map(|(partition, _)| *partition).collect();
        if !partitions.is_empty() {
            self.release(None, &partitions, now);
        }
    }

    fn release(&mut self, assignment: Option<u64>, partitions: &[u32], settle_until: Instant) {
        let mut leases = HashSet::new();
        for partition in partitions {
            if let Some(held) = self.held.get_mut(partition) {
                held.revoked = true;
                held.waiting.clear();
                leases.insert(held.lease);
            }
        }
        self.last_release += 1;
        self.releases.push(Release {
            id: self.last_release,
            assignment,
            leases: Arc::new(leases),
            settle_until,
            recalling: false,
        });
    }

    /// The partition, if it is held.
    pub(super) fn get(&self, partition: u32) -> Option<&Held> {
        self.held.get(&partition)
    }

    /// Admits a batch of a held partition, or keeps it.
    pub(super) fn admit(&mut self, partition: u32, batch: Waiting, version: u64) -> Admission {
        let Some(held) = self.held.get_mut(&partition) else { return Admission::Kept };
        if held.poison == Some(Poison::Blocks) || held.revoked {
            return Admission::Kept;
        }
        if held.min_version > version || held.poison.is_some() || !held.waiting.is_empty() {
            held.waiting.push_back(batch);
            return Admission::Kept;
        }
        Admission::Dispatch(batch)
    }

    /// Blocks a partition at an item that can't be delivered.
    pub(super) fn block(&mut self, partition: u32) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.poison = Some(Poison::Blocks);
            held.waiting.clear();
        }
    }

    /// Stops a partition at an item that can't be delivered, until [`Leases::pass`]. `rest` is what follows in its batch.
    pub(super) fn await_letter(&mut self, partition: u32, rest: Waiting) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.poison = Some(Poison::AwaitsLetter);
            held.waiting.push_front(rest);
        }
    }

    /// Lets a partition go on behind the item whose letter it waited for, if the lease is the same.
    pub(super) fn pass(&mut self, partition: u32, lease: LeaseId) {
        if let Some(held) = self.held.get_mut(&partition).filter(|held| held.lease == lease) {
            held.poison = None;
        }
    }

    /// The next batch that waited and need not wait longer, with its partition.
    pub(super) fn next_waiting(&mut self, version: u64) -> Option<(u32, Waiting)> {
        let mut free =
            self.held.iter_mut().filter(|(_, held)| held.min_version <= version && held.poison.is_none());
        free.find_map(|(&partition, held)| held.waiting.pop_front().map(|batch| (partition, batch)))
    }

    /// How many partitions wait for a newer routing.
    pub(super) fn awaiting(&self, version: u64) -> usize {
        self.held.values().filter(|held| held.min_version > version).count()
    }

    /// The version of the routing that something waits for.
    pub(super) fn awaited_version(&self, version: u64) -> Option<u64> {
        let waiting =
            self.held.values().filter(|held| held.min_version > version && !held.waiting.is_empty());
        waiting.map(|held| held.min_version).max()
    }

    /// A release of which nothing is in delivery any more, or whose time is over, and its leases: endpoints are to have
    /// nothing more to do with them. Told once.
    pub(super) fn next_recall(
        &mut self,
        settlement: &Settlement,
        now: Instant,
    ) -> Option<(u64, Arc<HashSet<LeaseId>>)> {
        let is_due = |release: &&mut Release| {
            let is_idle = || release.leases.iter().all(|lease| settlement.is_idle(*lease));
            !release.recalling && (release.settle_until <= now || is_idle())
        };
        self.releases.iter_mut().find(is_due).map(|release| {
            release.recalling = true;
            (release.id, Arc::clone(&release.leases))
        })
    }

    /// When the next release is overdue.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        let running = self.releases.iter().filter(|release| !release.recalling);
        running.map(|release| release.settle_until).min()
    }

    /// Nothing of a release's leases is worked on any more: the leases, and the assignment to answer.
    pub(super) fn finish(&mut self, id: u64) -> Option<(Arc<HashSet<LeaseId>>, Option<u64>)> {
        let index = self.releases.iter().position(|release| release.id == id)?;
        let release = self.releases.swap_remove(index);
        self.held.retain(|_, held| !release.leases.contains(&held.lease));
        Some((release.leases, release.assignment))
    }

    /// Partitions held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Nothing is held, and nothing on its way back.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.releases.is_empty()
    }

    /// Partitions that a poison item blocks, or whose letter is being written.
    pub(super) fn poisoned(&self) -> usize {
        self.held.values().filter(|held| held.poison.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use twinroute_common::event::Discontinuity;
    use twinroute_common::position::Position;

    use super::*;
    use crate::settlement::ItemRef;

    const DEADLINE: Duration = Duration::from_secs(8);

    fn epoch(counter: u64) -> Epoch {
        Epoch { generation: 1, counter }
    }

    fn batch(number: u64) -> Waiting {
        let gap = Discontinuity {
            position: Position::default(),
            last_known: None,
            first_new: None,
            reason: String::new(),
        };
        Waiting { number, first: 0, items: vec![Item::Discontinuity(gap)] }
    }

    /// A lease of partition 1 with one item in delivery.
    fn in_delivery(settlement: &mut Settlement, now: Instant) -> LeaseId {
        let lease = settlement.grant(1, epoch(1));
        assert_eq!(settlement.receive(lease, 1, std::iter::once(1), now), Ok(()));
        settlement.dispatched(ItemRef { lease, batch: 1, item: 0, partition: 1 }, 1);
        lease
    }

    fn dispatched(admission: &Admission) -> bool {
        matches!(admission, Admission::Dispatch(_))
    }

    #[test]
    fn a_partition_waits_for_the_version_that_was_in_force_before() {
        // given a partition that was worked on under version 5, while ours is 4
        let mut leases = Leases::default();
        leases.grant(1, LeaseId(1), epoch(1), 5);
        leases.grant(2, LeaseId(2), epoch(2), 4);

        // then its batches wait, and only its
        assert!(!dispatched(&leases.admit(1, batch(1), 4)));
        assert!(dispatched(&leases.admit(2, batch(1), 4)));
        assert_eq!(leases.awaited_version(4), Some(5));
        assert!(leases.next_waiting(4).is_none());

        // when version 5 comes, they go first and in order
        assert!(!dispatched(&leases.admit(1, batch(2), 5)));
        let numbers: Vec<_> =
            std::iter::from_fn(|| leases.next_waiting(5)).map(|(_, batch)| batch.number).collect();
        assert_eq!(numbers, [1, 2]);
        assert!(dispatched(&leases.admit(1, batch(3), 5)));
    }

    #[test]
    fn nothing_behind_a_poison_item_is_dispatched() {
        let mut leases = Leases::default();
        leases.grant(1, LeaseId(1), epoch(1), 0);
        leases.block(1);
        assert!(!dispatched(&leases.admit(1, batch(2), 0)));
        assert_eq!(leases.poisoned(), 1);
        assert!(leases.next_waiting(9).is_none());
    }

    #[test]
    fn what_is_behind_a_poison_item_waits_for_its_letter_and_comes_in_order() {
        // given a partition with a poison item as the second of a batch
        let mut leases = Leases::default();
        leases.grant(1, LeaseId(1), epoch(1), 0);
        leases.await_letter(1, Waiting { first: 2, ..batch(1) });
        assert!(!dispatched(&leases.admit(1, batch(2), 0)));
        assert!(leases.next_waiting(9).is_none());
        assert_eq!(leases.poisoned(), 1);

        // when the letter of another lease is written, then it waits on
        leases.pass(1, LeaseId(7));
        assert!(leases.next_waiting(9).is_none());

        // when its own is, the rest of the batch comes first
        leases.pass(1, LeaseId(1));
        let waited = std::iter::from_fn(|| leases.next_waiting(0));
        let waited: Vec<_> = waited.map(|(_, batch)| (batch.number, batch.first)).collect();
        assert_eq!((waited, leases.poisoned()), (vec![(1, 2), (2, 0)], 0));
    }

    #[test]
    fn a_revoked_partition_is_released_when_nothing_of_it_is_in_delivery() {
        // given a revoked partition with one item in delivery
        let now = Instant::now();
        let mut settlement = Settlement::default();
        let mut leases = Leases::default();
        let lease = in_delivery(&mut settlement, now);
        let item = ItemRef { lease, batch: 1, item: 0, partition: 1 };
        leases.grant(1, lease, epoch(1), 0);
        leases.revoke(7, &[1], DEADLINE, now);
        assert!(leases.next_recall(&settlement, now).is_none());
        assert_eq!(leases.overdue_at(), Some(now + Duration::from_secs(4)));

        // when that is delivered, it can be released
        settlement.delivered(item);
        let release = leases.next_recall(&settlement, now);
        assert!(leases.next_recall(&settlement, now).is_none());
        let finished = release.and_then(|(release, _)| leases.finish(release));
        assert_eq!(finished.map(|(leases, assignment)| (leases.len(), assignment)), Some((1, Some(7))));
        assert!(leases.is_empty());
    }

    #[test]
    fn what_is_late_is_cut_off_once_and_a_new_grant_survives_it() {
        // given a revoked partition that is granted anew before it was released
        let now = Instant::now();
        let mut settlement = Settlement::default();
        let mut leases = Leases::default();
        let lease = in_delivery(&mut settlement, now);
        leases.grant(1, lease, epoch(1), 0);
        leases.revoke(7, &[1], DEADLINE, now);
        leases.grant(1, LeaseId(2), epoch(2), 0);

        // when the first lease is overdue
        assert!(leases.next_recall(&settlement, now).is_none());
        let late = leases.next_recall(&settlement, now + DEADLINE);
        assert_eq!(late.map(|(id, leases)| (id, leases.contains(&lease))), Some((1, true)));
        assert!(leases.next_recall(&settlement, now + DEADLINE).is_none());
        leases.finish(1);

        // then the new one is still held
        assert_eq!(leases.get(1).map(|held| held.lease), Some(LeaseId(2)));
    }

    #[test]
    fn only_the_epoch_that_is_over_is_cleared_away() {
        let now = Instant::now();
        let mut leases = Leases::default();
        leases.grant(1, LeaseId(1), epoch(2), 0);
        let settlement = Settlement::default();
        leases.fenced(&[(1, epoch(1))], now);
        assert!(leases.next_recall(&settlement, now).is_none());
        leases.fenced(&[(1, epoch(2))], now);
        leases.fenced(&[(1, epoch(2))], now);
        assert!(leases.next_recall(&settlement, now).is_some());
        assert!(leases.next_recall(&settlement, now).is_none());
    }
}
