//! Whether PostgreSQL still has all that a subscription needs: what is remembered against what the server shows.
//!
//! Pure. A gap that was found is stored and stays until somebody accepts it; nothing else ends it.

mod claim;
mod server;

use serde::{Deserialize, Serialize};
use twinroute_common::event::Discontinuity;
use twinroute_common::lsn::Lsn;
use twinroute_common::position::Position;

pub use self::claim::impossible;
pub use self::server::{Server, branches};
use crate::postgres::row::SubscriptionRow;
use crate::postgres::slot::SlotView;

/// What happened to the WAL that was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The replication slot does not exist.
    SlotGone,
    /// PostgreSQL has invalidated the slot.
    SlotInvalidated,
    /// Somebody else has moved the slot over what was not settled.
    SlotMoved,
    /// What was settled or sent does not exist on this server: it was restored to an earlier time, or it took over
    /// without all WAL.
    WentBack,
    /// The server is another database cluster.
    OtherServer,
    /// The slot held back more WAL than the subscription may, and so capture itself dropped it.
    Dropped,
}

impl Cause {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::SlotGone,
        Self::SlotInvalidated,
        Self::SlotMoved,
        Self::WentBack,
        Self::OtherServer,
        Self::Dropped,
    ];

    /// As metrics name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SlotGone => "slot_gone",
            Self::SlotInvalidated => "slot_invalidated",
            Self::SlotMoved => "slot_moved",
            Self::WentBack => "went_back",
            Self::OtherServer => "other_server",
            Self::Dropped => "dropped",
        }
    }

    /// What keeps it from happening again.
    #[must_use]
    pub fn prevention(self) -> &'static str {
        match self {
            Self::SlotGone => {
                "nobody but capture may drop the slot, and a failover needs a slot that was synchronised"
            }
            Self::SlotInvalidated => {
                "raise max_slot_wal_keep_size, or see why the consumers were so far behind"
            }
            Self::SlotMoved => "nobody but capture may read or advance the slot",
            Self::WentBack => "name the standbys in synchronized_standby_slots before the next failover",
            Self::OtherServer => {
                "point postgres.url at the server that the subscription belongs to, if this is not it"
            }
            Self::Dropped => {
                "see why its consumers were so far behind; or delete it, and create it with a larger \
                 wal_retained_bytes_max or retention_policy REPORT"
            }
        }
    }
}

/// Changes may be missing. Stored with the subscription until it is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// What happened.
    pub cause: Cause,
    /// The last position that is known to have been streamed, or settled; who accepts the gap names it.
    pub at: Position,
    /// What was found, for people.
    pub reason: String,
}

/// A gap that somebody has accepted, and not every consumer has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedGap {
    /// The last position that is known to have been streamed.
    pub last_known: Position,
    /// Where the stream goes on.
    pub first_new: Position,
    /// Why, for people.
    pub reason: String,
}

impl AcceptedGap {
    /// What consumers are told. It stands where the stream goes on, in front of all that follows.
    #[must_use]
    pub fn item(&self) -> Discontinuity {
        Discontinuity {
            position: self.first_new,
            last_known: Some(self.last_known),
            first_new: Some(self.first_new),
            reason: self.reason.clone(),
        }
    }
}

/// What the subscription's row says of gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// Found, and not accepted: the subscription is stopped.
    pub found: Option<Gap>,
    /// Accepted, and not acknowledged by every partition's holder.
    pub accepted: Option<AcceptedGap>,
}

impl Gaps {
    /// The gap that was found is accepted: the stream goes on at `first_new`. Consumers that have not heard of an earlier
    /// one are told of both as one.
    #[must_use]
    pub fn accept(&self, gap: &Gap, first_new: Position) -> AcceptedGap {
        match &self.accepted {
            None => AcceptedGap { last_known: gap.at, first_new, reason: gap.reason.clone() },
            Some(earlier) => AcceptedGap {
                last_known: earlier.last_known,
                first_new,
                reason: format!("{}; then: {}", earlier.reason, gap.reason),
            },
        }
    }
}

/// What this process remembers of the stream that it ran last. It survives what happens to the database, and so knows
/// what the row on a server that went back does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// System identifier of the server.
    pub system_identifier: String,
    /// The server's timeline.
    pub timeline: u32,
    /// Incarnation of the positions.
    pub incarnation: u64,
    /// Number of this process's last run, which was stored.
    pub generation: u64,
    /// What was settled.
    pub confirmed: Lsn,
    /// The last change that was sent to a consumer.
    pub sent: Option<Position>,
}

impl Memory {
    /// The last position that is known to have been streamed.
    #[must_use]
    pub fn last_known(&self) -> Position {
        self.sent.unwrap_or_else(|| boundary(self.incarnation, self.confirmed))
    }
}

/// The position after all that ends at `lsn`, and in front of all that follows.
#[must_use]
pub fn boundary(incarnation: u64, lsn: Lsn) -> Position {
    Position { incarnation, commit_lsn: lsn, change_lsn: Lsn::ZERO, ordinal: 0 }
}

/// Finds what is missing for a row that exists, before this process has written to it; the deepest cause where there are
/// several.
#[must_use]
pub fn find(
    row: &SubscriptionRow,
    memory: Option<&Memory>,
    server: &Server,
    slot: Option<&SlotView>,
) -> Option<Gap> {
    let settled = boundary(row.incarnation, row.confirmed);
    // Another capture has accepted a gap since, and told the consumers.
    let memory = memory.filter(|memory| memory.incarnation >= row.incarnation);
    let found = |cause, at, reason| Some(Gap { cause, at, reason });
    let known = [Some(&row.system_identifier), memory.map(|memory| &memory.system_identifier)];
    if let Some(other) = known.into_iter().flatten().find(|known| **known != server.system_identifier) {
        let at = memory.map_or(settled, Memory::last_known);
        let here = &server.system_identifier;
        let reason =
            format!("the subscription belongs to system identifier {other}, and this server has {here}");
        return found(Cause::OtherServer, at, reason);
    }
    if let Some((at, reason)) = memory.and_then(|memory| forgotten(memory, row, server)) {
        return found(Cause::WentBack, at, reason);
    }
    if let Some(lack) = server.lack(row.timeline, settled) {
        return found(Cause::WentBack, settled, format!("{} was settled, and {lack}", row.confirmed));
    }
    let name = &row.slot;
    let Some(slot) = slot else {
        return found(Cause::SlotGone, settled, format!("the replication slot {name} is gone"));
    };
    if slot.is_lost() {
        let why =
            if slot.invalidation_reason.is_empty() { &slot.wal_status } else { &slot.invalidation_reason };
        let reason = format!("the replication slot {name} is invalidated: {why}");
        return found(Cause::SlotInvalidated, settled, reason);
    }
    // Capture stores the row before it tells the slot. A standby that took over may have got the slot and not the row.
    let told = if server.timeline == row.timeline { Lsn::ZERO } else { server.end_of(row.timeline) };
    let confirmed = memory.map_or(row.confirmed, |memory| memory.confirmed.max(row.confirmed));
    if slot.confirmed_flush_lsn > confirmed.max(told) {
        let moved = slot.confirmed_flush_lsn;
        let reason = format!("the replication slot {name} was moved to {moved}, and {confirmed} was settled");
        return found(Cause::SlotMoved, boundary(row.incarnation, confirmed), reason);
    }
    None
}

/// The slot holds back more WAL than it may, and is to be dropped for it. `settled` is all that the subscription has had.
#[must_use]
pub fn dropped(why: &str, settled: Position) -> Gap {
    Gap { cause: Cause::Dropped, at: settled, reason: format!("{why}, and was dropped") }
}

/// What is settled, where [`find`] finds nothing: the furthest that the row, the slot and this process know. Each may know
/// more than the others after a server was lost.
#[must_use]
pub fn settled(
    row: &SubscriptionRow,
    memory: Option<&Memory>,
    server: &Server,
    slot: Option<&SlotView>,
) -> Lsn {
    let told = slot.map_or(Lsn::ZERO, |slot| slot.confirmed_flush_lsn);
    let memory = memory.filter(|memory| memory.incarnation == row.incarnation);
    // On a timeline that went back the same LSNs are of other changes.
    let memory = memory.filter(|it| it.timeline != server.timeline || it.generation <= row.generation);
    // A report that WAL without changes was read may have gone further than a standby that took over.
    let known = memory.map_or(Lsn::ZERO, |memory| memory.confirmed.min(server.end_of(memory.timeline)));
    row.confirmed.max(told).max(known)
}

/// What this process did, and the server does not know.
fn forgotten(memory: &Memory, row: &SubscriptionRow, server: &Server) -> Option<(Position, String)> {
    let at = memory.last_known();
    if let Some(lack) = memory.sent.and_then(|sent| server.lack(memory.timeline, sent)) {
        return Some((at, format!("changes up to {} were sent, and {lack}", at.commit_lsn)));
    }
    // On one timeline nothing that was committed goes away, except by a restore; new WAL may hide it by now.
    let is_older = row.incarnation < memory.incarnation || row.generation < memory.generation;
    (is_older && server.timeline == memory.timeline && memory.sent.is_some()).then(|| {
        let (known, here) = (memory.generation, row.generation);
        (at, format!("the database was restored to an earlier time: it knows generation {here}, and {known} has run"))
    })
}

/// The incarnation after `known`: higher than any before, also where the database forgot some.
#[must_use]
pub fn next_incarnation(known: u64, now_ms: u64) -> u64 {
    known.saturating_add(1).max(now_ms)
}

/// What a consumer remembers, and the server does not have. A position of another incarnation lies on the other side of
/// a gap; only a later one tells something: that the database forgot it.
#[must_use]
pub fn of_last_seen(
    incarnation: u64,
    server: &Server,
    received: Lsn,
    timeline: u32,
    seen: Position,
) -> Option<Gap> {
    let found = |reason| Some(Gap { cause: Cause::WentBack, at: seen, reason });
    if seen.incarnation > incarnation {
        let known = seen.incarnation;
        return found(format!(
            "a consumer has seen incarnation {known}, and the database knows {incarnation}"
        ));
    }
    if seen.incarnation < incarnation {
        return None;
    }
    let server = Server { wal_end: server.wal_end.max(received), ..server.clone() };
    let lack = server.lack(timeline, seen)?;
    found(format!("a consumer has seen {} on timeline {timeline}, and {lack}", seen.commit_lsn))
}

/// Where the stream goes on once `gap` is accepted, with the slot as it is then: nothing that exists is left out.
#[must_use]
pub fn first_new(row: &SubscriptionRow, server: &Server, slot: &SlotView) -> Lsn {
    let settled = boundary(row.incarnation, row.confirmed);
    let is_known =
        row.system_identifier == server.system_identifier && server.lack(row.timeline, settled).is_none();
    if is_known { row.confirmed.max(slot.confirmed_flush_lsn) } else { slot.confirmed_flush_lsn }
}

#[cfg(test)]
mod tests;
