//! Tests of pages and purges, on a container that is a directory.

use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use twinroute_common::cloud_event::{CloudEvent, EventType};
use twinroute_common::dead_letter::{Container, Failure, Letter, Selection};
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use super::*;

const CODES: [&str; 2] = ["TOO_LARGE", "REJECTED"];

/// A directory with a letter a minute from noon on, of the two codes in turn.
async fn with_letters(count: u32) -> (TempDir, Container) {
    let directory = tempfile::tempdir().unwrap();
    let container = Container::open(&format!("file://{}", directory.path().display()), None).unwrap();
    for minute in 0..count {
        let time: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let time = time + jiff::SignedDuration::from_mins(minute.into());
        let event = CloudEvent {
            id: Uuid::from_u128(minute.into()),
            source: "https://twins.example.com/".into(),
            event_type: EventType::TwinUpdate.name().into(),
            default_type: EventType::TwinUpdate,
            subject: Some("floor".into()),
            time: format!("{time:.6}").into(),
            sequence: "2a".into(),
            partition_key: "floor".into(),
            traceparent: None,
            data: bytes::Bytes::from_static(b"{}"),
        };
        let code = CODES[minute as usize % 2];
        let failure = Failure { reason: "no".to_owned(), code, attempts: 1, time, redrive: None };
        container.put(&Letter::new("kafka", &event, &failure)).await.unwrap();
    }
    (directory, container)
}

fn selection(code: &str) -> Selection {
    let selection = proto::DeadLetterSelection {
        endpoint_name: "kafka".to_owned(),
        code: code.to_owned(),
        ..Default::default()
    };
    Selection::try_from(selection).unwrap()
}

/// The minutes of all letters of a selection, page by page.
async fn minutes(container: &Container, selection: &Selection, size: usize) -> Vec<u128> {
    let (mut minutes, mut behind) = (Vec::new(), None);
    loop {
        let page = page(container, selection, behind, size).await.unwrap();
        assert!(page.letters.len() <= size);
        minutes.extend(page.letters.iter().map(|found| found.name.event_id().as_u128()));
        if page.last.is_none() {
            return minutes;
        }
        behind = page.last;
    }
}

#[tokio::test]
async fn pages_hold_every_selected_letter_once_the_newest_hour_first() {
    let (_directory, container) = with_letters(70).await;
    let expected: Vec<u128> = (60..70).chain(0..60).collect();
    assert_eq!(minutes(&container, &selection(""), 7).await, expected);
    let odd: Vec<u128> = expected.into_iter().filter(|minute| minute % 2 == 1).collect();
    assert_eq!(minutes(&container, &selection("REJECTED"), 7).await, odd);
}

#[tokio::test]
async fn an_object_that_is_no_letter_hides_no_other() {
    let (directory, container) = with_letters(3).await;
    let broken = directory.path().join(format!("kafka/2026/01/01/12/{}.json", Uuid::from_u128(1)));
    std::fs::write(broken, "no letter").unwrap();
    let page = page(&container, &selection(""), None, 10).await.unwrap();
    let reasons: Vec<&str> = page.letters.iter().map(|found| &*found.head.reason).collect();
    let [first, second, third] = reasons.as_slice() else { panic!("{reasons:?}") };
    assert!(*first == "no" && second.contains("no dead letter") && *third == "no", "{reasons:?}");
}

#[tokio::test]
async fn what_is_selected_is_deleted_and_nothing_else() {
    let (_directory, container) = with_letters(10).await;
    let stop = CancellationToken::new();
    let purged = purge(&container, &selection("REJECTED"), &stop).await.unwrap();
    assert_eq!(purged, Purged { letters: 5, more: false });
    assert_eq!(minutes(&container, &selection(""), 100).await, [0, 2, 4, 6, 8]);
    assert_eq!(purge(&container, &selection(""), &stop).await.unwrap().letters, 5);
    assert_eq!(minutes(&container, &selection(""), 100).await, [0_u128; 0]);
}
