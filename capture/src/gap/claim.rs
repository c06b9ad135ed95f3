//! What a consumer says that it remembers and nobody can: refused, so that a mistake of a consumer stops nothing.

use twinroute_common::position::Position;

use super::Server;

/// How far the clock of a server that gave out an incarnation may have been ahead of ours, in milliseconds: a day.
const CLOCK_AHEAD_MAX_MS: u64 = 86_400_000;

/// Each promotion of a standby begins a timeline; this many that the server has not seen are nobody's memory.
const TIMELINES_AHEAD_MAX: u32 = 1_000;

/// Why no capture can have sent this; `None` when one may have. `incarnation` is the subscription's, `now_ms` Unix time in
/// milliseconds. What one may have sent and the server lacks is a gap (`of_last_seen`).
#[must_use]
pub fn impossible(
    incarnation: u64,
    server: &Server,
    timeline: u32,
    seen: Position,
    now_ms: u64,
) -> Option<String> {
    // An incarnation is the time when it began, or one more than the former.
    if seen.incarnation > incarnation && seen.incarnation > now_ms.saturating_add(CLOCK_AHEAD_MAX_MS) {
        return Some(format!("incarnation {} has not begun yet", seen.incarnation));
    }
    if timeline.saturating_sub(server.timeline) > TIMELINES_AHEAD_MAX {
        return Some(format!("timeline {timeline}, and the server is on timeline {}", server.timeline));
    }
    (seen.change_lsn > seen.commit_lsn)
        .then(|| format!("a change at {} of a commit at {}", seen.change_lsn, seen.commit_lsn))
}

#[cfg(test)]
mod tests {
    use twinroute_common::lsn::Lsn;

    use super::*;

    #[test]
    fn what_no_capture_can_have_sent_is_told_from_what_one_may_have() {
        let now_ms = 1_000_000_000;
        let server = Server {
            system_identifier: "7".to_owned(),
            timeline: 2,
            wal_end: Lsn(200),
            branches: vec![(1, Lsn(50))],
        };
        let seen = |incarnation, commit, change| Position {
            incarnation,
            commit_lsn: Lsn(commit),
            change_lsn: Lsn(change),
            ordinal: 0,
        };
        let cases = [
            ("what the server has", 2, seen(700, 100, 90), false),
            ("more than the server has", 2, seen(700, 10_000, 9_000), false),
            ("an incarnation that the database forgot", 2, seen(now_ms, 100, 90), false),
            ("of a server whose clock is ahead", 2, seen(now_ms + 60_000, 100, 90), false),
            ("a former primary's next timeline", 3, seen(700, 100, 90), false),
            ("an incarnation of the year after next", 2, seen(now_ms + (2 << 35), 100, 90), true),
            ("the largest incarnation", 2, seen(u64::MAX, 100, 90), true),
            ("a timeline of nowhere", u32::MAX, seen(700, 100, 90), true),
            ("a change behind its commit", 2, seen(700, 90, 100), true),
        ];
        for (case, timeline, position, expected) in cases {
            let refused = impossible(700, &server, timeline, position, now_ms);
            assert_eq!(refused.is_some(), expected, "{case}: {refused:?}");
        }
        // and a subscription whose incarnation is ahead of our clock itself is believed
        assert_eq!(impossible(u64::MAX, &server, 2, seen(u64::MAX, 100, 90), now_ms), None);
    }
}
