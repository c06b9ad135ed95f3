//! A worker stays under its limit of memory, however many endpoints it has, and whatever becomes of their destinations.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use twinroute_proto::routes::v1::{KafkaOptions, MqttOptions, endpoint::Destination};
use twinroute_tests::{
    consumers::{Consumer, kafka, kusto, mqtt},
    oracle::Expected,
    proxy::Proxy,
    servers::kafka::Kafka,
    stack::{GRAPH, KAFKA_TOPIC, KUSTO_DATABASE, MQTT_TOPIC, Stack, Steps},
    twins::{Graph, bulk::Bulk, ledger},
    usage,
};

use crate::{
    judgement::{Missing, arrivals, judge},
    load::{LOAD_DEADLINE, load, until_confirmed},
    memory::MEMORY_MAX_MIB,
    scene, side,
};

/// Endpoints beside those of the stack, at Kafka and at MQTT.
const KAFKA_ENDPOINTS: usize = 5;
const MQTT_ENDPOINTS: usize = 4;

/// Bytes of the largest record that the topics take.
const RECORD_BYTES_MAX: usize = 8 << 20;

/// The transactions of a round: twins, and the bytes of their documents; 0 for the smallest there are.
const TRANSACTIONS: [(&str, i32, usize); 3] =
    [("small", 30_000, 0), ("medium", 1_000, 64 << 10), ("large", 16, 4 << 20)];

/// Longer than any destination is waited for.
const NEVER: Duration = Duration::from_secs(3_600);

#[test]
fn a_worker_with_a_dozen_endpoints_stays_under_its_limit_while_destinations_are_away_and_when_all_are_back()
-> Result<()> {
    // Alone: it takes what other scenarios under load need to be in time.
    load(async |_| {
        // Given a worker with a dozen endpoints
        let mut scene = Scene::start().await?;
        scene.tell("idle")?;
        // When no destination answers, and small, larger and very large documents are written
        scene.away(true)?;
        scene.write("away").await?;
        scene.until_confirmed().await?;
        scene.tell("all destinations were away")?;
        // And all of them are back at once
        scene.away(false)?;
        // Then everything arrives at each, in order
        scene.settles("away", "what had no answer when its destination went away").await?;
        scene.tell("all came back at once")?;
        // And so it does while all are there
        scene.write("there").await?;
        scene.settles("there", "what took longer than it may").await?;
        scene.until_confirmed().await?;
        // And the worker has stayed under its limit
        let peak = scene.tell("all were there")?;
        assert!(peak < MEMORY_MAX_MIB, "the worker has held {peak:.0} MiB");
        scene.stack.drain().await
    })
}

struct Scene {
    stack: Stack,
    steps: Steps,
    proxy: Proxy,
    consumers: Vec<(String, Consumer)>,
}

impl Scene {
    async fn start() -> Result<Self> {
        let steps = Steps::told();
        let stack = Stack::start(&scene::dir("worker-memory")?, 1, &steps).await?;
        let servers = &stack.servers;
        let (brokers, port) = (servers.kafka.brokers(), servers.mosquitto.port());
        let proxy = Proxy::start(port).await?;
        let mut scene = Self { stack, steps, proxy, consumers: Vec::new() };
        let kusto = kusto::consume(&scene.stack.servers.kusto.uri(), KUSTO_DATABASE, &kusto::TABLES)?;
        let mqtt = mqtt::consume("127.0.0.1", port, MQTT_TOPIC).await?;
        scene.consumers.extend([("kusto".to_owned(), kusto), ("mqtt".to_owned(), mqtt)]);
        let topics: Vec<_> = (0..KAFKA_ENDPOINTS).map(|at| format!("crowd-{at}")).collect();
        make_topics(&scene.stack.servers.kafka, topics.iter().map(String::as_str).chain([KAFKA_TOPIC]))
            .await?;
        scene.consumers.push(("kafka".to_owned(), kafka::consume(&brokers, KAFKA_TOPIC)?));
        for topic in topics {
            let options = KafkaOptions {
                brokers: vec![brokers.clone()],
                topic: topic.clone(),
                ..KafkaOptions::default()
            };
            side::add(&scene.stack, &topic, Destination::Kafka(options)).await?;
            let consumer = kafka::consume(&brokers, &topic)?;
            scene.consumers.push((topic, consumer));
        }
        for at in 0..MQTT_ENDPOINTS {
            let topic = format!("crowd/{at}");
            let consumer = mqtt::consume("127.0.0.1", port, &topic).await?;
            let options = MqttOptions {
                broker: "127.0.0.1".to_owned(),
                port: scene.proxy.port().into(),
                topic,
                ..MqttOptions::default()
            };
            let name = format!("mqtt-crowd-{at}");
            side::add(&scene.stack, &name, Destination::Mqtt(options)).await?;
            scene.consumers.push((name, consumer));
        }
        Ok(scene)
    }

    /// No destination answers, or all do again.
    fn away(&mut self, is_away: bool) -> Result<()> {
        let servers = &mut self.stack.servers;
        for process in [servers.kafka.process(), servers.azurite.process(), servers.mosquitto.process()] {
            if is_away { process.pause()? } else { process.resume()? }
        }
        self.proxy.delay_answers(if is_away { NEVER } else { Duration::ZERO });
        Ok(())
    }

    async fn write(&self, prefix: &str) -> Result<()> {
        for (size, twins, bytes) in TRANSACTIONS {
            let bulk = Bulk::new(self.graph().await?, &format!("{prefix}-{size}")).await?;
            match bytes {
                0 => bulk.create_small(0, twins).await?,
                _ => bulk.create_large(0, twins, bytes).await?,
            }
            self.steps.done(&format!("{twins} {size} twins {prefix} are committed"));
        }
        Ok(())
    }

    async fn graph(&self) -> Result<Graph> {
        Graph::open(&self.stack.servers.database(), GRAPH).await
    }

    async fn until_confirmed(&self) -> Result<()> {
        until_confirmed(&self.stack, self.stack.servers.postgres.wal_end().await?).await
    }

    /// Waits until all of the prefix has arrived everywhere; then nothing is lost, out of order, under two ids, or made up.
    async fn settles(&self, prefix: &str, fault: &str) -> Result<()> {
        let begun = Instant::now();
        let mut expected: Vec<Expected> = ledger::expected(self.graph().await?.client()).await?;
        expected.retain(|change| change.key.starts_with(prefix));
        for (name, consumer) in &self.consumers {
            let all = Missing::of(&expected).tracker();
            consumer.inbox().until(LOAD_DEADLINE, &format!("all changes at {name}"), all).await?;
            let arrivals = arrivals(consumer.inbox(), prefix);
            judge(&self.steps, &format!("{prefix}, at {name}"), (&expected, &arrivals), (fault, begun))?;
            ensure!(consumer.inbox().faults().is_empty(), "{name}: {:?}", consumer.inbox().faults());
            consumer.inbox().clear();
        }
        Ok(())
    }

    /// Tells the most that the worker has held so far, in MiB.
    fn tell(&mut self, when: &str) -> Result<f64> {
        let mut peak = 0.0;
        for worker in &mut self.stack.workers {
            peak = usage::of(worker.process().pid())?.peak_rss_mib;
        }
        self.steps.done(&format!("the worker has held {peak:.0} MiB: {when}"));
        Ok(peak)
    }
}

/// Makes topics that are missing, and lets all of them take large records.
async fn make_topics(kafka: &Kafka, topics: impl Iterator<Item = &str> + Clone) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create()?;
    let new: Vec<_> = topics.clone().map(|name| NewTopic::new(name, 4, TopicReplication::Fixed(1))).collect();
    // One may be there already.
    admin.create_topics(&new, &AdminOptions::new()).await?;
    for topic in topics {
        kafka.limit_records(topic, RECORD_BYTES_MAX).await?;
    }
    Ok(())
}
