//! The sink against librdkafka's mock of a cluster.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::route::{Compression, KafkaAccess};

use super::*;
use crate::config::sinks::SinkLimits;
use crate::sink::{Outcome, Reachability, Submission, Verdict, test_events};

const TOPIC: &str = "twins";
const DEADLINE: Duration = Duration::from_secs(30);

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
    let context = SinkContext {
        worker_id: "worker".to_owned(),
        limits: Arc::new(limits),
        secrets: Arc::default(),
    };
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
    sink.submissions.send(Submission { token, event: Arc::new(event) }).await.unwrap();
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

/// `(key, ce_sequence)` of the records of the topic.
async fn records(cluster: &Cluster, count: usize) -> Vec<(String, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let reading = move || {
        let mut found = Vec::new();
        while found.len() < count {
            let record = consumer.poll(DEADLINE).expect("no record in time").unwrap();
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
    for number in first_failed..100 {
        submit(&sink, 100 + number, event(number, 100)).await;
    }

    // then they are delivered, in order
    let again = outcomes(&mut sink, usize::try_from(100 - first_failed).unwrap()).await;
    assert!(again.iter().all(|outcome| matches!(outcome.verdict, Verdict::Delivered)), "{again:?}");
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

    // when a large one stands before a small one of another key
    submit(&sink, 1, event(1, 5_000)).await;
    let refused = outcomes(&mut sink, 1).await.remove(0);
    submit(&sink, 2, event(2, 100)).await;

    // then only the large one is refused, for good
    assert!(matches!(refused.verdict, Verdict::Permanent(error) if error.code == "MSG_SIZE_TOO_LARGE"));
    assert!(matches!(outcomes(&mut sink, 1).await.remove(0).verdict, Verdict::Delivered));
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_tried_again_in_smaller_ones() {
    // given a broker that finds a batch of small events too large, and the next one too
    let cluster = cluster();
    let mut sink = start_sink(&cluster, |limits| limits.kafka.batch_bytes_max = 4_000);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refusal, refusal]);

    // when an event that fills half a batch is handed over until it is settled
    let mut verdicts = Vec::new();
    for token in 0..3 {
        submit(&sink, token, event(token, 1_500)).await;
        verdicts.push(outcomes(&mut sink, 1).await.remove(0).verdict);
    }

    // then it is tried in a smaller batch, and refused for good only when it does not fit a batch with others
    let codes: Vec<&str> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Delivered => "delivered",
            Verdict::Retryable(_) => "again",
            Verdict::Permanent(_) => "refused",
        })
        .collect();
    assert_eq!(codes, ["again", "again", "delivered"]);
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
