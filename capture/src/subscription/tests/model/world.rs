//! What surrounds a subscription: PostgreSQL, the sessions of its consumers, the clock; and what happens there.

mod consumers;

use std::collections::BTreeMap;

use super::peer::Peer;
use super::wal::{Read, Wal};
use super::*;

/// How long a session waits for a heartbeat.
const LEASE: Duration = Duration::from_secs(15);

/// Number of consumer processes that there may be, and the name of one that comes in the end.
const NAMES: u64 = 5;

/// Rounds of reading, sending and acknowledging in which everything must become durable.
const ROUNDS_MAX: usize = 1_000;

/// What capture keeps in PostgreSQL.
#[derive(Clone, Copy, Debug)]
struct Row {
    generation: u64,
    confirmed: Lsn,
    consumer_version: u64,
}

#[derive(Debug)]
pub(super) struct World {
    dice: Dice,
    now: Instant,
    bounds: Bounds,
    real: Subscription,
    reference: Reference,
    wal: Wal,
    row: Row,
    peers: BTreeMap<u64, Peer>,
    /// Streams of this capture that are over.
    ended: Vec<ConsumerKey>,
    /// So many of a hundred steps are not work as usual.
    unrest: u64,
    /// Number of consumer processes, at most.
    names: u64,
    /// One of them that never gets anything done, if there is such a one.
    stuck: u64,
}

fn bounds(dice: &mut Dice) -> Bounds {
    Bounds {
        partition_count: u32::try_from(dice.from(1, 12)).unwrap(),
        frame_events_max: dice.from(1, 8) as usize,
        frame_bytes_max: dice.from(300, 3_000),
        unacked_events_max: dice.from(10, 200),
        unacked_bytes_max: dice.from(5_000, 100_000),
        unconfirmed_wal_bytes_max: dice.from(100, 3_000),
        revoke_deadline: Duration::from_secs(10),
        unacked_age_max: Duration::from_secs(dice.from(1, 6)),
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let bounds = bounds(&mut dice);
        let unrest = if dice.in_hundred(50) { dice.below(3) } else { dice.from(3, 15) };
        let (names, stuck) = (dice.from(1, NAMES), dice.below(2 * NAMES));
        let row = Row { generation: 1, confirmed: Lsn(0), consumer_version: 0 };
        Self {
            dice,
            now: Instant::now(),
            bounds,
            real: Subscription::new(bounds, row.generation, row.confirmed, row.consumer_version),
            reference: Reference::new(bounds, row.generation, row.confirmed, History::default()),
            wal: Wal::default(),
            row,
            peers: BTreeMap::new(),
            ended: Vec::new(),
            unrest,
            names,
            stuck,
        }
    }

    /// One thing happens.
    pub(super) fn step(&mut self) {
        let name = self.dice.below(self.names);
        if self.dice.in_hundred(self.unrest) {
            self.upset(name);
        } else {
            self.work(name);
        }
        self.check();
    }

    fn work(&mut self, name: u64) {
        match self.dice.below(100) {
            0..20 => self.read(),
            20..23 => self.keepalive(),
            23..28 => self.come_back(name),
            28..42 => self.credit(name),
            42..62 => self.send(name),
            62..82 => self.ack(name),
            82..88 => self.release(name),
            88..91 => self.store(),
            _ => self.pass_time(),
        }
    }

    fn upset(&mut self, name: u64) {
        match self.dice.below(24) {
            0..4 => self.connect(name),
            4..7 => self.disconnect(name),
            7..9 => self.crash_of(name),
            9..11 => self.freeze(name),
            11..16 => self.ack_wrongly(name),
            16..19 => self.drain(name),
            19..23 => self.act_on_ended_stream(),
            _ => self.crash_of_capture(),
        }
    }

    /// What consumers were told may be told, and what is shown is so.
    fn check(&mut self) {
        self.reference.take_assignments(&self.real, self.now);
        self.reference.compare(&self.real);
    }

    // PostgreSQL and its reader.

    /// The reader reads on, unless it must wait.
    fn read(&mut self) {
        if self.wal.is_read() {
            self.wal.write(&mut self.dice);
        }
        if self.real.may_read(self.wal.is_in_transaction()) {
            self.read_on();
        }
    }

    fn read_on(&mut self) {
        match self.wal.read(self.dice.from(1, 6) as usize) {
            Some(Read::Items(items)) => {
                self.reference.push(&items);
                self.real.push(items, self.now);
            }
            Some(Read::Commit(end)) => {
                self.real.commit(end, self.now);
                self.reference.commit(end);
            }
            None => {}
        }
    }

    fn keepalive(&mut self) {
        if self.wal.is_read() {
            let lsn = self.wal.write_elsewhere();
            self.real.keepalive(lsn);
            self.reference.keepalive(lsn);
        }
    }

    /// The row is written, and the slot told: what lies before is gone from the WAL.
    fn store(&mut self) {
        let confirmed = self.real.confirmed();
        assert!(confirmed >= self.row.confirmed, "what is confirmed moves back");
        for written in self.wal.written.iter().filter(|written| written.end <= confirmed) {
            assert!(self.reference.is_durable(written), "{} is confirmed, and not durable", written.end);
        }
        self.row.confirmed = confirmed;
    }

    /// kill -9. Another capture goes on from what is stored; consumers lose their streams, not their minds.
    fn crash_of_capture(&mut self) {
        self.row.generation += self.dice.from(1, 3);
        let Row { generation, confirmed, consumer_version } = self.row;
        self.real = Subscription::new(self.bounds, generation, confirmed, consumer_version);
        let history = std::mem::take(&mut self.reference.history);
        self.reference = Reference::new(self.bounds, generation, confirmed, history);
        self.wal.begin_after(confirmed, self.dice.index(3));
        self.peers.values_mut().for_each(Peer::disconnected);
        self.ended.clear();
    }

    // Time.

    /// Time passes, a moment or minutes. Then each session looks at the clock.
    fn pass_time(&mut self) {
        let passed_ms = match self.dice.below(60) {
            0 => 60_000,
            1 => 16_000,
            2 => 10_000,
            3..30 => self.dice.from(100, 2_000),
            _ => self.dice.from(1, 200),
        };
        self.now += Duration::from_millis(passed_ms);
        for name in 0..NAMES {
            let Some(peer) = self.peers.get_mut(&name) else { continue };
            if !peer.is_frozen {
                peer.beat_at = self.now;
            } else if peer.stream.is_some() && self.now - peer.beat_at > LEASE {
                self.disconnect(name);
                self.check();
            }
        }
        self.real.tick(self.now);
        self.reference.expire(self.now);
        self.check();
        for name in 0..NAMES {
            let Some(key) = self.stream(name) else { continue };
            self.real.progress(key);
            self.reference.check_progress(&self.real, key);
            if self.real.is_stuck(key) {
                self.disconnect(name);
                self.check();
            }
        }
    }

    // The end.

    /// All consumers are gone but one that works: everything becomes durable, and all is confirmed.
    pub(super) fn settle_everything(&mut self) {
        for name in 0..NAMES {
            self.crash_of(name);
            self.check();
        }
        self.connect(NAMES);
        self.check();
        let key = self.stream(NAMES).expect("it has come");
        self.give_credit(key, 1 << 32, 1 << 40);
        let (mut read, mut unacked) = (self.wal.is_read(), self.real.unacked());
        for _ in 0..ROUNDS_MAX {
            if read && unacked == Unacked::default() {
                break;
            }
            while !self.wal.is_read() && self.real.may_read(self.wal.is_in_transaction()) {
                self.read_on();
                self.check();
            }
            self.send_all(NAMES);
            self.ack_all(NAMES);
            self.check();
            (read, unacked) = (self.wal.is_read(), self.real.unacked());
        }
        assert_eq!((read, unacked), (true, Unacked::default()), "what was committed does not become durable");
        self.store();
        let last = self.wal.written.last().map(|written| written.end);
        assert!(
            last.is_none_or(|last| self.row.confirmed >= last),
            "everything is settled, and not confirmed"
        );
    }
}
