//! What the subscription shows of itself must be so, after every step.

use super::*;

impl Reference {
    /// Compares everything that can be asked.
    pub(in super::super) fn compare(&self, real: &Subscription) {
        assert_eq!(real.confirmed(), self.confirmed, "what may be confirmed");
        assert_eq!(real.received(), self.received);
        assert_eq!(real.sent(), self.sent);
        assert_eq!(real.unacked(), self.unacked(), "an item is lost, or counted twice");
        assert_eq!(real.min_consumer_version(), self.history.version);
        assert_eq!(real.consumer_count(), self.members.len());
        let settled = self.settled_transactions().filter(|transaction| transaction.has_items).count();
        assert_eq!(real.settled_transactions(), settled as u64);
        for in_transaction in [false, true] {
            assert_eq!(real.may_read(in_transaction), self.may_read(in_transaction), "{in_transaction}");
        }
        for (view, partition) in real.partitions().into_iter().zip(&self.partitions) {
            let holder = partition.lease.as_ref();
            let holder = holder.map(|lease| (self.members[&lease.holder].consumer_id.clone(), lease.epoch));
            assert_eq!(view.holder, holder, "holder of {}", view.partition);
            assert_eq!(view.settled, partition.settled);
            assert_eq!(view.oldest_unacked, partition.pending.first().map(|pending| pending.position));
            assert_eq!(view.unacked_events, partition.pending.len() as u64);
        }
        for (&key, consumer) in &real.consumers {
            assert_eq!(real.is_stuck(key), self.is_stuck(key), "{key:?} is stuck or not");
            let ready: BTreeSet<u32> = consumer.ready.iter().copied().collect();
            assert_eq!(ready.len(), consumer.ready.len(), "{key:?} is served a partition twice");
        }
    }

    pub(in super::super) fn may_read(&self, in_transaction: bool) -> bool {
        let Unacked { events, bytes } = self.unacked();
        let has_room = events < self.bounds.unacked_events_max && bytes < self.bounds.unacked_bytes_max;
        let ahead = self.received.0 - self.confirmed.0;
        has_room && (in_transaction || ahead < self.bounds.unconfirmed_wal_bytes_max)
    }

    /// Others could take its partitions and acknowledge again and again, for so long, and it acknowledges nothing.
    pub(in super::super) fn is_stuck(&self, key: ConsumerKey) -> bool {
        let mut others = self.members.iter().filter(|(_, member)| !member.is_draining);
        if self.in_hand(key) == 0 || !others.any(|(&other, _)| other != key) {
            return false;
        }
        let acks = &self.members[&key].others_acks;
        let paused = |pair: &[Instant]| pair[1] - pair[0] >= self.bounds.unacked_age_max;
        let begin = acks.windows(2).rposition(paused).map_or(0, |last_pause| last_pause + 1);
        let span = acks.get(begin).zip(acks.last());
        span.is_some_and(|(&first, &last)| last - first >= self.bounds.unacked_age_max)
    }

    /// What a consumer is told of its progress, when it is made.
    pub(in super::super) fn check_progress(&self, real: &Subscription, key: ConsumerKey) {
        let queued = real.consumers.get(&key).and_then(|consumer| consumer.control.back());
        let Some(OutFrame::Progress { received_lsn, confirmed_flush_lsn, partitions }) = queued else {
            panic!("{queued:?} instead of Progress");
        };
        assert_eq!((*received_lsn, *confirmed_flush_lsn), (self.received, self.confirmed));
        let is_held =
            |partition: &&Partition| partition.lease.as_ref().is_some_and(|lease| lease.holder == key);
        let held: Vec<_> = (0_u32..).zip(&self.partitions).filter(|(_, one)| is_held(one)).collect();
        assert_eq!(partitions.len(), held.len());
        for ((number, settled, complete), (partition, state)) in partitions.iter().zip(held) {
            let in_hand = state.lease.as_ref().map_or(0, Lease::in_hand);
            let last_sent = state.pending[..in_hand].last().map(|pending| pending.position);
            assert_eq!(
                (*number, *settled, *complete),
                (partition, state.settled, last_sent.or(state.settled))
            );
        }
    }
}
