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
    }
}

#[test]
fn the_worst_worker_speaks_for_an_endpoint_and_backlogs_add_up() {
    let workers = Workers::new(10);
    let [one, two] = ["one", "two"].map(|id| workers.connect(id).unwrap());
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
    let [one, two] = ["one", "two"].map(|id| workers.connect(id).unwrap());
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
    let older = workers.connect("one").unwrap();
    let newer = workers.connect("one").unwrap();
    older.applied(9);
    assert_eq!(workers.route("r", 9).workers_applied, 0);
    drop(older);
    assert_eq!(workers.connected(), 1);
    assert_eq!(workers.connect("two").err(), Some(TooManyWorkers(1)));
    drop(newer);
    assert_eq!(workers.connected(), 0);
}
