//! The stack of the scenarios under load: one at a time, each with twins of its own, and each finds
//! everything at work.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    sync::{Mutex, OnceCell},
    task::JoinHandle,
};
use twinroute_proto::routes::v1::{EndpointState, GetEndpointRequest};
use twinroute_tests::{
    consumers::{Consumer, Received, Sink, kafka, kusto, mqtt},
    oracle::{self, Expected, Verdict},
    stack::{GRAPH, KAFKA_TOPIC, KUSTO_DATABASE, MQTT_TOPIC, Stack, Steps, routes},
    twins::{Graph, bulk::Bulk, ledger},
    wait,
};

use crate::{
    judgement::{Missing, Verdicts, account, arrivals, brief, ids},
    scene,
    steady::Steady,
};

/// How long all of a load may take to arrive, on a busy machine in a debug build.
pub(crate) const LOAD_DEADLINE: Duration = Duration::from_secs(240);

/// The replication slot of the workers' subscription.
const SLOT: &str = "twinroute_delivery";

/// Workers that each scenario finds.
const WORKERS: usize = 2;

/// Twins of one transaction of the steady load.
const TRANSACTION_TWINS: i32 = 100;

/// A stack, its consumers, and what was seen when.
pub(crate) struct Load {
    pub(crate) stack: Stack,
    pub(crate) steps: Steps,
    kafka: Consumer,
    mqtt: Consumer,
    kusto: Consumer,
}

/// Runs a scenario on the shared stack, alone.
pub(crate) fn load(scenario: impl AsyncFnOnce(&mut Load) -> Result<()>) -> Result<()> {
    static LOAD: OnceCell<Mutex<Load>> = OnceCell::const_new();
    scene::run(async {
        let mut load = LOAD.get_or_try_init(async || Load::start().await.map(Mutex::new)).await?.lock().await;
        load.heal().await.context("the scenario before left it broken")?;
        scenario(&mut load).await
    })
}

impl Load {
    async fn start() -> Result<Self> {
        let steps = Steps::told();
        let stack = Stack::start(&scene::dir("load")?, WORKERS, &steps).await?;
        let servers = &stack.servers;
        Ok(Self {
            kafka: kafka::consume(&servers.kafka.brokers(), KAFKA_TOPIC)?,
            mqtt: mqtt::consume("127.0.0.1", servers.mosquitto.port(), MQTT_TOPIC).await?,
            kusto: kusto::consume(&servers.kusto.uri(), KUSTO_DATABASE, &kusto::TABLES)?,
            steps,
            stack,
        })
    }

    /// Starts again what a scenario that failed has left stopped, and forgets what arrived in it.
    async fn heal(&mut self) -> Result<()> {
        if !self.stack.servers.mosquitto.process().is_running()? {
            self.stack.servers.mosquitto.start_again().await?;
        }
        if self.stack.servers.kafka.process().is_running()? {
            self.stack.servers.kafka.process().resume()?;
        } else {
            self.stack.servers.kafka.start_again().await?;
        }
        if !self.stack.servers.azurite.process().is_running()? {
            self.stack.servers.azurite.start_again().await?;
        }
        for service in [&mut self.stack.capture, &mut self.stack.routes_api] {
            if !service.process().is_running()? {
                service.start_again()?;
            }
            service.until_ready().await?;
        }
        let workers = std::mem::take(&mut self.stack.workers);
        for mut worker in workers {
            if worker.process().is_running()? {
                worker.process().resume()?;
                self.stack.workers.push(worker);
            }
        }
        while self.stack.workers.len() > WORKERS
            && let Some(mut worker) = self.stack.workers.pop()
        {
            worker.terminate().await?;
        }
        while self.stack.workers.len() < WORKERS {
            self.stack.add_worker()?;
        }
        for worker in &mut self.stack.workers {
            worker.until_ready().await?;
        }
        for consumer in [&self.kafka, &self.mqtt, &self.kusto] {
            consumer.inbox().clear();
        }
        Ok(())
    }

    /// Where the workers park.
    pub(crate) fn backlog(&self) -> PathBuf {
        self.stack.capture.directory().join("backlog")
    }

    /// Another session on the graph.
    pub(crate) async fn graph(&self) -> Result<Graph> {
        Graph::open(&self.stack.servers.database(), GRAPH).await
    }

    /// Creates twins named `prefix-<number>` in one transaction.
    pub(crate) async fn create(&self, prefix: &str, twins: i32) -> Result<()> {
        Bulk::new(self.graph().await?, prefix).await?.create(0, twins).await?;
        self.steps.done(&format!("{twins} twins {prefix} are committed"));
        Ok(())
    }

    /// The same with documents as small as they can be.
    pub(crate) async fn create_small(&self, prefix: &str, twins: i32) -> Result<()> {
        Bulk::new(self.graph().await?, prefix).await?.create_small(0, twins).await?;
        self.steps.done(&format!("{twins} small twins {prefix} are committed"));
        Ok(())
    }

    /// Begins to update the first `twins` twins `rounds` times each, a hundred in a transaction.
    pub(crate) async fn update(&self, prefix: &str, twins: i32, rounds: i32) -> Result<Updates> {
        let bulk = Bulk::new(self.graph().await?, prefix).await?;
        let steps = self.steps;
        let writer = tokio::spawn(async move {
            for _ in 0..rounds {
                let mut from = 0;
                while from < twins {
                    bulk.update(from, TRANSACTION_TWINS).await?;
                    from += TRANSACTION_TWINS;
                }
            }
            steps.done(&format!("{rounds} rounds over {twins} twins are committed"));
            Ok(())
        });
        Ok(Updates { writer })
    }

    /// Updates the first `twins` twins again and again, some 1,000 a second.
    pub(crate) async fn keep_updating(&self, prefix: &str, twins: i32) -> Result<Steady> {
        Steady::start(self.graph().await?, prefix, twins).await
    }

    /// Waits until so many events of the prefix have arrived at Kafka.
    pub(crate) async fn until_arrived(&self, prefix: &str, count: usize) -> Result<()> {
        self.until_arrived_at(Sink::Kafka, prefix, count).await
    }

    /// Waits until so many events of the prefix have arrived at a sink.
    pub(crate) async fn until_arrived_at(&self, sink: Sink, prefix: &str, count: usize) -> Result<()> {
        let (mut looked_at, mut arrived) = (0, 0);
        let condition = |received: &[Received]| {
            let new = received.get(looked_at..).unwrap_or_default();
            arrived += new.iter().filter(|event| event.key.starts_with(prefix)).count();
            looked_at = received.len();
            ensure!(arrived >= count, "{arrived} of {count} have arrived");
            Ok(())
        };
        self.consumer(sink).inbox().until(LOAD_DEADLINE, "events under load", condition).await?;
        self.steps.done(&format!("{count} events {prefix} have arrived at {sink:?}"));
        Ok(())
    }

    /// How many events of the prefix have arrived at a sink.
    pub(crate) fn arrived_at(&self, sink: Sink, prefix: &str) -> usize {
        let received = self.consumer(sink).inbox().received();
        received.iter().filter(|event| event.key.starts_with(prefix)).count()
    }

    fn consumer(&self, sink: Sink) -> &Consumer {
        match sink {
            Sink::Kafka => &self.kafka,
            Sink::Mqtt => &self.mqtt,
            Sink::Kusto => &self.kusto,
        }
    }

    /// Every change of the prefix that is committed, in order.
    pub(crate) async fn expected(&self, prefix: &str) -> Result<Vec<Expected>> {
        let mut expected = ledger::expected(self.graph().await?.client()).await?;
        expected.retain(|change| change.key.starts_with(prefix));
        ensure!(!expected.is_empty(), "the ledger has nothing of {prefix}");
        Ok(expected)
    }

    /// Waits until every change of the prefix has arrived at each sink and is confirmed to
    /// PostgreSQL; then nothing may be lost, out of order, under two ids, or made up.
    pub(crate) async fn settles(&self, prefix: &str) -> Result<Verdicts> {
        self.settles_after(prefix, "no fault").await
    }

    /// The same, from the end of a fault on; it explains what was repeated.
    pub(crate) async fn settles_after(&self, prefix: &str, fault: &str) -> Result<Verdicts> {
        let begun = Instant::now();
        let end = self.stack.servers.postgres.wal_end().await?;
        let expected = self.expected(prefix).await?;
        for (name, consumer) in [("Kafka", &self.kafka), ("MQTT", &self.mqtt), ("Kusto", &self.kusto)] {
            let all = Missing::of(&expected).tracker();
            consumer.inbox().until(LOAD_DEADLINE, &format!("all changes at {name}"), all).await?;
            self.steps.done(&format!("all {} changes {prefix} have arrived at {name}", expected.len()));
        }
        self.until_confirmed(end).await?;
        self.steps.done("all is confirmed to PostgreSQL");
        let arrivals = [&self.kafka, &self.mqtt, &self.kusto].map(|one| arrivals(one.inbox(), prefix));
        let verdicts = Verdicts(arrivals.each_ref().map(|arrivals| oracle::judge(&expected, arrivals)));
        self.steps.done(&format!("{prefix}, at Kafka, MQTT, Kusto: {}", account(&verdicts.0, fault, begun)));
        for (sink, verdict) in ["Kafka", "MQTT", "Kusto"].into_iter().zip(&verdicts.0) {
            ensure!(verdict.is_kept(), "{sink}: {}", brief(verdict));
        }
        let [kafka, mqtt, _] = &arrivals;
        ensure!(ids(kafka) == ids(mqtt), "an event has two ids: one at Kafka and one at MQTT");
        for inbox in [&self.kafka, &self.mqtt, &self.kusto].map(Consumer::inbox) {
            ensure!(inbox.faults().is_empty(), "{:?}", inbox.faults());
        }
        Ok(verdicts)
    }

    /// What the oracle says of the prefix at MQTT, where changes may be lost; what has arrived is in order.
    pub(crate) async fn verdict_at_mqtt(&self, prefix: &str) -> Result<Verdict> {
        let expected = self.expected(prefix).await?;
        let verdict = oracle::judge(&expected, &arrivals(self.mqtt.inbox(), prefix));
        ensure!(verdict.reordered.is_empty() && verdict.unexpected.is_empty(), "{}", brief(&verdict));
        Ok(verdict)
    }

    /// How far the slot is confirmed, in bytes.
    pub(crate) async fn confirmed(&self) -> Result<u64> {
        self.stack.servers.postgres.confirmed(SLOT).await
    }

    /// Waits until an endpoint is as it should be, by what routes-api says.
    pub(crate) async fn until_endpoint(
        &self,
        name: &str,
        deadline: Duration,
        fits: impl Fn(&EndpointState) -> bool,
    ) -> Result<EndpointState> {
        let client = routes::client(&self.stack).await?;
        wait::until(deadline, &format!("endpoint {name}"), async || {
            let request = GetEndpointRequest { name: name.to_owned() };
            let endpoint = client.clone().get_endpoint(request).await?.into_inner().endpoint;
            let state = endpoint.and_then(|endpoint| endpoint.state).context("no state")?;
            ensure!(fits(&state), "{state:?}");
            Ok(state)
        })
        .await
    }

    /// Waits until the slot has nothing to keep before `lsn`.
    pub(crate) async fn until_confirmed(&self, lsn: u64) -> Result<()> {
        until_confirmed(&self.stack, lsn).await
    }
}

/// Waits until the slot of a stack's workers has nothing to keep before `lsn`.
pub(crate) async fn until_confirmed(stack: &Stack, lsn: u64) -> Result<()> {
    wait::until(LOAD_DEADLINE, "the slot to follow", async || {
        let confirmed = stack.servers.postgres.confirmed(SLOT).await?;
        ensure!(confirmed >= lsn, "confirmed is {confirmed:X}, the end is {lsn:X}");
        Ok(())
    })
    .await
}

/// Updates that are being written.
pub(crate) struct Updates {
    writer: JoinHandle<Result<()>>,
}

impl Updates {
    /// Waits until all are committed.
    pub(crate) async fn end(self) -> Result<()> {
        self.writer.await?
    }
}
