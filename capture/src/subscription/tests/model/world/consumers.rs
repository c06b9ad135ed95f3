//! What consumers do, and the sessions that take it.

use super::*;

impl World {
    pub(super) fn stream(&self, name: u64) -> Option<ConsumerKey> {
        self.peers.get(&name).and_then(|peer| peer.stream)
    }

    /// A process without a stream opens one, after it was woken.
    pub(super) fn come_back(&mut self, name: u64) {
        self.thaw(name);
        if self.stream(name).is_none() {
            self.connect(name);
        }
    }

    /// A process opens a stream, perhaps while capture still holds its former one.
    pub(super) fn connect(&mut self, name: u64) {
        let is_stuck = name == self.stuck && name < NAMES;
        let new = || Peer::new(self.now, self.dice.below(5), is_stuck);
        let peer = self.peers.entry(name).or_insert_with(new);
        if peer.is_frozen {
            return;
        }
        self.ended.extend(peer.stream);
        peer.disconnected();
        let consumer_id = format!("consumer-{name}");
        let key = self.real.join(&consumer_id, self.now);
        self.reference.join(key, &consumer_id);
        (peer.stream, peer.beat_at) = (Some(key), self.now);
    }

    /// Its stream ends: closed, broken, without heartbeat for too long, or stuck. The process remembers.
    pub(super) fn disconnect(&mut self, name: u64) {
        let Some(peer) = self.peers.get_mut(&name) else { return };
        if let Some(key) = peer.stream {
            peer.disconnected();
            self.real.leave(key, self.now);
            self.reference.leave(key);
            self.ended.push(key);
        }
    }

    /// kill -9 of a consumer: what it had in memory is gone.
    pub(super) fn crash_of(&mut self, name: u64) {
        self.disconnect(name);
        self.peers.remove(&name);
    }

    pub(super) fn freeze(&mut self, name: u64) {
        if let Some(peer) = self.peers.get_mut(&name) {
            peer.is_frozen = true;
        }
    }

    /// It goes on where it was. Its stream may be over, and it may have everything of it in mind.
    fn thaw(&mut self, name: u64) {
        if let Some(peer) = self.peers.get_mut(&name) {
            (peer.is_frozen, peer.beat_at) = (false, self.now);
        }
    }

    fn awake(&mut self, name: u64) -> Option<(&mut Peer, ConsumerKey)> {
        let peer = self.peers.get_mut(&name).filter(|peer| !peer.is_frozen)?;
        let key = peer.stream?;
        Some((peer, key))
    }

    pub(super) fn credit(&mut self, name: u64) {
        if let Some((_, key)) = self.awake(name) {
            let (events, bytes) = match self.dice.below(4) {
                0 => (self.dice.from(1, 3), 0),
                1 => (0, self.dice.from(1, 400)),
                _ => (self.dice.from(1, 20), self.dice.from(1, 8_000)),
            };
            self.give_credit(key, events, bytes);
        }
    }

    pub(super) fn give_credit(&mut self, key: ConsumerKey, events: u64, bytes: u64) {
        self.real.credit(key, events, bytes);
        self.reference.credit(key, events, bytes);
    }

    /// The session sends some frames, also to a process that does not run.
    pub(super) fn send(&mut self, name: u64) {
        for _ in 0..self.dice.from(1, 6) {
            if !self.send_one(name) {
                return;
            }
        }
    }

    pub(super) fn send_all(&mut self, name: u64) {
        while self.send_one(name) {}
    }

    fn send_one(&mut self, name: u64) -> bool {
        let Some(peer) = self.peers.get_mut(&name) else { return false };
        let Some(key) = peer.stream else { return false };
        let Some(frame) = self.real.next_frame(key) else {
            self.reference.take_silence(key);
            return false;
        };
        self.reference.take_frame(key, &frame);
        peer.take(frame);
        true
    }

    pub(super) fn ack(&mut self, name: u64) {
        let Some(peer) = self.peers.get_mut(&name).filter(|peer| !peer.is_frozen && !peer.is_stuck) else {
            return;
        };
        if self.dice.in_hundred(30) {
            self.ack_all(name);
        } else {
            let acks = peer.some_acks(&mut self.dice);
            self.say(name, &acks);
        }
    }

    pub(super) fn ack_all(&mut self, name: u64) {
        let Some(peer) = self.peers.get_mut(&name) else { return };
        let acks = std::mem::take(&mut peer.batches);
        self.say(name, &acks);
    }

    /// An Ack that breaks the protocol, or names an epoch that never was; good ones may come before it.
    pub(super) fn ack_wrongly(&mut self, name: u64) {
        let Some((peer, _)) = self.awake(name) else { return };
        let Some(&(partition, epoch, batch)) = peer.batches.last() else { return };
        let mut acks = if peer.is_stuck { Vec::new() } else { peer.batches.clone() };
        acks.push(match self.dice.below(3) {
            0 => (partition, epoch, batch + self.dice.from(1, 100)),
            1 => (self.bounds.partition_count, epoch, batch),
            _ => (partition, Epoch { counter: epoch.counter + 1_000_000, ..epoch }, batch),
        });
        self.say(name, &acks);
    }

    /// An Ack as the session takes it: a version is stored first.
    fn say(&mut self, name: u64, acks: &[(u32, Epoch, u64)]) {
        let raised = self.dice.in_hundred(10);
        let Some((peer, key)) = self.awake(name) else { return };
        peer.version += u64::from(raised);
        let version = peer.version;
        self.row.consumer_version = self.row.consumer_version.max(version);
        self.real.consumer_version(version);
        self.reference.version(version);
        let result = self.real.ack(key, acks.iter().copied(), self.now);
        assert_eq!(result, self.reference.ack(key, acks, self.now));
        if result.is_err() {
            self.check();
            self.disconnect(name);
        }
    }

    /// It answers a revoke, mostly after it has acknowledged what it knows; now and then with nonsense.
    pub(super) fn release(&mut self, name: u64) {
        let honest = self.dice.in_hundred(70);
        let nonsense = self.dice.in_hundred(5).then(|| self.dice.below(20));
        let Some((peer, _)) = self.awake(name) else { return };
        let answered = peer.revokes.pop();
        let Some(assignment) = nonsense.or(answered.as_ref().map(|(assignment, _)| *assignment)) else {
            return;
        };
        if let Some((_, partitions)) = answered.filter(|_| honest && !peer.is_stuck) {
            let acks = peer.acks_of(&partitions);
            self.say(name, &acks);
            self.check();
        }
        let Some((_, key)) = self.awake(name) else { return };
        let result = self.real.released(key, assignment, self.now);
        assert_eq!(result, self.reference.released(key, assignment));
        if result.is_err() {
            self.check();
            self.disconnect(name);
        }
    }

    pub(super) fn drain(&mut self, name: u64) {
        if let Some((_, key)) = self.awake(name) {
            self.real.drain(key, self.now);
            self.reference.drain(key);
        }
    }

    /// What a session did not notice in time: a frame of a stream that another one has replaced.
    pub(super) fn act_on_ended_stream(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        let key = self.ended[self.dice.index(self.ended.len())];
        let known: Vec<_> = self.peers.values().flat_map(|peer| peer.batches.clone()).collect();
        let result = self.real.ack(key, known.iter().copied(), self.now);
        assert_eq!(result, Ok(()), "{key:?} is gone, and its acks change nothing");
        self.real.credit(key, 10, 10);
        self.real.drain(key, self.now);
        self.real.progress(key);
        assert!(self.real.next_frame(key).is_none());
    }
}
