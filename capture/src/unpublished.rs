//! Word of rows that never were in the stream: a label that was written to before it was in the publication.
//!
//! Whoever publishes such a label leaves a logical message in the WAL, in the same transaction. So the word stands in the
//! stream exactly where the label's rows begin, comes as often as they do, and to every subscription.

use serde::{Deserialize, Serialize};
use twinroute_common::event::Discontinuity;
use twinroute_common::lsn::Lsn;
use twinroute_common::position::Position;

use crate::gap::boundary;

/// Prefix of the messages, by which they are told from those of others.
pub const PREFIX: &str = "twinroute/unpublished";

/// The content of a message, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpublished {
    /// Name of the graph.
    pub graph: String,
    /// Name of the label.
    pub label: String,
    /// Up to here nothing is missing; `None` when nobody has looked before.
    pub since: Option<Lsn>,
}

impl Unpublished {
    /// What a message says; `None` when this version cannot read it.
    #[must_use]
    pub fn read(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }
}

/// What consumers are told at the message's position; of a message that cannot be read, what is known without it.
#[must_use]
pub fn item(unpublished: Option<&Unpublished>, position: Position) -> Discontinuity {
    let since = unpublished.and_then(|one| one.since).filter(|since| *since < position.commit_lsn);
    let label =
        unpublished.map_or_else(|| "a label".to_owned(), |one| format!("{}.{}", one.graph, one.label));
    let from = since.map_or_else(String::new, |since| format!("after {since} and "));
    let before = position.commit_lsn;
    Discontinuity {
        position,
        last_known: since.map(|since| boundary(position.incarnation, since)),
        first_new: Some(position),
        reason: format!(
            "{label} was written to before it was in the publication: its changes that were committed {from}before \
             {before} may be missing"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position =
        Position { incarnation: 7, commit_lsn: Lsn(0x90), change_lsn: Lsn(0x80), ordinal: 0 };

    fn unpublished(since: Option<Lsn>) -> Unpublished {
        Unpublished { graph: "twins".to_owned(), label: "Room".to_owned(), since }
    }

    #[test]
    fn consumers_are_told_the_table_and_between_which_positions() {
        let gap = item(Some(&unpublished(Some(Lsn(0x40)))), AT);
        assert_eq!(gap.position, AT);
        assert_eq!((gap.last_known, gap.first_new), (Some(boundary(7, Lsn(0x40))), Some(AT)));
        let words = "twins.Room was written to before it was in the publication: its changes that were committed after 0/40 \
                     and before 0/90 may be missing";
        assert_eq!(gap.reason, words);
    }

    #[test]
    fn where_nobody_has_looked_before_nothing_is_invented() {
        for since in [None, Some(Lsn(0x90))] {
            let gap = item(Some(&unpublished(since)), AT);
            assert_eq!((gap.last_known, gap.first_new), (None, Some(AT)));
            assert!(gap.reason.ends_with("that were committed before 0/90 may be missing"), "{}", gap.reason);
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for since in [None, Some(Lsn(1))] {
            let written = serde_json::to_vec(&unpublished(since)).unwrap();
            assert_eq!(Unpublished::read(&written), Some(unpublished(since)));
        }
        // and of what cannot, all is told that is known
        assert_eq!(Unpublished::read(b"{}"), None);
        assert!(item(None, AT).reason.starts_with("a label was written to"));
    }
}
