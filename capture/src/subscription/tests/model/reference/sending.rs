//! Rules of what is sent: to the holder only, in order, within its credit.

use super::*;

impl Reference {
    /// Takes a frame that a consumer is sent, and checks that it may be.
    pub(in super::super) fn take_frame(&mut self, key: ConsumerKey, frame: &OutFrame) {
        match frame {
            OutFrame::Batches(batches) => self.take_batches(key, batches),
            OutFrame::Fenced(fenced) => {
                let member = self.members.get_mut(&key).expect("only who is there is sent something");
                let due = std::mem::take(&mut member.fenced);
                assert_eq!(fenced.iter().copied().collect::<BTreeSet<_>>(), due);
            }
            // Looked at when they were made.
            OutFrame::Assignment { .. } | OutFrame::Progress { .. } | OutFrame::HeartbeatSeen(_) => {}
            OutFrame::GoAway { .. } => panic!("the subscription itself sends no GoAway"),
        }
    }

    fn take_batches(&mut self, key: ConsumerKey, batches: &[OutBatch]) {
        let items = || batches.iter().flat_map(|batch| &batch.items);
        let (count, bytes) = (items().count(), items().map(|item| item.cost_bytes()).sum::<u64>());
        assert!(count <= self.bounds.frame_events_max, "a frame of {count} items");
        assert!(bytes <= self.bounds.frame_bytes_max || count == 1, "a frame of {bytes} bytes");
        if self.in_hand(key) == 0 {
            self.members.get_mut(&key).expect("a member").others_acks.clear();
        }
        for batch in batches {
            self.take_batch(key, batch);
        }
    }

    fn take_batch(&mut self, key: ConsumerKey, batch: &OutBatch) {
        let partition = &mut self.partitions[batch.partition as usize];
        let lease = partition.lease.as_mut().expect("what is sent is held");
        assert_eq!((lease.holder, lease.epoch), (key, batch.epoch), "only the holder is sent something");
        assert!(!lease.is_revoked, "{} is revoked, and sent on", batch.partition);
        assert_eq!(batch.batch, lease.batches.len() as u64 + 1, "batches are numbered from 1 without holes");
        assert!(!batch.items.is_empty(), "an empty batch");
        let in_hand = lease.in_hand();
        let due = partition.pending.iter().skip(in_hand).map(|pending| pending.position);
        let sent: Vec<Position> = batch.items.iter().map(|item| item.position()).collect();
        assert_eq!(sent, due.take(sent.len()).collect::<Vec<_>>(), "what follows is sent, in order");
        assert!(sent.is_sorted() && sent.first().copied() > partition.settled);
        lease.batches.push(sent.len());
        let member = self.members.get_mut(&key).expect("a member");
        for item in &batch.items {
            assert!(member.credit_events > 0, "more items than there is credit for");
            assert!(member.credit_bytes > 0, "more bytes than there is credit for, and one item");
            member.credit_events -= 1;
            member.credit_bytes -= i128::from(item.cost_bytes());
        }
        self.sent = self.sent.max(sent.last().copied());
    }

    /// Nothing was sent: there must be nothing that may be.
    pub(in super::super) fn take_silence(&self, key: ConsumerKey) {
        let Some(member) = self.members.get(&key) else { return };
        assert!(member.fenced.is_empty(), "{key:?} does not hear that its acks came too late");
        if member.credit_events == 0 || member.credit_bytes <= 0 {
            return;
        }
        let waiting = self.partitions.iter().position(|partition| {
            let lease = partition.lease.as_ref().filter(|lease| lease.holder == key && !lease.is_revoked);
            lease.is_some_and(|lease| lease.in_hand() < partition.pending.len())
        });
        assert_eq!(waiting, None, "{key:?} has credit, and is not sent what waits");
    }
}
