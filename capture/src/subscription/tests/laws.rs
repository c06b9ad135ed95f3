//! Laws that hold whatever consumers do: nothing is lost, order is kept, nothing is confirmed too early.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Transaction(Vec<u8>),
    Join(u8),
    Leave(u8),
    Credit(u8, u8),
    Ack(u8),
    Release(u8),
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(0..12_u8, 0..6).prop_map(Step::Transaction),
        1 => (0..4_u8).prop_map(Step::Join),
        1 => (0..4_u8).prop_map(Step::Leave),
        4 => (0..4_u8, 0..6_u8).prop_map(|(consumer, events)| Step::Credit(consumer, events)),
        4 => (0..4_u8).prop_map(Step::Ack),
        2 => (0..4_u8).prop_map(Step::Release),
        1 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 1..80)
}

/// A consumer that notes what it is sent and acknowledges it later.
#[derive(Default)]
struct Peer {
    key: Option<ConsumerKey>,
    unacked: Vec<OutBatch>,
    to_release: Vec<u64>,
}

struct World {
    subscription: Subscription,
    now: Instant,
    lsn: u64,
    peers: BTreeMap<u8, Peer>,
    /// Number of un-acknowledged events by the end of their transaction.
    open: BTreeMap<u64, usize>,
    /// By key, the LSN acknowledged last.
    settled: BTreeMap<String, u64>,
    transaction_of: BTreeMap<u64, u64>,
}

impl World {
    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Transaction(keys) => self.transaction(&keys),
            Step::Join(name) => {
                let key = self.subscription.join(&name.to_string(), self.now);
                self.peers.insert(name, Peer { key: Some(key), ..Peer::default() });
            }
            Step::Leave(name) => {
                if let Some(key) = self.peers.remove(&name).and_then(|peer| peer.key) {
                    self.subscription.leave(key, self.now);
                }
            }
            Step::Credit(name, events) => {
                if let Some(key) = self.peers.get(&name).and_then(|peer| peer.key) {
                    self.subscription.credit(key, events.into(), 1_000_000);
                }
            }
            Step::Ack(name) => self.ack(name)?,
            Step::Release(name) => {
                let peer = self.peers.entry(name).or_default();
                if let Some((key, assignment)) = peer.key.zip(peer.to_release.pop()) {
                    prop_assert_eq!(self.subscription.released(key, assignment, self.now), Ok(()));
                }
            }
            Step::Expire => {
                self.now += BOUNDS.revoke_deadline;
                self.subscription.tick(self.now);
            }
        }
        self.receive();
        self.check()
    }

    fn transaction(&mut self, keys: &[u8]) {
        let first = self.lsn + 1;
        let items: Vec<Item> =
            keys.iter().zip(first..).map(|(key, lsn)| event(&format!("key-{key}"), lsn)).collect();
        self.lsn += keys.len() as u64 + 1;
        for lsn in first..first + keys.len() as u64 {
            self.transaction_of.insert(lsn, self.lsn);
            *self.open.entry(self.lsn).or_default() += 1;
        }
        self.subscription.push(items, self.now);
        self.subscription.commit(Lsn(self.lsn), self.now);
    }

    fn receive(&mut self) {
        for peer in self.peers.values_mut() {
            let Some(key) = peer.key else { continue };
            while let Some(frame) = self.subscription.next_frame(key) {
                match frame {
                    OutFrame::Batches(batches) => peer.unacked.extend(batches),
                    OutFrame::Assignment { assignment, .. } if !assignment.revoked.is_empty() => {
                        peer.to_release.push(assignment.assignment_id);
                    }
                    _ => {}
                }
            }
        }
    }

    /// A peer acknowledges the oldest batch that it has. Whether that counts is the holder's question.
    fn ack(&mut self, name: u8) -> Result<(), TestCaseError> {
        let Some(peer) = self.peers.get_mut(&name).filter(|peer| !peer.unacked.is_empty()) else {
            return Ok(());
        };
        let Some(key) = peer.key else { return Ok(()) };
        let batch = peer.unacked.remove(0);
        let before = self.subscription.unacked().events;
        let acks = [(batch.partition, batch.epoch, batch.batch)].into_iter();
        prop_assert_eq!(self.subscription.ack(key, acks, self.now), Ok(()));
        let settled = before - self.subscription.unacked().events;
        if settled == 0 {
            return Ok(());
        }
        prop_assert_eq!(settled, batch.items.len() as u64);
        for item in &batch.items {
            let Item::Event(event) = &**item else { continue };
            let lsn = event.position.commit_lsn.0;
            let last = self.settled.insert(event.ordering_key.clone(), lsn);
            prop_assert!(last.is_none_or(|last| last < lsn), "order of {}", event.ordering_key);
            let end = self.transaction_of[&lsn];
            if let Some(left) = self.open.get_mut(&end) {
                *left -= 1;
            }
        }
        self.open.retain(|_, left| *left > 0);
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let open: usize = self.open.values().sum();
        prop_assert_eq!(self.subscription.unacked().events, open as u64, "an event is lost or counted twice");
        let confirmed = self.subscription.confirmed().0;
        if let Some((oldest, _)) = self.open.first_key_value() {
            prop_assert!(confirmed < *oldest, "confirmed {confirmed} past an un-acknowledged event");
        } else {
            prop_assert_eq!(confirmed, self.lsn, "everything is settled and not all is confirmed");
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_confirmed_too_early(steps in steps()) {
        let (subscription, now) = subscription();
        let mut world = World {
            subscription,
            now,
            lsn: 0,
            peers: BTreeMap::new(),
            open: BTreeMap::new(),
            settled: BTreeMap::new(),
            transaction_of: BTreeMap::new(),
        };
        for step in steps {
            world.step(step)?;
        }
        // when in the end one consumer takes and acknowledges everything
        for name in 0..4 {
            world.step(Step::Leave(name))?;
        }
        world.step(Step::Join(9))?;
        world.subscription.credit(world.peers[&9].key.unwrap(), 1_000_000, 1_000_000_000);
        world.receive();
        while !world.peers[&9].unacked.is_empty() {
            world.step(Step::Ack(9))?;
        }
        // then nothing is left
        prop_assert_eq!(world.subscription.unacked().events, 0);
    }
}
