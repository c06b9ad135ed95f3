//! What reports make of a job, and which jobs may begin.

use std::collections::BTreeSet;

use jiff::Timestamp;
use twinroute_common::dead_letter::Selection;
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use super::*;
use crate::refusal::Refusal;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn selection(endpoint: &str) -> Selection {
    let endpoint_name = endpoint.to_owned();
    Selection::try_from(proto::DeadLetterSelection { endpoint_name, ..Default::default() }).unwrap()
}

fn job(endpoint: &str) -> Job {
    start(&[], selection(endpoint), 0, 1, at(0)).unwrap()
}

fn given(job: &Job) -> proto::RedriveReport {
    proto::RedriveReport { job_id: job.id.to_string(), partition_count: 2, ..Default::default() }
}

fn outcome(event: u128, reason: &str) -> proto::RedriveOutcome {
    let event_id = Uuid::from_u128(event).to_string();
    proto::RedriveOutcome { event_id, delivered: reason.is_empty(), reason: reason.to_owned() }
}

fn report(given: proto::RedriveReport) -> Report {
    Report::try_from(given).unwrap()
}

#[test]
fn reports_add_up_until_every_partition_is_finished() {
    let mut job = job("kafka");
    let outcomes = vec![outcome(1, ""), outcome(2, "too large"), outcome(3, "")];
    let first = proto::RedriveReport { outcomes, finished_partitions: vec![1], ..given(&job) };
    let kept = job.merge(&report(first), at(1));
    let failure = Failure { event_id: Uuid::from_u128(2), reason: "too large".to_owned() };
    assert_eq!(kept, [NumberedFailure { number: 0, failure }]);
    assert_eq!((job.delivered, job.failed, job.state, job.end_time), (2, 1, State::Running, None));
    assert!(job.last_error.contains("too large") && job.last_error.contains("0002"), "{}", job.last_error);

    let second = proto::RedriveReport {
        outcomes: vec![outcome(4, "again")],
        finished_partitions: vec![0],
        ..given(&job)
    };
    let kept = job.merge(&report(second), at(2));
    assert_eq!(kept.first().map(|failure| failure.number), Some(1));
    assert_eq!((job.delivered, job.failed, job.state, job.end_time), (2, 2, State::Done, Some(at(2))));
}

#[test]
fn of_a_job_that_has_ended_only_the_numbers_change() {
    let mut job = job("kafka");
    job.cancel(at(1));
    let ended = job.clone();
    assert_eq!((ended.state, ended.end_time), (State::Cancelled, Some(at(1))));
    let late = proto::RedriveReport {
        outcomes: vec![outcome(1, "late")],
        finished_partitions: vec![0, 1],
        ..given(&job)
    };
    assert_eq!(job.merge(&report(late), at(2)).len(), 1);
    job.cancel(at(3));
    assert_eq!(job, Job { failed: 1, ..ended });
}

#[test]
fn each_number_of_partitions_has_its_finished_ones() {
    let mut job = job("kafka");
    let of = |count, finished| proto::RedriveReport {
        partition_count: count,
        finished_partitions: finished,
        ..given(&job)
    };
    let reports = [of(2, vec![0]), of(3, vec![1, 2]), of(2, vec![1])].map(report);
    let states = reports.map(|report| {
        drop(job.merge(&report, at(1)));
        job.state
    });
    assert_eq!(states, [State::Running, State::Running, State::Done]);
}

#[test]
fn why_it_did_not_go_on_is_told_until_all_was_delivered() {
    let mut job = job("kafka");
    let waits = proto::RedriveReport { error: "the store is away\0".to_owned(), ..given(&job) };
    drop(job.merge(&report(waits), at(1)));
    assert_eq!(job.last_error, "the store is away\u{fffd}");
    let rest = proto::RedriveReport { finished_partitions: vec![0, 1], ..given(&job) };
    drop(job.merge(&report(rest), at(2)));
    assert_eq!((job.state, &*job.last_error), (State::Done, ""));
}

#[test]
fn the_first_failures_are_kept_and_all_are_counted() {
    let mut job = job("kafka");
    let mut kept = Vec::new();
    for _ in 0..3 {
        let outcomes = (0..600).map(|event| outcome(event, "no")).collect();
        kept.extend(job.merge(&report(proto::RedriveReport { outcomes, ..given(&job) }), at(1)));
    }
    let numbers: Vec<u64> = kept.iter().map(|failure| failure.number).collect();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    assert_eq!(job.failed, 1_800);
}

#[test]
fn what_is_wrong_with_a_report_is_named_by_its_field() {
    let job = job("kafka");
    let field = |given: proto::RedriveReport| {
        let violations = Report::try_from(given).unwrap_err();
        violations.as_slice().first().map(|violation| violation.field.clone()).unwrap_or_default()
    };
    let no_uuid = proto::RedriveOutcome { event_id: "1".to_owned(), ..Default::default() };
    for (given, expected) in [
        (proto::RedriveReport { job_id: "7".to_owned(), ..given(&job) }, "job_id"),
        (proto::RedriveReport { partition_count: 0, ..given(&job) }, "partition_count"),
        (proto::RedriveReport { partition_count: u32::MAX, ..given(&job) }, "partition_count"),
        (proto::RedriveReport { finished_partitions: vec![2], ..given(&job) }, "finished_partitions"),
        (proto::RedriveReport { outcomes: vec![no_uuid], ..given(&job) }, "outcomes.event_id"),
        (proto::RedriveReport { outcomes: vec![outcome(1, ""); 10_001], ..given(&job) }, "outcomes"),
    ] {
        assert_eq!(field(given), expected);
    }
}

#[test]
fn one_job_runs_for_an_endpoint_and_so_many_in_all() {
    let first = job("kafka");
    let running = [first.clone()];
    match start(&running, selection("kafka"), 0, 2, at(1)) {
        Err(Refusal::Precondition(reason)) => assert!(reason.contains(&first.id.to_string()), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(start(&running, selection("mqtt"), 0, 1, at(1)), Err(Refusal::TooMany { max: 1, .. })));
    let second = start(&running, selection("mqtt"), 7, 2, at(1)).unwrap();
    assert!(second.id != first.id && second.is_running() && second.events_per_second_max == 7);
}

#[test]
fn a_selection_that_is_too_long_is_refused() {
    let ids = |count: u128| proto::DeadLetterSelection {
        endpoint_name: "kafka".to_owned(),
        event_ids: (0..count).map(|id| Uuid::from_u128(id).to_string()).collect(),
        ..Default::default()
    };
    let start = |count| start(&[], Selection::try_from(ids(count)).unwrap(), 0, 1, at(0));
    assert!(start(10_000).is_ok());
    assert!(matches!(start(10_001), Err(Refusal::Invalid(_))));
}

#[test]
fn jobs_begin_and_end_as_the_database_says() {
    let (first, second) = (job("kafka"), job("mqtt"));
    let both = BTreeSet::from([first.id, second.id]);
    assert_eq!(Jobs::default().changed(&both).len(), 2);
    let jobs = Jobs::default().with(&both, vec![first.clone(), second.clone()]);
    assert_eq!((jobs.running().count(), jobs.changed(&both)), (2, vec![]));

    let none = BTreeSet::new();
    let mut done = first.clone();
    done.state = State::Done;
    // The second is not stored any more.
    let jobs = jobs.with(&none, vec![done]);
    assert_eq!((jobs.running().count(), jobs.runs(first.id)), (0, false));
    assert_eq!((jobs.end_of(first.id), jobs.end_of(second.id)), (State::Done, State::Cancelled));
}

#[test]
fn reports_that_wait_become_one() {
    let job = job("kafka");
    let of = |outcome, finished| proto::RedriveReport {
        outcomes: vec![outcome],
        finished_partitions: finished,
        ..given(&job)
    };
    let mut waiting = report(of(outcome(1, "no"), vec![0]));
    waiting.absorb(report(of(outcome(2, ""), vec![1])));
    assert_eq!((waiting.delivered, waiting.failed, waiting.failures.len()), (1, 1, 1));
    assert_eq!(waiting.finished, BTreeSet::from([0, 1]));
    assert_eq!(waiting.last_failure.map(|failure| failure.reason).as_deref(), Some("no"));
}
