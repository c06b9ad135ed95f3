//! How large a record may be in a topic, changed while the topic is in use.

use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
    util::Timeout,
};

use super::Kafka;
use crate::wait;

/// How long a broker may take to work with a configuration that it has accepted.
const APPLY_DEADLINE: Duration = Duration::from_secs(30);

/// What a record may need beside its value: batch header, record header (Kafka protocol, "Record Batch").
const OVERHEAD_BYTES: usize = 200;

/// Later than any broker takes: `message.timestamp.after.max.ms` is an hour by default.
const TOO_LATE: Duration = Duration::from_secs(86_400);

impl Kafka {
    /// From its return on, `topic` takes records of up to `bytes` with all that is around them, and no larger ones.
    ///
    /// The broker accepts a configuration before it works with it, so the topic is asked until it does.
    ///
    /// # Errors
    /// When the topic does not exist, or takes another size after half a minute.
    pub async fn limit_records(&self, topic: &str, bytes: usize) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.brokers()).create()?;
        let limit = bytes.to_string();
        let limit = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", &limit);
        let altered = admin.alter_configs([&limit], &AdminOptions::new()).await?;
        ensure!(altered.iter().all(Result::is_ok), "{altered:?}");

        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            // The broker is to refuse a record, not this client.
            .set("message.max.bytes", "100000000")
            .create()?;
        wait::until(APPLY_DEADLINE, "the topic's limit", async || {
            let smaller = refusal(&producer, topic, bytes.saturating_sub(OVERHEAD_BYTES)).await?;
            ensure!(smaller == RDKafkaErrorCode::InvalidTimestamp, "{bytes} bytes: {smaller}");
            let larger = refusal(&producer, topic, bytes).await?;
            ensure!(larger == RDKafkaErrorCode::MessageSizeTooLarge, "more than {bytes} bytes: {larger}");
            Ok(())
        })
        .await
    }
}

/// Why the topic refuses a record whose value has so many bytes and whose date is that of tomorrow: for its size, or else
/// for its date. It takes none, so nobody ever reads one.
async fn refusal(producer: &FutureProducer, topic: &str, bytes: usize) -> Result<RDKafkaErrorCode> {
    let value = vec![b'x'; bytes];
    let tomorrow = jiff::Timestamp::now() + TOO_LATE;
    let record = FutureRecord::<(), _>::to(topic).partition(0).payload(&value);
    match producer.send(record.timestamp(tomorrow.as_millisecond()), Timeout::Never).await {
        Err((KafkaError::MessageProduction(code), _)) => Ok(code),
        Err((other, _)) => Err(other.into()),
        Ok(delivery) => anyhow::bail!("a record of tomorrow was taken: {delivery:?}"),
    }
}
