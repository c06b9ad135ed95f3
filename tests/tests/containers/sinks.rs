//! The sinks of the project as real consumers read them, and the oracle over what its generator has committed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hashbrown::HashSet;
use twinroute_tests::{
    consumers::{Consumer, Received, Sink, kafka, kusto, mqtt},
    demo::generator::{Generated, generated},
    oracle::Verdict,
    stack::{KAFKA_TOPIC, KUSTO_DATABASE, MQTT_TOPIC},
    wait,
};

use crate::project::Project;

/// How long all that was committed may take to arrive, after a fault and on a busy machine.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(90);

/// How long the ledger and the sinks may take to agree once all events are there: one commit was perhaps still on its way.
const VERDICT_DEADLINE: Duration = Duration::from_secs(15);

pub(crate) struct Sinks {
    consumers: [(Sink, Consumer); 3],
}

/// How much had arrived at a moment.
pub(crate) struct Mark([usize; 3]);

/// Subscribes at the MQTT broker of a project, which keeps nothing for those who come later.
pub(crate) async fn subscribe(project: &Project) -> Result<Consumer> {
    mqtt::consume("127.0.0.1", project.port("MQTT_PORT")?, MQTT_TOPIC).await
}

impl Sinks {
    /// Reads the other sinks too, from their beginnings. At Kafka that makes the topic: so it is done when the workers have
    /// made it, as they must.
    pub(crate) fn consume(project: &Project, mqtt: Consumer) -> Result<Self> {
        let brokers = format!("127.0.0.1:{}", project.port("KAFKA_PORT")?);
        let stand_in = format!("http://127.0.0.1:{}", project.port("KUSTO_PORT")?);
        let consumers = [
            (Sink::Kafka, kafka::consume(&brokers, KAFKA_TOPIC)?),
            (Sink::Mqtt, mqtt),
            (Sink::Kusto, kusto::consume(&stand_in, KUSTO_DATABASE, &kusto::TABLES)?),
        ];
        Ok(Self { consumers })
    }

    /// How much has arrived.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.consumers.each_ref().map(|(_, consumer)| consumer.inbox().len()))
    }

    /// How many copies of events that arrived after `mark` arrived too, at each sink.
    pub(crate) fn repeated_since(&self, Mark(lengths): &Mark) -> [usize; 3] {
        let mut lengths = lengths.iter();
        self.consumers.each_ref().map(|(_, consumer)| {
            let received = consumer.inbox().received();
            let before = lengths.next().copied().unwrap_or_default();
            let new = received.get(before..).unwrap_or_default();
            let ids: HashSet<_> = new.iter().map(|event| &event.id).collect();
            new.len() - ids.len()
        })
    }

    /// Waits until all that the generator has committed is at every sink; it must be paused. Then nothing is lost, out of
    /// order or made up. Gives back how many changes there were.
    pub(crate) async fn have_all(&self, database: &str) -> Result<usize> {
        let committed = generated(database).await?;
        ensure!(committed.changes() > 0, "the generator has done nothing");
        for (sink, consumer) in &self.consumers {
            let expected = committed.expected(*sink);
            let mut ids = HashSet::new();
            let mut looked_at = 0;
            let counted = consumer.inbox().until(ARRIVAL_DEADLINE, "all events", |received| {
                ids.extend(received.iter().skip(looked_at).map(|event| event.id.clone()));
                looked_at = received.len();
                ensure!(ids.len() >= expected, "{} of {expected} events", ids.len());
                Ok(())
            });
            let counted = counted.await.with_context(|| format!("{sink:?}"));
            // The verdict names what is missing.
            counted.map_err(|error| match verdict(&committed, *sink, &consumer.inbox().received()) {
                Ok(_) => error,
                Err(verdict) => error.context(verdict),
            })?;
        }
        wait::until(VERDICT_DEADLINE, "the ledger and the sinks to agree", async || {
            let committed = generated(database).await?;
            for (sink, consumer) in &self.consumers {
                verdict(&committed, *sink, &consumer.inbox().received())?;
                let faults = consumer.inbox().faults();
                ensure!(faults.is_empty(), "{sink:?}: {faults:?}");
            }
            Ok(committed.changes())
        })
        .await
    }
}

/// Judges what has arrived at a sink; names the first culprits.
fn verdict(committed: &Generated, sink: Sink, received: &[Received]) -> Result<Verdict> {
    let verdict = committed.judge(sink, received);
    let Verdict { lost, reordered, split, unexpected, .. } = &verdict;
    ensure!(
        verdict.is_kept(),
        "{sink:?}: {} lost {:?}, {} reordered {:?}, {} split {:?}, {} unexpected {:?}",
        lost.len(),
        lost.first(),
        reordered.len(),
        reordered.first(),
        split.len(),
        split.first(),
        unexpected.len(),
        unexpected.first(),
    );
    Ok(verdict)
}
