//! Who holds which partition. Consumers share the partitions evenly, and as few as possible move when one joins or leaves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use twinroute_common::partition::Epoch;

/// Names a consumer's stream; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerKey(pub(super) u64);

/// All partitions, and the consumers that share them.
#[derive(Debug)]
pub(super) struct Leases {
    partitions: Vec<Lease>,
    members: BTreeMap<ConsumerKey, Member>,
    generation: u64,
    grants: u64,
    revoke_deadline: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    epoch: Epoch,
    holder: Option<ConsumerKey>,
    revoking: bool,
}

#[derive(Debug, Default)]
struct Member {
    draining: bool,
    last_assignment: u64,
    /// The assignment with revokes that is not answered, and until when it may be.
    pending_revoke: Option<(u64, Instant)>,
}

/// What a consumer is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Number within the stream, from 1.
    pub assignment_id: u64,
    /// Partitions that it holds from now on.
    pub granted: Vec<(u32, Epoch)>,
    /// Partitions that it is to give back.
    pub revoked: Vec<u32>,
    /// How long it has to give them back.
    pub deadline: Duration,
}

/// What changed: partitions that were taken from their holders, and what consumers are to be told.
#[derive(Debug, Default)]
pub(super) struct Rebalance {
    pub(super) freed: Vec<(u32, ConsumerKey)>,
    pub(super) assignments: Vec<(ConsumerKey, Assignment)>,
}

impl Leases {
    pub(super) fn new(partition_count: u32, generation: u64, revoke_deadline: Duration) -> Self {
        let free = Lease { epoch: Epoch::default(), holder: None, revoking: false };
        Self {
            partitions: vec![free; partition_count as usize],
            members: BTreeMap::new(),
            generation,
            grants: 0,
            revoke_deadline,
        }
    }

    /// Holder and epoch of a partition.
    pub(super) fn holder(&self, partition: u32) -> Option<(ConsumerKey, Epoch)> {
        let lease = self.partitions.get(partition as usize)?;
        lease.holder.map(|holder| (holder, lease.epoch))
    }

    /// Epoch of a partition that a consumer holds and may be sent more of.
    pub(super) fn sendable(&self, partition: u32, consumer: ConsumerKey) -> Option<Epoch> {
        let lease = self.partitions.get(partition as usize)?;
        (lease.holder == Some(consumer) && !lease.revoking).then_some(lease.epoch)
    }

    /// Partitions that a consumer holds, also those that it is giving back.
    pub(super) fn held_by(&self, consumer: ConsumerKey) -> impl Iterator<Item = u32> {
        self.numbered()
            .filter(move |(_, lease)| lease.holder == Some(consumer))
            .map(|(partition, _)| partition)
    }

    /// A consumer comes, perhaps in the place of one that is gone, whose partitions then go to it and nowhere else.
    pub(super) fn join(
        &mut self,
        consumer: ConsumerKey,
        replaced: Option<ConsumerKey>,
        now: Instant,
    ) -> Rebalance {
        let freed = replaced.map_or_else(Vec::new, |replaced| self.remove(replaced));
        self.members.insert(consumer, Member::default());
        self.balance(freed, now)
    }

    pub(super) fn leave(&mut self, consumer: ConsumerKey, now: Instant) -> Rebalance {
        let freed = self.remove(consumer);
        self.balance(freed, now)
    }

    fn remove(&mut self, consumer: ConsumerKey) -> Vec<(u32, ConsumerKey)> {
        self.members.remove(&consumer);
        self.free(|lease| lease.holder == Some(consumer))
    }

    /// Somebody else could hold what a consumer holds.
    pub(super) fn has_another(&self, consumer: ConsumerKey) -> bool {
        self.members.iter().any(|(&key, member)| key != consumer && !member.draining)
    }

    /// The consumer wants to give everything back.
    pub(super) fn drain(&mut self, consumer: ConsumerKey, now: Instant) -> Rebalance {
        if let Some(member) = self.members.get_mut(&consumer) {
            member.draining = true;
        }
        self.balance(Vec::new(), now)
    }

    /// Number of the last assignment that a consumer was told; 0 for none.
    pub(super) fn last_assignment(&self, consumer: ConsumerKey) -> u64 {
        self.members.get(&consumer).map_or(0, |member| member.last_assignment)
    }

    /// The consumer works no more on what an assignment revoked. `None` when there is no such unanswered assignment.
    pub(super) fn released(
        &mut self,
        consumer: ConsumerKey,
        assignment_id: u64,
        now: Instant,
    ) -> Option<Rebalance> {
        let member = self.members.get_mut(&consumer)?;
        member.pending_revoke.take_if(|(pending, _)| *pending == assignment_id)?;
        let freed = self.free(|lease| lease.revoking && lease.holder == Some(consumer));
        Some(self.balance(freed, now))
    }

    /// Takes back what was not released in time.
    pub(super) fn expire(&mut self, now: Instant) -> Rebalance {
        let late = |member: &mut Member| member.pending_revoke.take_if(|(_, until)| *until <= now).is_some();
        let expired: Vec<_> =
            self.members.iter_mut().filter_map(|(&key, member)| late(member).then_some(key)).collect();
        if expired.is_empty() {
            return Rebalance::default();
        }
        let freed =
            self.free(|lease| lease.revoking && lease.holder.is_some_and(|holder| expired.contains(&holder)));
        self.balance(freed, now)
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Lease)> {
        (0_u32..).zip(&self.partitions)
    }

    fn free(&mut self, ends: impl Fn(&Lease) -> bool) -> Vec<(u32, ConsumerKey)> {
        let ended = (0_u32..).zip(&mut self.partitions).filter(|(_, lease)| ends(lease));
        ended
            .filter_map(|(partition, lease)| {
                lease.revoking = false;
                lease.holder.take().map(|holder| (partition, holder))
            })
            .collect()
    }

    /// Grants what is free and revokes what somebody has too much of.
    fn balance(&mut self, freed: Vec<(u32, ConsumerKey)>, now: Instant) -> Rebalance {
        let targets = self.targets();
        let granted = self.grant(&targets);
        let revoked = self.revoke(&targets);
        let mut rebalance = Rebalance { freed, assignments: Vec::new() };
        for (&consumer, member) in &mut self.members {
            let (granted, revoked) = (granted.get(&consumer), revoked.get(&consumer));
            if granted.is_none() && revoked.is_none() {
                continue;
            }
            member.last_assignment += 1;
            if revoked.is_some() {
                member.pending_revoke = Some((member.last_assignment, now + self.revoke_deadline));
            }
            let assignment = Assignment {
                assignment_id: member.last_assignment,
                granted: granted.cloned().unwrap_or_default(),
                revoked: revoked.cloned().unwrap_or_default(),
                deadline: self.revoke_deadline,
            };
            rebalance.assignments.push((consumer, assignment));
        }
        rebalance
    }

    /// How many partitions each consumer shall have. Who has most keeps the odd ones.
    fn targets(&self) -> BTreeMap<ConsumerKey, usize> {
        let mut staying: Vec<(usize, ConsumerKey)> = self
            .members
            .iter()
            .filter(|(_, member)| !member.draining)
            .map(|(&key, _)| (self.kept_by(key).count(), key))
            .collect();
        staying.sort_by_key(|&(held, key)| (std::cmp::Reverse(held), key));
        let count = staying.len().max(1);
        let (share, odd) = (self.partitions.len() / count, self.partitions.len() % count);
        let staying = staying.iter().enumerate();
        staying.map(|(rank, &(_, key))| (key, share + usize::from(rank < odd))).collect()
    }

    /// Partitions that a consumer holds and is not giving back.
    fn kept_by(&self, consumer: ConsumerKey) -> impl Iterator<Item = u32> {
        self.numbered()
            .filter(move |(_, lease)| lease.holder == Some(consumer) && !lease.revoking)
            .map(|(partition, _)| partition)
    }

    fn grant(&mut self, targets: &BTreeMap<ConsumerKey, usize>) -> BTreeMap<ConsumerKey, Vec<(u32, Epoch)>> {
        let mut granted: BTreeMap<ConsumerKey, Vec<(u32, Epoch)>> = BTreeMap::new();
        let mut room: Vec<(ConsumerKey, usize)> = targets
            .iter()
            .map(|(&key, target)| (key, target.saturating_sub(self.kept_by(key).count())))
            .collect();
        for (partition, lease) in (0_u32..).zip(&mut self.partitions) {
            if lease.holder.is_some() {
                continue;
            }
            let Some((consumer, left)) = room.iter_mut().find(|(_, left)| *left > 0) else { break };
            *left -= 1;
            self.grants += 1;
            let epoch = Epoch { generation: self.generation, counter: self.grants };
            *lease = Lease { epoch, holder: Some(*consumer), revoking: false };
            granted.entry(*consumer).or_default().push((partition, epoch));
        }
        granted
    }

    fn revoke(&mut self, targets: &BTreeMap<ConsumerKey, usize>) -> BTreeMap<ConsumerKey, Vec<u32>> {
        let mut revoked = BTreeMap::new();
        let answered = self.members.iter().filter(|(_, member)| member.pending_revoke.is_none());
        let answered: Vec<ConsumerKey> = answered.map(|(&key, _)| key).collect();
        for consumer in answered {
            let kept: Vec<u32> = self.kept_by(consumer).collect();
            let target = targets.get(&consumer).copied().unwrap_or(0);
            let excess = kept.len().saturating_sub(target);
            let given_back: Vec<u32> = kept.into_iter().rev().take(excess).collect();
            for &partition in &given_back {
                if let Some(lease) = self.partitions.get_mut(partition as usize) {
                    lease.revoking = true;
                }
            }
            if !given_back.is_empty() {
                revoked.insert(consumer, given_back);
            }
        }
        revoked
    }
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
