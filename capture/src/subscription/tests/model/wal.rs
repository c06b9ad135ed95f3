//! What PostgreSQL has: transactions that can be read again from any confirmed position on.

use bytes::Bytes;
use twinroute_common::event::PoisonEvent;

use super::*;

/// Bytes of WAL from a commit record to the end of its transaction.
const COMMIT_BYTES: u64 = 8;

/// A committed transaction. Decoding it again gives the same items.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) items: Vec<Item>,
    pub(super) end: Lsn,
}

/// The WAL, and how far a capture has read it.
#[derive(Debug, Default)]
pub(super) struct Wal {
    pub(super) written: Vec<Written>,
    end: u64,
    /// The transaction that is read next, and how many of its items are.
    next: (usize, usize),
}

/// What is read next.
#[derive(Debug)]
pub(super) enum Read {
    Items(Vec<Item>),
    Commit(Lsn),
}

impl Wal {
    /// A transaction is committed.
    pub(super) fn write(&mut self, dice: &mut Dice) {
        let items = match dice.below(20) {
            0 => 0,
            1 => dice.from(10, 30),
            _ => dice.from(1, 5),
        };
        let first = self.end + 1;
        let commit_lsn = first + items;
        let item = |change_lsn| item(dice, Lsn(commit_lsn), Lsn(change_lsn));
        let items = (first..commit_lsn).map(item).collect();
        self.end = commit_lsn + COMMIT_BYTES;
        self.written.push(Written { items, end: Lsn(self.end) });
    }

    /// Others write what is nothing to capture.
    pub(super) fn write_elsewhere(&mut self) -> Lsn {
        self.end += COMMIT_BYTES;
        Lsn(self.end)
    }

    /// Everything is read.
    pub(super) fn is_read(&self) -> bool {
        self.next.0 == self.written.len()
    }

    /// The end of a transaction is still to be read.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.next.1 > 0
    }

    /// Up to `items_max` items of one transaction, or its end.
    pub(super) fn read(&mut self, items_max: usize) -> Option<Read> {
        let (number, read) = self.next;
        let transaction = self.written.get(number)?;
        let items: Vec<Item> = transaction.items.iter().skip(read).take(items_max).cloned().collect();
        if items.is_empty() {
            self.next = (number + 1, 0);
            return Some(Read::Commit(transaction.end));
        }
        self.next.1 += items.len();
        Some(Read::Items(items))
    }

    /// A capture begins anew behind what is confirmed. The server may send some of what was confirmed `again`.
    pub(super) fn begin_after(&mut self, confirmed: Lsn, again: usize) {
        let next = self.written.partition_point(|transaction| transaction.end <= confirmed);
        self.next = (next.saturating_sub(again), 0);
    }
}

fn item(dice: &mut Dice, commit_lsn: Lsn, change_lsn: Lsn) -> Item {
    let position = Position { incarnation: 1, commit_lsn, change_lsn, ordinal: 0 };
    let key = format!("key-{}", dice.below(24));
    match dice.below(40) {
        0 => Item::Discontinuity(Discontinuity {
            position,
            last_known: None,
            first_new: None,
            reason: "a table was truncated".to_owned(),
        }),
        1 => Item::Poison(PoisonEvent {
            position,
            graph: String::new(),
            label: String::new(),
            ordering_key: key,
            reason: String::new(),
            raw: Bytes::new(),
            raw_size_bytes: 0,
            commit_time_us: 0,
            xid: 0,
        }),
        large => {
            let size = if large == 2 { dice.from(1_000, 4_000) } else { dice.below(300) };
            let Item::Event(event) = event(&key, 0) else { unreachable!("it makes events") };
            Item::Event(EventData { position, new: Some(vec![b' '; size as usize].into()), ..event })
        }
    }
}
