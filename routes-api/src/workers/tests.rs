//! What several workers say together, and what is forgotten.

use super::*;

fn report(health: EndpointHealth, last_error: &str, backlog_events: u64) -> EndpointReport {
    EndpointReport {
        health,
        last_error: last_error.to_owned(),
        since: None,
        backlog_events,
        backlog_bytes: 0,
        backlog_age: None,
        parked_events: 0,
        backlog_unknown: false,
        damaged: Vec::new(),
    }
}

/// A worker's stream, and what the worker is told.
fn connect(workers: &Workers, id: &str) -> (Connection, mpsc::Receiver<Command>) {
    let (commands, told) = mpsc::channel(1);
    (workers.connect(id, commands).unwrap(), told)
}

/// A report of a backlog of seven events and 100 bytes, in which these objects are damaged.
fn parked(damaged: &[&str]) -> EndpointReport {
    let segment = |object: &&str| DamagedSegment {
        object: (*object).to_owned(),
        partition: 3,
        events: 2,
        error: "no JSON".to_owned(),
    };
    EndpointReport {
        backlog_bytes: 100,
        parked_events: 7,
        damaged: damaged.iter().map(segment).collect(),
        ..report(EndpointHealth::Down, "damaged", 9)
    }
}

#[test]
fn the_worst_worker_speaks_for_an_endpoint_and_backlogs_add_up() {
    let workers = Workers::new(10);
    let [one, two] = ["one", "two"].map(|id| connect(&workers, id).0);
    one.endpoint("hub".to_owned(), report(EndpointHealth::Healthy, "", 2));
    two.endpoint("hub".to_owned(), report(EndpointHealth::Down, "no broker", 3));
    let summary = workers.endpoint("hub", 1);
    assert_eq!((summary.health, &*summary.last_error), (EndpointHealth::Down, "no broker"));
    assert_eq!((summary.backlog_events, summary.workers), (5, 2));
    drop(two);
    assert_eq!(workers.endpoint("hub", 1).health, EndpointHealth::Healthy);
    assert_eq!(workers.endpoint("other", 1), EndpointSummary::default());
}

#[test]
fn a_route_counts_the_workers_that_have_its_present_form() {
    let workers = Workers::new(10);
    let [one, two] = ["one", "two"].map(|id| connect(&workers, id).0);
    one.applied(7);
    two.applied(5);
    let counts = |version| {
        let summary = workers.route("r", version);
        (summary.workers_applied, summary.workers_connected)
    };
    assert_eq!((counts(5), counts(6), counts(8)), ((2, 2), (1, 2), (0, 2)));
    two.refused("routes/r".to_owned(), 5, "unknown format");
    assert_eq!(counts(5), (1, 2));
    assert!(workers.route("r", 5).last_error.contains("two refused it: unknown format"));

    // The route is changed: what was said of its older form counts no more, and is forgotten.
    assert_eq!(workers.route("r", 6).last_error, "");
    two.forget(|_| Some(6));
    assert_eq!(workers.refused(), 0);
}

#[test]
fn the_newer_stream_of_a_worker_counts() {
    let workers = Workers::new(1);
    let (older, _) = connect(&workers, "one");
    let (newer, _) = connect(&workers, "one");
    older.applied(9);
    assert_eq!(workers.route("r", 9).workers_applied, 0);
    drop(older);
    assert_eq!(workers.connected(), 1);
    assert_eq!(workers.connect("two", mpsc::channel(1).0).err(), Some(TooManyWorkers(1)));
    drop(newer);
    assert_eq!(workers.connected(), 0);
}

#[test]
fn a_backlog_is_the_sum_of_what_workers_report() {
    let workers = Workers::new(10);
    let [one, two] = ["one", "two"].map(|id| connect(&workers, id).0);
    assert_eq!(workers.backlog("hub"), None);
    one.endpoint("hub".to_owned(), parked(&["a", "b"]));
    two.endpoint("hub".to_owned(), parked(&["b", "c"]));
    let backlog = workers.backlog("hub").unwrap();
    assert_eq!((backlog.events, backlog.bytes), (14, 200));
    let damaged: Vec<&str> = backlog.damaged.iter().map(|segment| &*segment.object).collect();
    assert_eq!(damaged, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_segment_is_skipped_when_nobody_reports_it_any_more() {
    let workers = Workers::new(10);
    let (one, mut one_told) = connect(&workers, "one");
    let (two, mut two_told) = connect(&workers, "two");
    one.endpoint("hub".to_owned(), parked(&["a", "b"]));
    two.endpoint("hub".to_owned(), parked(&["c"]));
    assert!(matches!(workers.skip("hub", "x").await, Err(SkipError::NotDamaged(object)) if object == "x"));

    let skip = Command::Skip { endpoint: "hub".to_owned(), object: "a".to_owned() };
    let work = async {
        // The holder is asked, and its partition moves before it has done it: the next one is asked.
        assert_eq!(one_told.recv().await.as_ref(), Some(&skip));
        two.endpoint("hub".to_owned(), parked(&["a", "c"]));
        one.endpoint("hub".to_owned(), parked(&["b"]));
        assert_eq!(two_told.recv().await.as_ref(), Some(&skip));
        two.endpoint("hub".to_owned(), parked(&["c"]));
    };
    assert_eq!(tokio::join!(workers.skip("hub", "a"), work).0, Ok(()));
}

#[tokio::test]
async fn a_worker_that_leaves_has_not_said_that_a_segment_is_skipped() {
    let workers = Workers::new(10);
    let (one, mut told) = connect(&workers, "one");
    one.endpoint("hub".to_owned(), parked(&["a"]));
    let leave = async {
        told.recv().await.unwrap();
        drop(one);
    };
    let skipped = tokio::join!(workers.skip("hub", "a"), leave).0;
    assert_eq!(skipped, Err(SkipError::Left("one".to_owned())));
}

#[tokio::test]
async fn a_worker_that_takes_no_commands_is_named() {
    let workers = Workers::new(10);
    let (one, _told) = connect(&workers, "one");
    one.endpoint("hub".to_owned(), parked(&["a", "b"]));
    let first = workers.skip("hub", "a");
    let second = async { workers.skip("hub", "b").await };
    let refused = tokio::select! { biased; done = first => done, refused = second => refused };
    assert_eq!(refused, Err(SkipError::Busy("one".to_owned())));
}
