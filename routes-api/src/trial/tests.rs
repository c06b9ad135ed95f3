//! What a trial says of routes that send, and of those that do not.

use twinroute_common::format::{EventFormat, TypeMappings};

use super::*;

fn route(filter: &str, format: EventFormat) -> EventRoute {
    EventRoute {
        name: "tried".to_owned(),
        endpoint_name: "anywhere".to_owned(),
        filter: filter.to_owned(),
        format,
        types: TypeMappings::default(),
        disabled: false,
        notify_gaps: false,
    }
}

fn change(old: &'static str, new: &'static str) -> proto::SampleChange {
    proto::SampleChange {
        graph: "factory".to_owned(),
        kind: event_proto::EntityKind::Twin.into(),
        old: Bytes::from_static(old.as_bytes()),
        new: Bytes::from_static(new.as_bytes()),
    }
}

const BEFORE: &str = r#"{"$dtId":"room1","t":1}"#;
const AFTER: &str = r#"{"$dtId":"room1","t":2,"n":null}"#;

/// The number of events and the explanation of one route on one change.
fn tried(filter: &str, format: EventFormat) -> (usize, String) {
    let route = route(filter, format);
    let trials = try_routes(&[&route], vec![change(BEFORE, AFTER)], &TrialSettings::default()).unwrap();
    let [trial] = trials.try_into().unwrap();
    assert_eq!(trial.matched, !trial.cloud_events.is_empty());
    (trial.cloud_events.len(), trial.explanation)
}

#[test]
fn a_route_that_matches_shows_its_events() {
    assert_eq!(tried("$new.t > $old.t", EventFormat::EventNotification), (1, String::new()));
    assert_eq!(tried("$body.propertyName = 't'", EventFormat::DataHistory), (1, String::new()));
}

#[test]
fn a_route_that_does_not_match_names_the_condition_that_decided() {
    for (filter, explanation) in [
        ("$new.t > 5", "`$new.t > 5` is false: $new.t is 2"),
        ("true AND ($new.x = 1 AND true)", "`$new.x = 1` is undefined: $new.x is not there"),
        ("$new.x = 1 AND subject = 'room2'", "`subject = 'room2'` is false: subject is 'room1'"),
        (
            "type = 'a' OR $new.n != null",
            "`type = 'a'` is false: type is 'Konnektr.DigitalTwins.Twin.Update'; \
             `$new.n != null` is false: $new.n is null",
        ),
        ("NOT CHANGED($new.t)", "`NOT CHANGED($new.t)` is false: $old.t is 1, $new.t is 2"),
        ("$new.t IN [3, 4]", "`$new.t IN [3, 4]` is false: $new.t is 2"),
    ] {
        assert_eq!(tried(filter, EventFormat::EventNotification), (0, explanation.to_owned()), "{filter}");
    }
}
