//! The sink against librdkafka's mock of a cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::route::{Compression, KafkaAccess};

use super::*;
use crate::config::sinks::SinkLimits;
use crate::sink::{Outcome, Reachability, Submission, Verdict, test_events};

const TOPIC: &str = "twins";
const DEADLINE: Duration = Duration::from_secs(30);
/// How long the endpoint of these tests waits before it tries again.
const BACKOFF: Duration = Duration::from_millis(20);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

fn start_sink(cluster: &Cluster, change: impl FnOnce(&mut SinkLimits)) -> Sink {
    let mut limits = SinkLimits::default();
    limits.kafka.restart_initial_ms = 10;
    limits.kafka.state_interval_ms = 50;
    limits.kafka.request_timeout_ms = 2_000;
    change(&mut limits);
    let context =
        SinkContext { worker_id: "worker".to_owned(), limits: Arc::new(limits), secrets: Arc::default() };
    let brokers = cluster.bootstrap_servers().split(',').map(str::to_owned).collect();
    let options = KafkaOptions {
        access: KafkaAccess::Brokers { brokers, tls: None, sasl: None },
        topic: TOPIC.to_owned(),
        compression: Compression::None,
    };
    start("events", &options, context).unwrap()
}

fn event(number: u64, data_bytes: usize) -> CloudEvent {
    let mut event = test_events::twin_update("room1");
    event.sequence = Arc::from(format!("{number:08}"));
    event.data = vec![b'1'; data_bytes].into();
    event
}

async fn submit(sink: &Sink, token: u64, event: CloudEvent) {
    sink.submissions.send(Submission { token, partition: 0, event: Arc::new(event) }).await.unwrap();
}

async fn outcomes(sink: &mut Sink, count: usize) -> Vec<Outcome> {
    let mut found = Vec::new();
    while found.len() < count {
        let outcome = tokio::time::timeout(DEADLINE, sink.outcomes.recv()).await.expect("no outcome in time");
        found.push(outcome.expect("the sink has ended"));
    }
    found
}

async fn until(sink: &mut Sink, wanted: impl FnMut(&Reachability) -> bool) {
    let reached = sink.reachability.wait_for(wanted);
    tokio::time::timeout(DEADLINE, reached).await.expect("not reached in time").unwrap();
}

/// Hands an event over until it is settled, as an endpoint does; the codes of what was said about it.
async fn settle(sink: &mut Sink, token: u64, event: CloudEvent) -> Vec<&'static str> {
    let mut said = Vec::new();
    loop {
        submit(sink, token, event.clone()).await;
        match outcomes(sink, 1).await.remove(0).verdict {
            Verdict::Delivered => said.push("DELIVERED"),
            Verdict::Permanent(error) => said.push(error.code),
            Verdict::Retryable(error) => {
                if error.code != "BEHIND_A_FAILURE" {
                    said.push(error.code);
                }
                tokio::time::sleep(BACKOFF).await;
                continue;
            }
        }
        return said;
    }
}

/// `(key, ce_sequence)` of the first records of the topic.
async fn records(cluster: &Cluster, count: usize) -> Vec<(String, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let reading = move || {
        let mut found = Vec::new();
        while found.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records in time", found.len());
            let Some(record) = consumer.poll(DEADLINE) else { continue };
            let record = record.unwrap();
            let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
            let headers = record.headers().unwrap();
            let sequence = headers.iter().find(|header| header.key == "ce_sequence").unwrap();
            found.push((key, String::from_utf8(sequence.value.unwrap().to_vec()).unwrap()));
        }
        found
    };
    tokio::task::spawn_blocking(reading).await.unwrap()
}

#[tokio::test]
async fn events_are_delivered_in_order() {
    // given a sink
    let cluster = cluster();
    let mut sink = start_sink(&cluster, |_| {});

    // when a hundred events of a key are handed over
    for number in 0..100 {
        submit(&sink, number, event(number, 100)).await;
    }

    // then all are reported as delivered, and stand in the topic in their order
    let outcomes = outcomes(&mut sink, 100).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome.verdict, Verdict::Delivered)));
    let expected: Vec<_> = (0..100).map(|number| ("room1".to_owned(), format!("{number:08}"))).collect();
    assert_eq!(records(&cluster, 100).await, expected);
    until(&mut sink, |state| *state == Reachability::Connected).await;

    // and the sink ends when it is closed
    assert!(sink.close(DEADLINE).await.is_empty());
}

#[tokio::test]
async fn nothing_overtakes_an_event_that_failed() {
    // given a broker that refuses one batch
    let cluster = cluster();
    let mut sink = start_sink(&cluster, |limits| limits.kafka.batch_events_max = 10);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refusal]);

    // when a hundred events of a key are handed over at once, and those that failed again, as an endpoint does
    for number in 0..100 {
        submit(&sink, number, event(number, 100)).await;
    }
    let mut first_failed = None;
    let mut delivered = 0;
    for outcome in outcomes(&mut sink, 100).await {
        match outcome.verdict {
            Verdict::Delivered => {
                assert!(first_failed.is_none_or(|failed| outcome.token < failed), "it has overtaken");
                delivered += 1;
            }
            Verdict::Retryable(error) => {
                assert!(!error.about_event, "{error}");
                first_failed = Some(first_failed.unwrap_or(outcome.token).min(outcome.token));
            }
            Verdict::Permanent(error) => panic!("{error}"),
        }
    }
    let first_failed = first_failed.expect("one batch was refused");
    assert_eq!(delivered, first_failed);
    assert_eq!(settle(&mut sink, 100, event(first_failed, 100)).await, ["DELIVERED"]);
    for number in first_failed + 1..100 {
        submit(&sink, 100 + number, event(number, 100)).await;
    }

    // then they are delivered, in order
    let again = outcomes(&mut sink, usize::try_from(99 - first_failed).unwrap()).await;
    assert!(again.iter().all(|outcome| matches!(outcome.verdict, Verdict::Delivered)));
    let sequences: Vec<String> =
        records(&cluster, 100).await.into_iter().map(|(_, sequence)| sequence).collect();
    assert!(sequences.is_sorted());
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn an_event_larger_than_the_worker_allows_is_refused_alone() {
    // given a sink for small events
    let cluster = cluster();
    let mut sink = start_sink(&cluster, |limits| limits.kafka.message_bytes_max = 2_000);

    // when a large one and a small one are handed over
    let large = settle(&mut sink, 1, event(1, 5_000)).await;
    let small = settle(&mut sink, 2, event(2, 100)).await;

    // then only the large one is refused, for good
    assert_eq!(large, ["MSG_SIZE_TOO_LARGE"]);
    assert_eq!(small, ["DELIVERED"]);
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_tried_again_in_smaller_ones() {
    // given a broker that finds three batches too large
    let cluster = cluster();
    let mut sink = start_sink(&cluster, |limits| limits.kafka.batch_bytes_max = 4_000);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refusal, refusal, refusal]);

    // when an event is handed over that shares batches of 4,000 and of 2,000 bytes, but none of 1,000
    let large = settle(&mut sink, 1, event(1, 1_500)).await;
    let next = settle(&mut sink, 2, event(2, 1_500)).await;

    // then it is refused for good only when it was alone
    assert_eq!(large, ["MSG_SIZE_TOO_LARGE"; 3]);
    assert_eq!(next, ["DELIVERED"]);
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn events_wait_for_a_broker_that_is_down() {
    // given a broker that is down
    let cluster = cluster();
    cluster.broker_down(1).unwrap();
    let mut sink = start_sink(&cluster, |_| {});
    until(&mut sink, |state| matches!(state, Reachability::Unreachable(_))).await;

    // when an event is handed over and the broker comes back
    submit(&sink, 1, event(1, 100)).await;
    cluster.broker_up(1).unwrap();

    // then the event is delivered
    assert!(matches!(outcomes(&mut sink, 1).await.remove(0).verdict, Verdict::Delivered));
    until(&mut sink, |state| *state == Reachability::Connected).await;
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn a_sink_that_is_closed_answers_what_it_did_not_write() {
    // given an event that cannot be written
    let cluster = cluster();
    cluster.broker_down(1).unwrap();
    let mut sink = start_sink(&cluster, |_| {});
    submit(&sink, 1, event(1, 100)).await;
    until(&mut sink, |state| matches!(state, Reachability::Unreachable(_))).await;

    // when the sink is closed
    let left = sink.close(DEADLINE).await;

    // then the event comes back
    assert!(matches!(&left[..], [Outcome { token: 1, verdict: Verdict::Retryable(_) }]), "{left:?}");
}
