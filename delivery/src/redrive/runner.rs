//! The runner of one job: pass after pass over the letters of the partitions that are held, until none is left.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use twinroute_common::backoff::Backoff;
use twinroute_common::dead_letter::{Container, LetterName};
use uuid::Uuid;

use super::job::Job;
use super::letters::{self, Found, Scope};
use super::notes::Notes;
use super::{Containers, RedriveContext};
use crate::endpoint::{EndpointReport, Redrive};
use crate::holdings::Held;
use crate::letter_box::open_to_read;
use crate::settlement::LeaseId;

/// Waits before another pass, when one came to nothing.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The runner of one job.
pub(super) struct Runner {
    pub(super) job: Job,
    pub(super) context: RedriveContext,
    containers: watch::Receiver<Containers>,
    pub(super) notes: Arc<Notes>,
    /// Letters that are not sent by this job any more, though they may still be there.
    pub(super) passed_over: HashSet<Uuid>,
    /// Letters of events that are delivered, which could not be deleted.
    pub(super) undeleted: Vec<LetterName>,
}

/// What a pass works with.
pub(super) struct Pass<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) container: Container,
    pub(super) endpoint: mpsc::Sender<Redrive>,
    pub(super) endpoint_report: watch::Receiver<EndpointReport>,
    /// Cancelled when the pass is over.
    pub(super) over: CancellationToken,
}

impl Runner {
    pub(super) fn new(
        job: Job,
        context: RedriveContext,
        containers: watch::Receiver<Containers>,
        notes: Arc<Notes>,
    ) -> Self {
        Self { job, context, containers, notes, passed_over: HashSet::new(), undeleted: Vec::new() }
    }

    /// Runs until it is aborted: partitions may come to this worker until the job ends.
    pub(super) async fn run(mut self) {
        let mut holdings = self.context.holdings.watch();
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let held = Held::clone(&holdings.borrow_and_update());
            self.notes.count(held.count);
            let partitions = self.unfinished(&held);
            if partitions.is_empty() {
                if holdings.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let scope = Scope { partitions: &partitions, partition_count: held.count };
            match self.pass(scope).await {
                Ok(()) => {
                    self.notes.error("");
                    backoff.reset();
                }
                Err(why) => {
                    self.notes.error(&why);
                    // What changes may be what was in the way.
                    tokio::select! {
                        _ = holdings.changed() => {}
                        () = tokio::time::sleep(backoff.next()) => {}
                    }
                }
            }
        }
    }

    /// The partitions that are held and in which something may be left to do.
    fn unfinished(&self, held: &Held) -> HashMap<u32, LeaseId> {
        let held = held.by_number.iter().map(|(&partition, holding)| (partition, holding.lease));
        held.filter(|(partition, _)| !self.notes.is_finished(*partition)).collect()
    }

    /// Sends what there is, and notes the partitions in which nothing is left then. Why another pass has to wait.
    async fn pass(&mut self, scope: Scope<'_>) -> Result<(), String> {
        let container = self.container()?;
        self.delete_again(&container).await?;
        let pass = self.open(scope, container)?;
        // Also when the runner is aborted: what waits at the endpoint is given back.
        let _guard = pass.over.clone().drop_guard();
        let passed_over = |event_id: Uuid| self.passed_over.contains(&event_id);
        let found = letters::find(&pass.container, &self.job, scope, &passed_over).await;
        let Found { letters, is_cut, unreadable } = found.map_err(|error| error.to_string())?;
        for (event_id, why) in unreadable {
            self.give_up(event_id, &why);
        }
        let given_back = self.send(&pass, letters).await?;
        let held = Held::clone(&self.context.holdings.watch().borrow());
        let is_held = |partition: &u32, lease: &LeaseId| {
            held.by_number.get(partition).is_some_and(|holding| holding.lease == *lease)
        };
        if is_cut {
            return Ok(());
        }
        let finished = scope
            .partitions
            .iter()
            .filter(|(partition, lease)| !given_back.contains(*partition) && is_held(partition, lease));
        self.notes.finish(finished.map(|(partition, _)| *partition));
        Ok(())
    }

    fn open<'a>(&self, scope: Scope<'a>, container: Container) -> Result<Pass<'a>, String> {
        let routing = self.context.routing.load();
        let endpoint = routing.endpoints.get(self.job.selection.endpoint.as_str());
        let endpoint = endpoint.ok_or("the endpoint is not in force at the worker")?;
        Ok(Pass {
            scope,
            container,
            endpoint: endpoint.redrives(),
            endpoint_report: endpoint.report().clone(),
            over: CancellationToken::new(),
        })
    }

    fn container(&self) -> Result<Container, String> {
        let containers = self.containers.borrow();
        let container = containers.get(&self.job.selection.endpoint);
        let container = container.ok_or("the endpoint has no container for dead letters any more")?;
        open_to_read(container, &self.context.resolve_secret)
    }

    /// A letter that was sent and cannot be deleted would be sent again by whoever takes over: nothing else is sent
    /// before it is gone.
    async fn delete_again(&mut self, container: &Container) -> Result<(), String> {
        while let Some(name) = self.undeleted.last() {
            let deleted = container.delete(&self.job.selection.endpoint, name).await;
            deleted.map_err(|error| format!("a letter that was sent cannot be deleted: {error}"))?;
            self.undeleted.pop();
        }
        Ok(())
    }

    /// A letter cannot be sent by this job.
    pub(super) fn give_up(&mut self, event_id: Uuid, why: &str) {
        self.notes.outcome(event_id, false, why);
        self.passed_over.insert(event_id);
    }
}
