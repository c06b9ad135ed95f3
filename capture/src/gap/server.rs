//! Which WAL a server has: its own timeline up to the end, and each ancestor's up to the point where it was left.

use twinroute_common::lsn::Lsn;
use twinroute_common::position::Position;

/// A server, as it was when the connection was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its system identifier.
    pub system_identifier: String,
    /// Its timeline.
    pub timeline: u32,
    /// How far its WAL is flushed.
    pub wal_end: Lsn,
    /// The timelines that it comes from, each with the point where it was left.
    pub branches: Vec<(u32, Lsn)>,
}

impl Server {
    /// How far the server has the WAL of a timeline; zero when it does not come from that timeline.
    #[must_use]
    pub fn end_of(&self, timeline: u32) -> Lsn {
        let branch = self.branches.iter().find(|(ancestor, _)| *ancestor == timeline);
        if timeline == self.timeline { self.wal_end } else { branch.map_or(Lsn::ZERO, |(_, end)| *end) }
    }

    /// Why what stands at `position` of `timeline` is not there; `None` when it is.
    #[must_use]
    pub fn lack(&self, timeline: u32, position: Position) -> Option<String> {
        let own = self.timeline;
        let branch = self.branches.iter().find(|(ancestor, _)| *ancestor == timeline);
        let (end, place) = match branch {
            _ if timeline == own => (self.wal_end, format!("this server's WAL ends at {}", self.wal_end)),
            Some((_, end)) => {
                (*end, format!("this server's timeline {own} left timeline {timeline} at {end}"))
            }
            None => {
                return Some(format!("this server's timeline {own} does not come from timeline {timeline}"));
            }
        };
        (reach(position) > end).then_some(place)
    }
}

/// How far the WAL goes at least that has this position. The LSN of a change is where its commit record begins.
fn reach(position: Position) -> Lsn {
    let is_boundary = position.change_lsn == Lsn::ZERO;
    if is_boundary { position.commit_lsn } else { Lsn(position.commit_lsn.0.saturating_add(1)) }
}

/// Reads a timeline history file (PostgreSQL manual, `TIMELINE_HISTORY`): per line an ancestor, the LSN where it was
/// left, and why. Comments and empty lines are skipped; `None` when a line is neither.
#[must_use]
pub fn branches(history: &str) -> Option<Vec<(u32, Lsn)>> {
    let lines = history.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut columns = line.split_whitespace();
            Some((columns.next()?.parse().ok()?, columns.next()?.parse().ok()?))
        })
        .collect()
}
