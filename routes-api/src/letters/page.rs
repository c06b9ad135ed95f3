//! A page of dead letters: as many as are asked for, or as many as are found in a bounded look.

use futures_util::{StreamExt as _, stream};
use twinroute_common::dead_letter::{Container, ContainerError, LetterHead, LetterName, Selection};

use super::{CALLS_MAX, NAMES_MAX};

/// Letters looked at for one page. A selection that few of them fit gives short pages instead of long waits.
const LOOKED_AT_MAX: usize = 5_000;

/// A letter that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name.
    pub name: LetterName,
    /// What it says of itself.
    pub head: LetterHead,
}

/// A page of letters.
#[derive(Clone, Debug)]
pub struct Page {
    /// The letters.
    pub letters: Vec<Found>,
    /// The last one that was looked at; `None` when there are no more behind it.
    pub last: Option<LetterName>,
}

/// The letters of a selection behind `behind`, at most `size`.
///
/// # Errors
/// When the container refuses, cannot be reached, or does not answer in time.
pub async fn page(
    container: &Container,
    selection: &Selection,
    mut behind: Option<LetterName>,
    size: usize,
) -> Result<Page, ContainerError> {
    let mut letters = Vec::new();
    let mut looked_at = 0;
    while looked_at < LOOKED_AT_MAX {
        let names = container.names(&selection.search(behind.as_ref()), NAMES_MAX).await?;
        let count = names.len();
        looked_at += count;
        let next = names.last().cloned();
        let mut heads = stream::iter(selection.wanted(names))
            .map(|name| head(container, &selection.endpoint, name))
            .buffered(CALLS_MAX);
        while let Some((name, head)) = heads.next().await {
            let Some(head) = shown(head)? else { continue };
            if selection.has(&head) {
                letters.push(Found { name: name.clone(), head });
                if letters.len() == size {
                    return Ok(Page { letters, last: Some(name) });
                }
            }
        }
        if count < NAMES_MAX {
            return Ok(Page { letters, last: None });
        }
        behind = next;
    }
    Ok(Page { letters, last: behind })
}

/// A letter's head, with its name.
async fn head(
    container: &Container,
    endpoint: &str,
    name: LetterName,
) -> (LetterName, Result<Option<LetterHead>, ContainerError>) {
    let head = container.head(endpoint, &name).await;
    (name, head)
}

/// An object that is no letter is shown as such, or it could hide all others.
pub(super) fn shown(
    head: Result<Option<LetterHead>, ContainerError>,
) -> Result<Option<LetterHead>, ContainerError> {
    match head {
        Err(error @ ContainerError::NoLetter(_)) => {
            Ok(Some(LetterHead { reason: error.to_string(), ..LetterHead::default() }))
        }
        head => head,
    }
}
