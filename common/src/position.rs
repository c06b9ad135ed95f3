//! Where an event stands in the stream of its source.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;

/// A place in the stream, ordered by its fields in the order given. Decoding the same WAL twice gives the same positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Raised whenever changes may be gone and LSNs may go back.
    pub incarnation: u64,
    /// LSN of the transaction's commit record.
    pub commit_lsn: Lsn,
    /// LSN at which the row's message starts; rows of one statement may share it.
    pub change_lsn: Lsn,
    /// 2 × the row's index among the rows with this `change_lsn`, plus 1 for the second event of one row.
    pub ordinal: u32,
}

impl Position {
    /// The CloudEvents attribute `sequence`: fixed-width hexadecimal, so that it sorts as text as positions do.
    #[must_use]
    pub fn sequence(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { incarnation, commit_lsn, change_lsn, ordinal } = self;
        write!(f, "{incarnation:016x}{:016x}{:016x}{ordinal:08x}", commit_lsn.0, change_lsn.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_sort_as_positions_do() {
        let position = |incarnation, commit, change, ordinal| Position {
            incarnation,
            commit_lsn: Lsn(commit),
            change_lsn: Lsn(change),
            ordinal,
        };
        let ascending = [
            position(1, 0x10, 0x08, 0),
            position(1, 0x10, 0x08, 2),
            position(1, 0x10, 0x08, 11),
            position(1, 0x10, 0x0f, 0),
            position(1, 0x1_0000_0000, 0x01, 0),
            position(2, 0x01, 0x01, 0),
        ];
        assert!(ascending.is_sorted());
        assert!(ascending.map(|position| position.sequence()).is_sorted());
    }
}
