//! Writes transactions through Cypher, each change with its entry in the ledger in the same one.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hashbrown::HashMap;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

use super::{
    change::{Change, End, Entity, Operation, Transaction},
    factory,
};
use crate::{
    oracle::Expected,
    twins::{self, Graph, Relationship, Twin, ledger},
};

/// Time from one transaction to the next: a rate that even a busy machine keeps.
pub(super) const PACE: Duration = Duration::from_millis(33);

/// How long PostgreSQL may take for a transaction, or to read the ledger.
const DEADLINE: Duration = Duration::from_secs(30);

/// What was tried, by its marker in the ledger. The ledger tells what of it was committed.
pub(super) type Journal = HashMap<String, Change>;

/// What was committed so far, in its order.
pub(super) type Committed = Vec<(Expected, Change)>;

/// One session, so that the ledger's order is that of the commits.
pub(super) struct Writer {
    graph: Graph,
    journal: Journal,
    committed: watch::Sender<Committed>,
}

impl Writer {
    /// Writes over the session of `graph`.
    pub(super) fn new(graph: Graph) -> Self {
        Self { graph, journal: Journal::new(), committed: watch::Sender::default() }
    }

    /// What has been committed so far.
    pub(super) fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.subscribe()
    }

    /// Builds the factory and keeps it busy for `duration`.
    pub(super) async fn run(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        for transaction in factory::opening() {
            within_deadline(self.write(transaction)).await?;
        }
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0.. {
            pace.tick().await;
            if Instant::now() >= end {
                break;
            }
            within_deadline(self.write(factory::transaction(number))).await?;
        }
        Ok(())
    }

    /// What was committed, in its order: the ledger's word, with what the journal knows of it.
    pub(super) async fn committed_changes(self) -> Result<Committed> {
        let Self { graph, mut journal, .. } = self;
        let ledger = within_deadline(ledger::expected(graph.client())).await?;
        let with_change = |entry: Expected| {
            let change = journal.remove(&entry.marker);
            let change = change.with_context(|| format!("the ledger holds {entry:?}, which nobody wrote"))?;
            Ok((entry, change))
        };
        ledger.into_iter().map(with_change).collect()
    }

    async fn write(&mut self, transaction: Transaction) -> Result<()> {
        let Self { graph, journal, committed } = self;
        let Transaction { changes, end } = transaction;
        let open = graph.change().await?;
        let mut written = Committed::new();
        for mut change in changes {
            let marker = record(&open, &mut change).await?.to_string();
            journal.insert(marker.clone(), change.clone());
            written.push((Expected { key: change.entity.key().to_owned(), marker }, change));
        }
        match end {
            End::Commit => {
                open.commit().await?;
                committed.send_modify(|so_far| so_far.extend(written));
            }
            End::Rollback => open.rollback().await?,
        }
        Ok(())
    }
}

/// Enters a change into the ledger and makes it; gives back its marker.
pub(super) async fn record(open: &twins::Change<'_>, change: &mut Change) -> Result<i64> {
    let marker = open.mark(change.entity.key()).await?;
    show_marker(change, marker);
    apply(open, change).await?;
    Ok(marker)
}

/// Gives a change the property that shows its entry in the ledger, if it has properties.
pub(super) fn show_marker(change: &mut Change, marker: i64) {
    if !matches!(change.entity, Entity::Model(_)) && change.operation != Operation::Delete {
        change.properties.insert(ledger::MARKER.to_owned(), json!(marker));
    }
}

pub(super) async fn within_deadline<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = tokio::time::timeout(DEADLINE, work).await;
    done.context("PostgreSQL does not answer; its log may tell why")?
}

async fn apply(open: &twins::Change<'_>, change: &Change) -> Result<()> {
    let Change { entity, operation, properties } = change;
    match (entity, operation) {
        (Entity::Model(id), Operation::Create | Operation::Update) => {
            open.put_model(id, &factory::dtdl(id)).await
        }
        (Entity::Model(id), Operation::Delete) => open.delete_model(id).await,
        (Entity::Twin { id, model }, Operation::Create) => {
            let twin = Twin { id: id.clone(), model: model.clone(), properties: properties.clone() };
            open.put_twin(&twin).await
        }
        (Entity::Twin { id, .. }, Operation::Update) => open.set(id, properties.clone().into()).await,
        (Entity::Twin { id, .. }, Operation::Delete) => open.delete_twin(id).await,
        (Entity::Relationship { id, name, source, target }, operation) => {
            let relationship = Relationship {
                id: id.clone(),
                name: name.clone(),
                source: source.clone(),
                target: target.clone(),
                properties: properties.clone(),
            };
            match operation {
                Operation::Create => open.relate(&relationship).await,
                Operation::Update => open.update_relationship(&relationship).await,
                Operation::Delete => open.delete_relationship(name, id).await,
            }
        }
    }
}
