//! Tests of a container that is a directory.

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::cloud_event::{CloudEvent, EventType};
use crate::dead_letter::Failure;

fn letter(reason: &str) -> Letter {
    let event = CloudEvent {
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
    };
    let reason = reason.to_owned();
    Letter::new("kafka", &event, &Failure { reason, code: "TEST", attempts: 1, time: Timestamp::UNIX_EPOCH })
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
