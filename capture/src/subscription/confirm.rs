//! Which LSN may be confirmed: the end of the last transaction before the oldest that has an un-acknowledged item.

use std::collections::VecDeque;
use std::time::Instant;

use twinroute_common::lsn::Lsn;

/// Unsettled transactions at which reading stops, each of which takes a few words: one item that is not acknowledged holds
/// all that follow, however soon they are settled themselves.
const TRANSACTIONS_MAX: usize = 131_072;

/// The transactions that are not settled, oldest first. What may be confirmed never goes back, and never passes an item
/// that is not acknowledged.
#[derive(Debug)]
pub(super) struct Transactions {
    unsettled: VecDeque<Transaction>,
    /// Number of the first one in `unsettled`.
    first: u64,
    confirmed: Lsn,
    settled: u64,
}

#[derive(Debug)]
struct Transaction {
    had_items: bool,
    unacked_items: usize,
    /// Where it ends; `None` while it is open.
    end: Option<Lsn>,
    read_at: Instant,
}

impl Transactions {
    pub(super) fn new(confirmed: Lsn) -> Self {
        Self { unsettled: VecDeque::new(), first: 0, confirmed, settled: 0 }
    }

    /// What may be confirmed.
    pub(super) fn confirmed(&self) -> Lsn {
        self.confirmed
    }

    /// Number of transactions with items that were settled.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Counts items of the open transaction, and gives its number.
    pub(super) fn add_items(&mut self, items: usize, now: Instant) -> u64 {
        let open = self.unsettled.back().is_some_and(|last| last.end.is_none());
        if !open {
            self.unsettled.push_back(Transaction {
                had_items: false,
                unacked_items: 0,
                end: None,
                read_at: now,
            });
        }
        if let Some(last) = self.unsettled.back_mut() {
            last.unacked_items += items;
            last.had_items |= items > 0;
        }
        self.first + self.unsettled.len() as u64 - 1
    }

    /// The open transaction, perhaps one without items, ends at `end`. One without items is settled with the one before
    /// it, so that any number of them takes no room.
    pub(super) fn commit(&mut self, end: Lsn, now: Instant) {
        self.add_items(0, now);
        let is_empty = self.unsettled.back().is_some_and(|last| !last.had_items);
        if is_empty && self.unsettled.len() > 1 {
            self.unsettled.pop_back();
        }
        if let Some(last) = self.unsettled.back_mut() {
            last.end = Some(end);
        }
        self.advance();
    }

    /// There is room for another transaction.
    pub(super) fn has_room(&self) -> bool {
        self.unsettled.len() < TRANSACTIONS_MAX
    }

    /// An item of a transaction is acknowledged.
    pub(super) fn settle_item(&mut self, transaction: u64) {
        let index = usize::try_from(transaction - self.first).ok();
        let transaction = index.and_then(|index| self.unsettled.get_mut(index));
        debug_assert!(transaction.as_ref().is_some_and(|one| one.unacked_items > 0), "settled twice");
        if let Some(transaction) = transaction {
            transaction.unacked_items = transaction.unacked_items.saturating_sub(1);
        }
    }

    /// Moves on over what is settled.
    pub(super) fn advance(&mut self) {
        while let Some(&Transaction { unacked_items: 0, end: Some(end), had_items, .. }) =
            self.unsettled.front()
        {
            self.confirmed = self.confirmed.max(end);
            self.settled += u64::from(had_items);
            self.unsettled.pop_front();
            self.first += 1;
        }
    }

    /// The server says that the WAL has come to `lsn`, and nothing is open or buffered in the decoder.
    pub(super) fn keepalive(&mut self, lsn: Lsn) {
        if self.unsettled.is_empty() {
            self.confirmed = self.confirmed.max(lsn);
        }
    }

    /// When a transaction that is not settled was read.
    pub(super) fn read_at(&self, transaction: u64) -> Option<Instant> {
        let index = usize::try_from(transaction.checked_sub(self.first)?).ok()?;
        self.unsettled.get(index).map(|one| one.read_at)
    }

    /// When the oldest transaction that is not settled was read.
    pub(super) fn oldest_read_at(&self) -> Option<Instant> {
        self.unsettled.front().map(|oldest| oldest.read_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_confirmed_past_an_item_that_is_not_acknowledged() {
        // given two transactions with items and an empty one between them
        let now = Instant::now();
        let mut transactions = Transactions::new(Lsn(10));
        let first = transactions.add_items(2, now);
        transactions.commit(Lsn(20), now);
        transactions.commit(Lsn(30), now);
        let third = transactions.add_items(1, now);
        transactions.commit(Lsn(40), now);

        // when the later one is settled first, then half of the first
        transactions.settle_item(third);
        transactions.settle_item(first);
        transactions.advance();
        transactions.keepalive(Lsn(50));

        // then nothing moves
        assert_eq!(transactions.confirmed(), Lsn(10));

        // when the first is settled whole, then all is
        transactions.settle_item(first);
        transactions.advance();
        assert_eq!(transactions.confirmed(), Lsn(40));
        transactions.keepalive(Lsn(50));
        assert_eq!(transactions.confirmed(), Lsn(50));
    }

    #[test]
    fn an_open_transaction_is_not_confirmed() {
        let now = Instant::now();
        let mut transactions = Transactions::new(Lsn(10));
        let open = transactions.add_items(1, now);
        transactions.settle_item(open);
        transactions.advance();
        transactions.keepalive(Lsn(99));
        assert_eq!(transactions.confirmed(), Lsn(10));
        transactions.commit(Lsn(20), now);
        assert_eq!(transactions.confirmed(), Lsn(20));
    }

    #[test]
    fn transactions_are_bounded_and_those_without_items_take_no_room() {
        // given an item that is not acknowledged
        let now = Instant::now();
        let mut transactions = Transactions::new(Lsn(10));
        let first = transactions.add_items(1, now);
        transactions.commit(Lsn(20), now);
        // when many transactions without items follow, there is room
        let last = Lsn(20 + 2 * TRANSACTIONS_MAX as u64);
        for end in 21..=last.0 {
            transactions.commit(Lsn(end), now);
        }
        assert!(transactions.has_room());
        // and they are settled with it
        transactions.settle_item(first);
        transactions.advance();
        assert_eq!(transactions.confirmed(), last);

        // when as many with items follow, there is none
        for _ in 0..TRANSACTIONS_MAX {
            assert!(transactions.has_room());
            transactions.add_items(1, now);
            transactions.commit(last, now);
        }
        assert!(!transactions.has_room());
    }
}
