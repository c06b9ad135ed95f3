//! The letters of a job: found in the container, and read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hashbrown::HashMap;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::dead_letter::{Container, ContainerError, Letter, LetterHead, LetterName};
use twinroute_common::partition::partition_of;
use uuid::Uuid;

use super::job::Job;
use super::plan::{Plan, Planned};
use crate::retry::Retries;
use crate::settlement::LeaseId;

/// Letters sent in one pass: about 10 MB of names. What is behind them comes in the next pass.
const LETTERS_MAX: usize = 50_000;
/// Names looked at at a time.
const NAMES_MAX: usize = 1_000;
/// Letters whose beginnings are read at a time.
const CALLS_MAX: usize = 16;
/// Objects that are no letters told in one pass.
const UNREADABLE_MAX: usize = 1_000;
/// Attempts of a call, and the waits between them.
const RETRIES: Retries = Retries { attempts: 4, waits: (Duration::from_millis(200), Duration::from_secs(2)) };

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The letters to send, in order.
    pub(super) letters: Vec<Planned>,
    /// There are more behind them.
    pub(super) is_cut: bool,
    /// Objects that are no letters, and why.
    pub(super) unreadable: Vec<(Uuid, String)>,
}

/// The partitions that a pass is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Those that are held, with their leases.
    pub(super) partitions: &'a HashMap<u32, LeaseId>,
    /// Number of partitions that there are.
    pub(super) partition_count: u32,
}

/// Finds the letters of a job in some partitions that it has not sent yet.
///
/// # Errors
/// When the container refuses, cannot be reached, or does not answer in time.
pub(super) async fn find(
    container: &Container,
    job: &Job,
    scope: Scope<'_>,
    passed_over: &impl Fn(Uuid) -> bool,
) -> Result<Found, ContainerError> {
    let folder = &job.selection.endpoint;
    let mut plan = Plan::new(LETTERS_MAX);
    let mut unreadable = Vec::new();
    let mut behind: Option<LetterName> = None;
    loop {
        let search = job.selection.search(behind.as_ref());
        let names = patiently(|| container.names(&search, NAMES_MAX)).await?;
        let is_last = names.len() < NAMES_MAX;
        let last = names.last().cloned();
        let mut heads = stream::iter(job.selection.wanted(names))
            .filter(|name| std::future::ready(!passed_over(name.event_id())))
            .map(|name| async { (patiently(|| container.head(folder, &name)).await, name) })
            .buffer_unordered(CALLS_MAX);
        while let Some((head, name)) = heads.next().await {
            match head {
                Ok(None) => {}
                Ok(Some(head)) => plan_one(&mut plan, job, scope, head, name),
                // It has no ordering key; one worker is enough to tell. The rest comes with the next pass.
                Err(ContainerError::NoLetter(why)) => {
                    if scope.partitions.contains_key(&0) && unreadable.len() < UNREADABLE_MAX {
                        unreadable.push((name.event_id(), why));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        drop(heads);
        behind = last;
        if is_last {
            let (letters, is_cut) = plan.into_order();
            return Ok(Found { letters, is_cut: is_cut || unreadable.len() == UNREADABLE_MAX, unreadable });
        }
    }
}

fn plan_one(plan: &mut Plan, job: &Job, scope: Scope<'_>, head: LetterHead, name: LetterName) {
    let partition = partition_of(&head.partition_key, scope.partition_count);
    let was_sent = *head.redrive == *job.id;
    if !was_sent && scope.partitions.contains_key(&partition) && job.selection.has(&head) {
        let LetterHead { sequence, dead_letter_time, bytes, .. } = head;
        plan.add(Planned { sequence, dead_letter_time, name, partition, bytes });
    }
}

/// Reads the event of a letter; `None` when it was deleted meanwhile, or sent by this job.
///
/// # Errors
/// When the container cannot be read; inside, when the letter is none.
pub(super) async fn read(
    container: &Container,
    job: &Job,
    name: &LetterName,
) -> Result<Option<Result<Arc<CloudEvent>, String>>, ContainerError> {
    let content = match patiently(|| container.content(&job.selection.endpoint, name)).await {
        Err(ContainerError::NoLetter(why)) => return Ok(Some(Err(why))),
        content => content?,
    };
    let Some(content) = content else { return Ok(None) };
    let was_sent = LetterHead::read(&content).is_ok_and(|head| *head.redrive == *job.id);
    let event = || Letter::event(&content).map(Arc::new).map_err(|error| error.to_string());
    Ok(if was_sent { None } else { Some(event()) })
}

/// One call that fails among thousands must not cost the whole pass.
async fn patiently<T, Call>(call: impl FnMut() -> Call) -> Result<T, ContainerError>
where
    Call: Future<Output = Result<T, ContainerError>>,
{
    RETRIES.run(|error| matches!(error, ContainerError::Refused(_)), call).await
}
