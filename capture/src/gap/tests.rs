//! Tests of the gap decision.

use super::*;
use crate::postgres::options::Options;
use crate::postgres::row::PARTITION_HASH;

const SYSTEM: &str = "7400000000000000001";

/// Where each case stands before it changes something: settled up to 0/64 (100), sent up to 0/78 (120), WAL up to
/// 0/C8 (200), and the slot a little behind.
struct Given {
    row: SubscriptionRow,
    memory: Option<Memory>,
    server: Server,
    slot: Option<SlotView>,
}

fn given() -> Given {
    let row = SubscriptionRow {
        slot: "twinroute_delivery".to_owned(),
        partition_count: 4,
        partition_hash: PARTITION_HASH.to_owned(),
        group_token: String::new(),
        system_identifier: SYSTEM.to_owned(),
        timeline: 2,
        incarnation: 7,
        generation: 40,
        confirmed: Lsn(100),
        consumer_version: 0,
        gaps: Gaps::default(),
        options: Options::default(),
    };
    let memory = Memory {
        system_identifier: SYSTEM.to_owned(),
        timeline: 2,
        incarnation: 7,
        generation: 40,
        confirmed: Lsn(100),
        sent: Some(change(120)),
    };
    let server = Server {
        system_identifier: SYSTEM.to_owned(),
        timeline: 2,
        wal_end: Lsn(200),
        branches: vec![(1, Lsn(50))],
    };
    let slot =
        SlotView { wal_status: "reserved".to_owned(), confirmed_flush_lsn: Lsn(90), ..SlotView::default() };
    Given { row, memory: Some(memory), server, slot: Some(slot) }
}

/// The position of a change whose commit record begins at `commit`.
fn change(commit: u64) -> Position {
    Position { incarnation: 7, commit_lsn: Lsn(commit), change_lsn: Lsn(commit - 8), ordinal: 0 }
}

fn remembered(given: &mut Given, change: impl FnOnce(&mut Memory)) {
    if let Some(memory) = &mut given.memory {
        change(memory);
    }
}

fn slot(given: &mut Given, change: impl FnOnce(&mut SlotView)) {
    if let Some(slot) = &mut given.slot {
        change(slot);
    }
}

/// The server was promoted at `branch`, and has written up to 300 since.
fn promoted(given: &mut Given, branch: u64) {
    given.server.timeline = 3;
    given.server.wal_end = Lsn(300);
    given.server.branches.push((2, Lsn(branch)));
}

/// What is different from what is given.
type Change = fn(&mut Given);
/// What the case is called, what is different, and which gap it is.
type Case = (&'static str, Change, Option<(Cause, Position)>);

/// The position after what is settled.
const SETTLED: Position =
    Position { incarnation: 7, commit_lsn: Lsn(100), change_lsn: Lsn::ZERO, ordinal: 0 };
/// The last position that was sent.
const SENT: Position = Position { incarnation: 7, commit_lsn: Lsn(120), change_lsn: Lsn(112), ordinal: 0 };

fn check(cases: &[Case]) {
    for (case, change, expected) in cases {
        let mut given = given();
        change(&mut given);
        let gap = find(&given.row, given.memory.as_ref(), &given.server, given.slot.as_ref());
        assert_eq!(&gap.as_ref().map(|gap| (gap.cause, gap.at)), expected, "{case}: {gap:?}");
    }
}

#[test]
fn a_slot_that_lags_is_normal_and_one_that_is_lost_or_moved_is_a_gap() {
    check(&[
        ("the slot a little behind the row", |_| {}, None),
        ("the slot at the row", |it| slot(it, |slot| slot.confirmed_flush_lsn = Lsn(100)), None),
        ("a new process", |it| it.memory = None, None),
        (
            "the slot's WAL about to be removed",
            |it| slot(it, |slot| slot.wal_status = "unreserved".into()),
            None,
        ),
        ("the slot gone", |it| it.slot = None, Some((Cause::SlotGone, SETTLED))),
        (
            "the slot lost",
            |it| slot(it, |slot| slot.wal_status = "lost".into()),
            Some((Cause::SlotInvalidated, SETTLED)),
        ),
        (
            "the slot invalidated for another reason",
            |it| slot(it, |slot| slot.invalidation_reason = "wal_level_insufficient".into()),
            Some((Cause::SlotInvalidated, SETTLED)),
        ),
        (
            "the slot moved by one byte",
            |it| slot(it, |slot| slot.confirmed_flush_lsn = Lsn(101)),
            Some((Cause::SlotMoved, SETTLED)),
        ),
        (
            "the slot beyond the row, and not beyond what this process has settled",
            |it| {
                remembered(it, |memory| memory.confirmed = Lsn(110));
                slot(it, |slot| slot.confirmed_flush_lsn = Lsn(110));
            },
            None,
        ),
    ]);
}

#[test]
fn another_cluster_is_a_gap_whatever_it_has() {
    check(&[
        (
            "another cluster, and no slot on it",
            |it| {
                it.server.system_identifier = "8".into();
                it.slot = None;
            },
            Some((Cause::OtherServer, SENT)),
        ),
        (
            "another cluster, found by a new process",
            |it| {
                it.server.system_identifier = "8".into();
                it.memory = None;
            },
            Some((Cause::OtherServer, SETTLED)),
        ),
        (
            "another cluster with a row of its own",
            |it| {
                it.server.system_identifier = "8".into();
                it.row.system_identifier = "8".into();
            },
            Some((Cause::OtherServer, SENT)),
        ),
    ]);
}

#[test]
fn a_server_that_forgot_what_was_settled_or_sent_is_a_gap() {
    check(&[
        ("the WAL ends behind what was sent", |it| it.server.wal_end = Lsn(121), None),
        (
            "the WAL ends where the last commit that was sent begins",
            |it| it.server.wal_end = Lsn(120),
            Some((Cause::WentBack, SENT)),
        ),
        (
            "the row beyond the WAL, found by a new process",
            |it| {
                it.memory = None;
                it.server.wal_end = Lsn(99);
            },
            Some((Cause::WentBack, SETTLED)),
        ),
        (
            "the WAL ends at what is settled",
            |it| {
                it.memory = None;
                it.server.wal_end = Lsn(100);
            },
            None,
        ),
        ("restored, and overtaken by new WAL", |it| it.row.generation = 39, Some((Cause::WentBack, SENT))),
        ("restored to before a gap was accepted", |it| it.row.incarnation = 6, Some((Cause::WentBack, SENT))),
        (
            "restored, and nothing was sent",
            |it| {
                it.row.generation = 39;
                remembered(it, |memory| memory.sent = None);
            },
            None,
        ),
        ("another capture ran in between", |it| it.row.generation = 50, None),
        (
            "another capture accepted a gap in between",
            |it| {
                it.row.incarnation = 8;
                it.server.wal_end = Lsn(110);
            },
            None,
        ),
    ]);
}

#[test]
fn a_timeline_that_left_ours_before_what_was_sent_is_a_gap() {
    check(&[
        ("promoted with all that was sent", |it| promoted(it, 121), None),
        (
            "promoted without the last commit that was sent",
            |it| promoted(it, 120),
            Some((Cause::WentBack, SENT)),
        ),
        (
            "promoted with all, and without this process's last generation",
            |it| {
                promoted(it, 150);
                it.row.generation = 39;
            },
            None,
        ),
        (
            "promoted with the slot a moment later than the row, found by a new process",
            |it| {
                it.memory = None;
                promoted(it, 150);
                slot(it, |slot| slot.confirmed_flush_lsn = Lsn(110));
            },
            None,
        ),
        (
            "promoted, and the slot moved since",
            |it| {
                promoted(it, 150);
                slot(it, |slot| slot.confirmed_flush_lsn = Lsn(151));
            },
            Some((Cause::SlotMoved, SETTLED)),
        ),
        (
            "promoted without what was settled, found by a new process",
            |it| {
                it.memory = None;
                promoted(it, 99);
            },
            Some((Cause::WentBack, SETTLED)),
        ),
        (
            "a timeline that comes from elsewhere",
            |it| {
                it.server =
                    Server { timeline: 5, branches: vec![(1, Lsn(50)), (4, Lsn(300))], ..it.server.clone() }
            },
            Some((Cause::WentBack, SENT)),
        ),
        (
            "back on the timeline that was left",
            |it| {
                remembered(it, |memory| memory.timeline = 3);
                it.row.timeline = 2;
            },
            Some((Cause::WentBack, SENT)),
        ),
    ]);
}

#[test]
fn settled_is_what_row_slot_or_process_know_unless_the_server_went_back() {
    let cases: [(&str, Change, u64); 6] = [
        ("the row is ahead", |_| {}, 100),
        ("this process has settled more", |it| remembered(it, |memory| memory.confirmed = Lsn(110)), 110),
        (
            "promoted, and the slot knows more than the row",
            |it| {
                it.memory = None;
                promoted(it, 150);
                slot(it, |slot| slot.confirmed_flush_lsn = Lsn(110));
            },
            110,
        ),
        (
            "promoted before the end of what this process was told to have no changes",
            |it| {
                promoted(it, 150);
                remembered(it, |memory| memory.confirmed = Lsn(160));
            },
            150,
        ),
        (
            "restored, and nothing was sent: the same numbers mean something else",
            |it| {
                it.row.generation = 39;
                remembered(it, |memory| (memory.confirmed, memory.sent) = (Lsn(110), None));
            },
            100,
        ),
        (
            "another incarnation",
            |it| remembered(it, |memory| (memory.confirmed, memory.incarnation) = (Lsn(110), 6)),
            100,
        ),
    ];
    for (case, change, expected) in cases {
        let mut given = given();
        change(&mut given);
        let known = settled(&given.row, given.memory.as_ref(), &given.server, given.slot.as_ref());
        assert_eq!(known, Lsn(expected), "{case}");
    }
}

#[test]
fn a_consumer_that_has_seen_more_than_the_server_has_reveals_a_gap() {
    let seen = |incarnation, commit| Position { incarnation, ..change(commit) };
    let cases = [
        ("what the server has", 2, seen(7, 199), None),
        ("what was received since", 2, seen(7, 249), None),
        ("where a gap was accepted", 2, boundary(7, Lsn(250)), None),
        ("more than there is", 2, seen(7, 250), Some(())),
        ("what the former timeline had before it was left", 1, seen(7, 49), None),
        ("what the former timeline had after it was left", 1, seen(7, 50), Some(())),
        ("a timeline that the server never was on", 3, seen(7, 10), Some(())),
        ("the other side of a gap that was accepted", 9, seen(6, 900), None),
        ("an incarnation that the database does not know", 2, seen(8, 10), Some(())),
    ];
    for (case, timeline, position, expected) in cases {
        let gap = of_last_seen(7, &given().server, Lsn(250), timeline, position);
        assert_eq!(gap.as_ref().map(|gap| gap.at), expected.map(|()| position), "{case}: {gap:?}");
    }
}

#[test]
fn the_stream_goes_on_with_the_first_change_that_exists() {
    let cases: [(&str, Change, u64); 4] = [
        ("a slot that is behind", |_| {}, 100),
        ("a new slot", |it| slot(it, |slot| slot.confirmed_flush_lsn = Lsn(180)), 180),
        ("a row that is beyond the WAL", |it| it.server.wal_end = Lsn(95), 90),
        ("another cluster", |it| it.server.system_identifier = "8".into(), 90),
    ];
    for (case, change, expected) in cases {
        let mut given = given();
        change(&mut given);
        let slot = given.slot.unwrap_or_default();
        assert_eq!(first_new(&given.row, &given.server, &slot), Lsn(expected), "{case}");
    }
}

#[test]
fn a_gap_that_follows_on_one_that_nobody_has_heard_of_is_told_as_one() {
    // given a gap that was accepted, and another one before it was acknowledged
    let gap = |at, reason: &str| Gap {
        cause: Cause::SlotGone,
        at: boundary(7, Lsn(at)),
        reason: reason.to_owned(),
    };
    let first = Gaps::default().accept(&gap(100, "first"), boundary(8, Lsn(200)));
    let unheard = Gaps { found: Some(gap(200, "second")), accepted: Some(first) };

    // when that is accepted too
    let both = unheard.accept(&gap(200, "second"), boundary(9, Lsn(300)));

    // then what was known before the first is the last that was known
    assert_eq!(
        both.item(),
        Discontinuity {
            position: boundary(9, Lsn(300)),
            last_known: Some(boundary(7, Lsn(100))),
            first_new: Some(boundary(9, Lsn(300))),
            reason: "first; then: second".to_owned(),
        }
    );
}

#[test]
fn a_history_file_tells_where_each_timeline_was_left() {
    let file = "1\t0/3000060\tno recovery target specified\n\n# a comment\n2\t0/5000028\tbefore 2026-01-01\n";
    assert_eq!(branches(file), Some(vec![(1, Lsn(0x0300_0060)), (2, Lsn(0x0500_0028))]));
    assert_eq!(branches("no history"), None);
}
