//! Rules of the leases: who may hold what, when a partition may move, how many move.

use super::*;

/// An assignment that a consumer was told in the last step.
struct Told {
    key: ConsumerKey,
    assignment: Assignment,
    resume_after: Vec<Option<Position>>,
    min_consumer_version: u64,
}

impl Reference {
    pub(in super::super) fn join(&mut self, key: ConsumerKey, consumer_id: &str) {
        let replaced = self.members.iter().find(|(_, member)| member.consumer_id == consumer_id);
        if let Some(replaced) = replaced.map(|(&key, _)| key) {
            self.leave(replaced);
        }
        let member = Member {
            consumer_id: consumer_id.to_owned(),
            is_draining: false,
            last_assignment: 0,
            unanswered: None,
            credit_events: 0,
            credit_bytes: 0,
            fenced: BTreeSet::new(),
            others_acks: Vec::new(),
        };
        assert!(self.members.insert(key, member).is_none(), "{key:?} names two streams");
    }

    pub(in super::super) fn leave(&mut self, key: ConsumerKey) {
        self.members.remove(&key);
        self.end_leases(|lease| lease.holder == key);
    }

    pub(in super::super) fn drain(&mut self, key: ConsumerKey) {
        if let Some(member) = self.members.get_mut(&key) {
            member.is_draining = true;
        }
    }

    /// An answer counts once, and only to the assignment that waits for it.
    pub(in super::super) fn released(&mut self, key: ConsumerKey, id: u64) -> Result<(), ProtocolError> {
        let member = self.members.get_mut(&key).filter(|member| member.last_assignment >= id);
        let member = member.ok_or(ProtocolError::UnknownAssignment { assignment_id: id })?;
        if member.unanswered.take_if(|(unanswered, _)| *unanswered == id).is_some() {
            self.end_leases(|lease| lease.holder == key && lease.is_revoked);
        }
        Ok(())
    }

    /// What was not released in time is taken back.
    pub(in super::super) fn expire(&mut self, now: Instant) {
        let overdue = |(&key, member): (&ConsumerKey, &mut Member)| {
            member.unanswered.take_if(|(_, until)| *until <= now).map(|_| key)
        };
        let late: Vec<_> = self.members.iter_mut().filter_map(overdue).collect();
        self.end_leases(|lease| lease.is_revoked && late.contains(&lease.holder));
    }

    fn end_leases(&mut self, ends: impl Fn(&Lease) -> bool) {
        for partition in &mut self.partitions {
            partition.lease.take_if(|lease| ends(lease));
        }
    }

    /// Takes what consumers were told in the last step, and checks that it may be.
    pub(in super::super) fn take_assignments(&mut self, real: &Subscription, now: Instant) {
        let told = self.told(real);
        let moved: usize = told
            .iter()
            .filter(|one| !self.members[&one.key].is_draining)
            .map(|one| one.assignment.revoked.len())
            .sum();
        let needed = self.moves_needed();
        assert!(moved <= needed, "{moved} partitions move, and {needed} suffice");
        for one in told {
            self.take_assignment(one, now);
        }
        self.check_shares();
    }

    fn told(&self, real: &Subscription) -> Vec<Told> {
        let mut told = Vec::new();
        for (&key, consumer) in &real.consumers {
            let last = self.members[&key].last_assignment;
            for frame in &consumer.control {
                let OutFrame::Assignment { assignment, resume_after, min_consumer_version } = frame else {
                    continue;
                };
                if assignment.assignment_id > last {
                    told.push(Told {
                        key,
                        assignment: assignment.clone(),
                        resume_after: resume_after.clone(),
                        min_consumer_version: *min_consumer_version,
                    });
                }
            }
        }
        told
    }

    fn take_assignment(&mut self, told: Told, now: Instant) {
        let Told { key, assignment, resume_after, min_consumer_version } = told;
        let member = self.members.get_mut(&key).expect("only who is there is told something");
        member.last_assignment += 1;
        assert_eq!(
            assignment.assignment_id, member.last_assignment,
            "assignments are numbered without holes"
        );
        assert_eq!(min_consumer_version, self.history.version, "the highest version that was stored");
        assert_eq!(assignment.deadline, self.bounds.revoke_deadline);
        assert_eq!(assignment.granted.len(), resume_after.len());
        if !assignment.revoked.is_empty() {
            let unanswered = member.unanswered.replace((member.last_assignment, now + assignment.deadline));
            assert_eq!(unanswered, None, "one assignment with revokes is unanswered at a time");
        }
        assert!(assignment.granted.is_empty() || !member.is_draining, "{key:?} is leaving, and gets more");
        for (&(partition, epoch), resume_after) in assignment.granted.iter().zip(resume_after) {
            let state = &mut self.partitions[partition as usize];
            assert!(state.lease.is_none(), "{partition} is granted to {key:?}, and held: {:?}", state.lease);
            assert_eq!(resume_after, state.settled, "{partition} is resumed elsewhere than it is settled");
            assert_eq!(epoch.generation, self.generation);
            let highest = self.history.epochs.entry(partition).or_default();
            assert!(*highest < epoch, "{partition} had epoch {highest:?} before {epoch:?}");
            *highest = epoch;
            state.lease =
                Some(Lease { holder: key, epoch, is_revoked: false, batches: Vec::new(), acked: 0 });
        }
        for partition in assignment.revoked {
            let lease = self.partitions[partition as usize].lease.as_mut();
            let lease = lease.filter(|lease| lease.holder == key && !lease.is_revoked);
            lease.expect("only what is held is revoked, and once").is_revoked = true;
        }
    }

    /// Fewest partitions that those who stay must give up until all have the same, or one more.
    fn moves_needed(&self) -> usize {
        let kept = self.kept();
        let Some(share) = self.partitions.len().checked_div(kept.len()) else { return 0 };
        let odd = self.partitions.len() % kept.len();
        let above = kept.iter().filter(|&&count| count > share).count();
        kept.iter().map(|count| count.saturating_sub(share)).sum::<usize>() - odd.min(above)
    }

    /// How many partitions each of those who stay holds and is not giving back.
    fn kept(&self) -> Vec<usize> {
        let staying = self.members.iter().filter(|(_, member)| !member.is_draining);
        staying.map(|(&key, _)| self.kept_by(key)).collect()
    }

    fn kept_by(&self, key: ConsumerKey) -> usize {
        let leases = self.partitions.iter().filter_map(|partition| partition.lease.as_ref());
        leases.filter(|lease| lease.holder == key && !lease.is_revoked).count()
    }

    /// Nothing lies idle while somebody could hold it, and in the end all have the same, or one more.
    fn check_shares(&self) {
        let kept = self.kept();
        if kept.is_empty() {
            return;
        }
        let free = self.partitions.iter().position(|partition| partition.lease.is_none());
        assert_eq!(free, None, "a partition has no holder");
        if self.members.values().any(|member| member.unanswered.is_some()) {
            return;
        }
        let (least, most) = (kept.iter().min(), kept.iter().max());
        assert!(least.zip(most).is_some_and(|(least, most)| most - least <= 1), "shares are {kept:?}");
        let leaving = self.members.iter().filter(|(_, member)| member.is_draining);
        assert_eq!(
            leaving.map(|(&key, _)| self.kept_by(key)).sum::<usize>(),
            0,
            "a leaving one keeps something"
        );
    }
}
