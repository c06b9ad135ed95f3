//! The factory without end, and the verdict about it: the ledger alone tells how far it has come, since every day of the
//! factory is the same.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::MissedTickBehavior;

use super::{
    arrival,
    change::{Change, End, Transaction},
    expectation::{Expectations, expectations},
    factory,
    writer::{PACE, record, show_marker, within_deadline},
};
use crate::{
    consumers::{Received, Sink},
    oracle::{Expected, Verdict, judge},
    servers::postgres,
    twins::{Graph, ledger},
};

/// How long the database is waited for after it was lost.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// What the generator has committed up to a moment.
#[derive(Debug)]
pub struct Generated {
    expectations: Expectations,
    changes: usize,
}

/// Keeps the factory of `graph`, which exists, busy for ever; a database that is away is waited for. Only one may do so.
///
/// # Errors
/// When the ledger holds what no generator wrote.
pub async fn generate(database: &str, graph: &str) -> Result<()> {
    loop {
        match session(database, graph).await {
            Ok(end) => return end,
            Err(error) => tracing::warn!("the database is lost: {error:#}"),
        }
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }
}

/// Works over one session. The outer error is of the session, the inner one of what was found.
async fn session(database: &str, graph: &str) -> Result<Result<()>> {
    let mut graph = Graph::open(database, graph).await?;
    ledger::create(graph.client()).await?;
    let entries = within_deadline(ledger::count(graph.client())).await?;
    let first = match next_transaction(entries) {
        Ok(first) => first,
        Err(error) => return Ok(Err(error)),
    };
    tracing::info!(transaction = first, "the factory works");
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in first.. {
        pace.tick().await;
        within_deadline(write(&mut graph, transaction(number))).await?;
    }
    Ok(Ok(()))
}

async fn write(graph: &mut Graph, transaction: Transaction) -> Result<()> {
    let open = graph.change().await?;
    for mut change in transaction.changes {
        record(&open, &mut change).await?;
    }
    match transaction.end {
        End::Commit => open.commit().await,
        End::Rollback => open.rollback().await,
    }
}

/// What has been committed until now.
///
/// # Errors
/// When the database does not answer, or the ledger holds what no generator wrote.
pub async fn generated(database: &str) -> Result<Generated> {
    let client = postgres::connect(database).await?;
    let committed = replay(within_deadline(ledger::expected(&client)).await?)?;
    Ok(Generated { expectations: expectations(&committed), changes: committed.len() })
}

impl Generated {
    /// How many changes.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// How many events or rows a sink must get.
    #[must_use]
    pub fn expected(&self, sink: Sink) -> usize {
        self.expectations.at(sink).len()
    }

    /// Judges what has arrived at a sink.
    #[must_use]
    pub fn judge(&self, sink: Sink, received: &[Received]) -> Verdict {
        judge(self.expectations.at(sink), &arrival::arrivals(received))
    }
}

/// The transaction with this number, the opening ones first.
fn transaction(number: usize) -> Transaction {
    let mut opening = factory::opening();
    match number.checked_sub(opening.len()) {
        None => opening.swap_remove(number),
        Some(number) => factory::transaction(number as u64),
    }
}

/// The number of the transaction after so many changes.
fn next_transaction(changes: usize) -> Result<usize> {
    let mut so_far = 0;
    for number in 0.. {
        if so_far >= changes {
            ensure!(so_far == changes, "the ledger ends in the middle of a transaction");
            return Ok(number);
        }
        let transaction = transaction(number);
        if transaction.end == End::Commit {
            so_far += transaction.changes.len();
        }
    }
    Ok(0)
}

/// The changes that the entries of the ledger stand for.
fn replay(entries: Vec<Expected>) -> Result<Vec<(Expected, Change)>> {
    let committed = (0..).map(transaction).filter(|transaction| transaction.end == End::Commit);
    let changes = committed.flat_map(|transaction| transaction.changes);
    let with_change = |(entry, mut change): (Expected, Change)| {
        let key = change.entity.key();
        ensure!(entry.key == key, "the ledger holds {entry:?}, where the factory changed {key}");
        show_marker(&mut change, entry.marker.parse().context("a marker is a number")?);
        Ok((entry, change))
    };
    entries.into_iter().zip(changes).map(with_change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of the first transactions, as the ledger numbers them.
    fn ledger(transactions: usize) -> Vec<Expected> {
        let committed = (0..transactions).map(transaction).filter(|it| it.end == End::Commit);
        let keys = committed.flat_map(|it| it.changes).map(|change| change.entity.key().to_owned());
        (1..).zip(keys).map(|(marker, key)| Expected { key, marker: marker.to_string() }).collect()
    }

    #[test]
    fn the_ledger_tells_where_to_go_on() -> Result<()> {
        for transactions in [0, 1, 9, 200, 500] {
            assert_eq!(next_transaction(ledger(transactions).len())?, transactions);
        }
        Ok(())
    }

    #[test]
    fn what_was_committed_is_known_from_the_ledger() -> Result<()> {
        // Given the ledger of some hundred transactions, in which numbers are missing: some were rolled back
        let mut entries = ledger(400);
        for entry in entries.iter_mut().skip(100) {
            entry.marker = (entry.marker.parse::<i64>()? + 7).to_string();
        }
        // Then each entry has its change, which shows its number
        let committed = replay(entries.clone())?;
        assert_eq!(committed.len(), entries.len());
        let (entry, change) = committed.last().context("a change")?;
        let shown = change.properties.get(ledger::MARKER).map(ToString::to_string);
        assert_eq!(shown.as_ref(), Some(&entry.marker));
        // And an entry of somebody else is found
        entries.swap(5, 300);
        assert!(replay(entries).is_err());
        Ok(())
    }
}
