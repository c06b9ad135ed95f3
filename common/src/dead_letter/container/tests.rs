//! Tests of a container, mostly of one that is a directory.

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::cloud_event::{CloudEvent, EventType};
use crate::dead_letter::{Failure, LetterName, Search};

fn event() -> CloudEvent {
    CloudEvent {
        id: Uuid::from_u128(0x11),
        source: "https://twins.example.com/".into(),
        event_type: EventType::TwinUpdate.name().into(),
        default_type: EventType::TwinUpdate,
        subject: Some("floor".into()),
        time: "2026-01-01T12:00:00.000000Z".into(),
        sequence: "2a".into(),
        partition_key: "floor".into(),
        traceparent: None,
        data: Bytes::from_static(b"{}"),
    }
}

fn failure(reason: &str) -> Failure {
    Failure {
        reason: reason.to_owned(),
        code: "TEST",
        attempts: 2,
        time: Timestamp::UNIX_EPOCH,
        redrive: None,
    }
}

fn letter(reason: &str) -> Letter {
    Letter::new("kafka", &event(), &failure(reason))
}

#[tokio::test]
async fn a_letter_that_is_written_twice_is_there_once_as_it_was_last() {
    let directory = tempfile::tempdir().unwrap();
    let container = Container::open(&format!("file://{}", directory.path().display()), None).unwrap();

    container.put(&letter("first")).await.unwrap();
    container.put(&letter("second")).await.unwrap();

    let hour = directory.path().join("kafka/2026/01/01/12");
    let files: Vec<_> = std::fs::read_dir(hour).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    assert!(std::fs::read_to_string(file).unwrap().contains("second"));
}

#[test]
fn a_directory_that_is_missing_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("unmounted");
    let opened = Container::open(&format!("file://{}", missing.display()), None);
    assert!(matches!(opened, Err(ContainerError::Opening(_))), "{opened:?}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_refusal_shows_no_signature() {
    // given a store that nobody serves, and a SAS
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let sas = SecretString::from("sv=2021-06-08&sp=w&sig=c2VjcmV0");
    let container = Container::open(&format!("http://127.0.0.1:{port}/account/letters"), Some(&sas)).unwrap();

    // when a letter cannot be written
    let error = container.put(&letter("any")).await.unwrap_err();

    // then it says why, without the signature
    assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
    assert!(matches!(error, ContainerError::Refused(_)), "{error}");
}

fn named(time: &str, id: u128) -> (LetterName, Letter) {
    let mut event = event();
    (event.id, event.time) = (Uuid::from_u128(id), time.into());
    (LetterName::new(time.parse().unwrap(), event.id), Letter::new("kafka", &event, &failure("too large")))
}

/// A directory with letters of three hours, two of them in the second.
async fn with_letters() -> (tempfile::TempDir, Container, [LetterName; 4]) {
    let directory = tempfile::tempdir().unwrap();
    let container = Container::open(&format!("file://{}", directory.path().display()), None).unwrap();
    let letters = [
        named("2026-02-01T00:10:00Z", 1),
        named("2026-01-31T23:10:00Z", 2),
        named("2026-01-31T23:05:00Z", 3),
        named("2025-12-31T23:00:00Z", 4),
    ];
    for (_, letter) in &letters {
        container.put(letter).await.unwrap();
    }
    std::fs::write(directory.path().join("kafka/2026/01/31/23/notes.txt"), "not a letter").unwrap();
    (directory, container, letters.map(|(name, _)| name))
}

const ALL: Search<'static> = Search { endpoint: "kafka", from: None, until: None, behind: None };

#[tokio::test]
async fn letters_are_found_newest_hour_first_page_by_page() {
    let (_directory, container, names) = with_letters().await;
    let mut seen: Vec<LetterName> = Vec::new();
    loop {
        let search = Search { behind: seen.last(), ..ALL };
        let page = container.names(&search, 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        seen.extend(page);
    }
    assert_eq!(seen, names);
    assert_eq!(container.names(&Search { endpoint: "mqtt", ..ALL }, 9).await.unwrap(), []);
}

#[tokio::test]
async fn only_the_hours_that_are_asked_for_are_looked_into() {
    let (_directory, container, [_, second, third, fourth]) = with_letters().await;
    let time = |text: &str| Some(text.parse().unwrap());
    for (from, until, expected) in [
        (time("2026-01-31T23:59:00Z"), time("2026-01-31T23:00:00Z"), vec![second, third]),
        (None, time("2025-12-31T23:30:00Z"), vec![fourth]),
        (time("2026-02-01T01:00:00Z"), None, vec![]),
    ] {
        assert_eq!(container.names(&Search { from, until, ..ALL }, 9).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_letter_is_read_found_by_its_event_and_deleted() {
    let (_directory, container, [first, second, ..]) = with_letters().await;
    let head = container.head("kafka", &first).await.unwrap().unwrap();
    assert_eq!((&*head.code, head.attempts, &*head.reason), ("TEST", 2, "too large"));
    assert_eq!(container.find("kafka", second.event_id()).await.unwrap().as_ref(), Some(&second));
    let content = container.content("kafka", &second).await.unwrap().unwrap();
    assert!(content.ends_with(b"\"data\":{}}"));

    container.delete("kafka", &second).await.unwrap();
    container.delete("kafka", &second).await.unwrap();
    assert_eq!(container.find("kafka", second.event_id()).await.unwrap(), None);
    assert_eq!(container.content("kafka", &second).await.unwrap(), None);
    assert_eq!(container.head("kafka", &second).await.unwrap(), None);
}
