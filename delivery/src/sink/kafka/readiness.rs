//! Whether a topic can be written to.
//!
//! A topic that was just made is known before its brokers take records for it. librdkafka tries a batch that is refused then
//! again, but the broker, which does not know the producer yet, may have taken the next one meanwhile. So nothing is written
//! before the leader of each partition answers for it.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio_util::sync::CancellationToken;

use super::reports::Reports;

/// How long an answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// What is said of a topic or a partition that is about to be there.
const NOT_YET: [RDKafkaErrorCode; 6] = [
    RDKafkaErrorCode::UnknownTopic,
    RDKafkaErrorCode::UnknownTopicOrPartition,
    RDKafkaErrorCode::UnknownPartition,
    RDKafkaErrorCode::LeaderNotAvailable,
    RDKafkaErrorCode::NotLeaderForPartition,
    RDKafkaErrorCode::OffsetNotAvailable,
];

/// Blocks until the leader of each partition answers for it, up to `wait`, or until `stop`. To ask makes the topic, where
/// brokers allow that. Other errors end the wait: writing will meet and tell them.
pub(super) fn until_led(
    producer: &ThreadedProducer<Reports>,
    topic: &str,
    wait: Duration,
    stop: &CancellationToken,
) {
    let deadline = Instant::now() + wait;
    while is_about_to_be_led(producer, topic) && !stop.is_cancelled() && Instant::now() < deadline {
        std::thread::sleep(PAUSE);
    }
}

fn is_about_to_be_led(producer: &ThreadedProducer<Reports>, topic: &str) -> bool {
    let answer = ask_leaders(producer, topic);
    let code = answer.err().and_then(|error| error.rdkafka_error_code());
    code.is_some_and(|code| NOT_YET.contains(&code))
}

/// Asks the leader of each partition for its end, which only one who also takes records knows.
fn ask_leaders(producer: &ThreadedProducer<Reports>, topic: &str) -> KafkaResult<()> {
    let client = producer.client();
    let metadata = client.fetch_metadata(Some(topic), ANSWER_DEADLINE)?;
    let described = metadata.topics().iter().find(|described| described.name() == topic);
    let partitions = match described {
        None => return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic)),
        Some(described) => match described.error() {
            Some(error) => return Err(KafkaError::MetadataFetch(error.into())),
            None => described.partitions(),
        },
    };
    for partition in partitions {
        if let Some(error) = partition.error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        client.fetch_watermarks(topic, partition.id(), ANSWER_DEADLINE)?;
    }
    Ok(())
}
