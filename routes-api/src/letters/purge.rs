//! Dead letters are deleted for good.

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use twinroute_common::dead_letter::{Container, ContainerError, LetterName, Selection};

use super::page::shown;
use super::{CALLS_MAX, NAMES_MAX};

/// Letters deleted by one call: a minute's work.
const PURGED_MAX: u64 = 10_000;

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Number of letters.
    pub letters: u64,
    /// There may be more.
    pub more: bool,
}

/// Deletes the letters of a selection, as far as one call goes.
///
/// # Errors
/// When the container refuses, cannot be reached, or does not answer in time; some letters may be deleted by then.
pub async fn purge(
    container: &Container,
    selection: &Selection,
    stop: &CancellationToken,
) -> Result<Purged, ContainerError> {
    let mut purged = Purged::default();
    let mut behind: Option<LetterName> = None;
    loop {
        let names = container.names(&selection.search(behind.as_ref()), NAMES_MAX).await?;
        purged.more = names.len() == NAMES_MAX;
        behind = names.last().cloned();
        let mut deletions = stream::iter(selection.wanted(names))
            .map(|name| purge_one(container, selection, name))
            .buffer_unordered(CALLS_MAX);
        while let Some(deleted) = deletions.next().await {
            purged.letters += u64::from(deleted?);
        }
        if !purged.more || purged.letters >= PURGED_MAX || stop.is_cancelled() {
            return Ok(purged);
        }
    }
}

/// Deletes a letter if it is one of the selection; whether it was.
async fn purge_one(
    container: &Container,
    selection: &Selection,
    name: LetterName,
) -> Result<bool, ContainerError> {
    if selection.needs_head() {
        let head = shown(container.head(&selection.endpoint, &name).await)?;
        if !head.is_some_and(|head| selection.has(&head)) {
            return Ok(false);
        }
    }
    container.delete(&selection.endpoint, &name).await?;
    Ok(true)
}
