//! Which letters are sent next: the oldest ones, in the order of their events.

use std::collections::BinaryHeap;

use twinroute_common::dead_letter::LetterName;

/// A letter that is to be sent again. Ordered as its events are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Planned {
    /// CloudEvents `sequence`: sorts as text as the changes were made.
    pub(super) sequence: String,
    /// When it was given up: tells the order of several events of one change.
    pub(super) dead_letter_time: String,
    /// Name of the letter.
    pub(super) name: LetterName,
    /// The partition of its ordering key.
    pub(super) partition: u32,
    /// Size of the letter in bytes.
    pub(super) bytes: u64,
}

/// The oldest letters of those that were found.
#[derive(Debug)]
pub(super) struct Plan {
    letters: BinaryHeap<Planned>,
    letters_max: usize,
    is_cut: bool,
}

impl Plan {
    /// Keeps at most `letters_max`.
    pub(super) fn new(letters_max: usize) -> Self {
        Self { letters: BinaryHeap::new(), letters_max, is_cut: false }
    }

    /// Takes a letter in, and lets go of the newest one when there are too many.
    pub(super) fn add(&mut self, letter: Planned) {
        self.letters.push(letter);
        if self.letters.len() > self.letters_max {
            self.letters.pop();
            self.is_cut = true;
        }
    }

    /// The letters in order, and whether there are more behind them.
    pub(super) fn into_order(self) -> (Vec<Planned>, bool) {
        (self.letters.into_sorted_vec(), self.is_cut)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_oldest_letters_come_in_the_order_of_their_events() {
        let letter = |number: u128| Planned {
            // Two of one change have one sequence.
            sequence: format!("{:04}", number / 2),
            dead_letter_time: format!("{number:04}"),
            // The ids run against the order.
            name: LetterName::new(Timestamp::UNIX_EPOCH, Uuid::from_u128(100 - number)),
            partition: 0,
            bytes: 1,
        };
        let mut plan = Plan::new(3);
        [4, 1, 5, 2, 3].map(letter).into_iter().for_each(|letter| plan.add(letter));
        assert_eq!(plan.into_order(), ([1, 2, 3].map(letter).to_vec(), true));
    }
}
