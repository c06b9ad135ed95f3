//! A Kafka topic that is deleted under load, and created again later.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};
use twinroute_proto::routes::v1::{EndpointHealth, KafkaOptions, endpoint::Destination};
use twinroute_tests::{
    consumers::{Consumer, kafka},
    servers::kafka::Kafka,
    wait,
};

use crate::{
    judgement::arrivals,
    load::{Load, load},
    scene::{self, DEADLINE},
    side::Side,
    unsettled::Unsettled,
};

/// Twins that are updated all the time.
const TWINS: i32 = 1_000;

/// The topic, and its partitions.
const TOPIC: &str = "fleeting";
const PARTITIONS: i32 = 4;

/// How long one question to the broker may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// So many looks in a row must see the same before it counts as still.
const STILL_LOOKS: usize = 10;

#[test]
fn what_was_not_delivered_when_its_topic_was_deleted_arrives_when_it_is_there_again() -> Result<()> {
    load(async |load| {
        // Given an endpoint at a broker that creates no topics by itself, and twins that are updated all the time
        let twins = "fleeting";
        let topic = Topic::create(Kafka::start_without_topics(&scene::dir("topic")?).await?).await?;
        let consumer = kafka::consume(&topic.kafka.brokers(), TOPIC)?;
        let options = KafkaOptions {
            brokers: vec![topic.kafka.brokers()],
            topic: TOPIC.to_owned(),
            ..KafkaOptions::default()
        };
        let side = Side::add(load, TOPIC, Destination::Kafka(options)).await?;
        load.create(twins, TWINS).await?;
        let updates = load.keep_updating(twins, TWINS).await?;
        load.until_arrived(twins, 4_000).await?;
        // When the topic is deleted
        let unsettled = Unsettled::watch(&load.stack.capture).await?;
        topic.delete_when_read(load, &consumer).await?;
        let before = arrivals(consumer.inbox(), twins);
        drop(consumer);
        // Then the endpoint says so, and the others go on
        load.until_endpoint(TOPIC, DEADLINE, |state| {
            state.health() == EndpointHealth::Down && state.last_error.contains("UNKNOWN_TOPIC")
        })
        .await?;
        load.until_endpoint(TOPIC, DEADLINE, |state| state.backlog_bytes > 0).await?;
        updates.end().await?;
        let verdicts = load.settles_after(twins, "none explains any").await?;
        assert_eq!(verdicts.0.map(|verdict| verdict.repeated), [0, 0, 0]);
        let seen = unsettled.end().await?;
        load.steps.done(&format!("while the topic was away: {seen:?}"));
        // And when it is created again, it gets the rest, in order
        topic.create_again().await?;
        let consumer = kafka::consume(&topic.kafka.brokers(), TOPIC)?;
        let fault = "what was on its way to the topic when it was deleted";
        side.settles_after(load, twins, (before, &consumer), fault).await?;
        side.remove(load).await
    })
}

/// The topic, and its broker.
struct Topic {
    kafka: Kafka,
    admin: AdminClient<DefaultClientContext>,
    client: Arc<BaseConsumer>,
}

impl Topic {
    async fn create(kafka: Kafka) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka.brokers());
        let topic = Self { kafka, admin: config.create()?, client: Arc::new(config.create()?) };
        topic.create_again().await?;
        Ok(topic)
    }

    async fn create_again(&self) -> Result<()> {
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
        let created = self.admin.create_topics([&topic], &AdminOptions::new()).await?;
        ensure!(created.iter().all(Result::is_ok), "{created:?}");
        Ok(())
    }

    /// Deletes the topic when all that is in it has been read, so that what arrives later is not lost with it unseen: the
    /// workers stand still meanwhile.
    async fn delete_when_read(&self, load: &mut Load, consumer: &Consumer) -> Result<()> {
        for worker in &mut load.stack.workers {
            worker.process().pause()?;
        }
        let (mut still, mut last) = (0, 0);
        wait::until(DEADLINE, "the topic to be read", async || {
            let there = self.events().await?;
            still = if there == last { still + 1 } else { 0 };
            last = there;
            ensure!(consumer.inbox().len() == there && still >= STILL_LOOKS, "{there} are there");
            Ok(())
        })
        .await?;
        let deleted = self.admin.delete_topics(&[TOPIC], &AdminOptions::new()).await?;
        ensure!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        wait::until(DEADLINE, "the topic to be gone", async || {
            ensure!(self.events().await.is_err(), "it is there");
            Ok(())
        })
        .await?;
        for worker in &mut load.stack.workers {
            worker.process().resume()?;
        }
        load.steps.done(&format!("the topic is deleted, with {last} events"));
        Ok(())
    }

    /// How many events are in the topic.
    async fn events(&self) -> Result<usize> {
        let client = Arc::clone(&self.client);
        tokio::task::spawn_blocking(move || {
            let metadata = client.fetch_metadata(Some(TOPIC), ANSWER_DEADLINE)?;
            let topic = metadata.topics().first().context("no such topic")?;
            ensure!(topic.error().is_none(), "{:?}", topic.error());
            let mut events = 0;
            for partition in topic.partitions() {
                let (first, end) = client.fetch_watermarks(TOPIC, partition.id(), ANSWER_DEADLINE)?;
                events += usize::try_from(end - first)?;
            }
            Ok(events)
        })
        .await?
    }
}
