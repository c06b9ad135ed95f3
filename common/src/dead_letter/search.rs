//! How letters are found: the folders of years, months, days and hours are walked from the newest on, and only as far as
//! they lie in the time that is asked for.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use object_store::path::Path;

use super::container::{Container, ContainerError};
use super::layout::{HOUR_LEN, LetterName, hour_of};

/// Which letters are looked for, by what their names say: the hours are whole ones.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The endpoint's folder.
    pub endpoint: &'a str,
    /// The first hour; `None` for the first there is.
    pub from: Option<Timestamp>,
    /// The last hour; `None` for the last there is.
    pub until: Option<Timestamp>,
    /// Only what comes behind this one in the order of names.
    pub behind: Option<&'a LetterName>,
}

/// The hours that a search looks into, as their folders' names.
struct Span {
    first: Option<String>,
    last: Option<String>,
}

impl Span {
    fn of(search: &Search<'_>) -> Self {
        let behind = search.behind.map(|name| name.hour.clone());
        let until = search.until.map(hour_of);
        Self { first: search.from.map(hour_of), last: until.into_iter().chain(behind).min() }
    }

    /// A folder of any depth can have something in it. Names have leading zeros, so that they compare as times do.
    fn meets(&self, folder: &str) -> bool {
        let cut = |hour: &Option<String>| {
            hour.as_ref().and_then(|hour| hour.get(..folder.len()).map(str::to_owned))
        };
        cut(&self.first).is_none_or(|first| *folder >= *first)
            && cut(&self.last).is_none_or(|last| *folder <= *last)
    }
}

impl Container {
    /// The first `max` names of a search, in their order. However many letters there are, no more than `max` names and
    /// the folders of a day are held.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, or does not answer in time.
    pub async fn names(&self, search: &Search<'_>, max: usize) -> Result<Vec<LetterName>, ContainerError> {
        let span = Span::of(search);
        let mut found = Vec::new();
        let mut folders = self.folders_in(search.endpoint, "", &span).await?;
        while let Some(folder) = folders.pop() {
            if found.len() >= max {
                break;
            }
            if folder.len() == HOUR_LEN {
                found.extend(self.names_of_hour(search, &folder, max - found.len()).await?);
            } else {
                folders.extend(self.folders_in(search.endpoint, &folder, &span).await?);
            }
        }
        Ok(found)
    }

    /// The folders in a folder of an endpoint, oldest first.
    async fn folders_in(
        &self,
        endpoint: &str,
        folder: &str,
        span: &Span,
    ) -> Result<Vec<String>, ContainerError> {
        let prefix = Path::from(format!("{endpoint}/{folder}"));
        let listed = self.timed(self.objects.store().list_with_delimiter(Some(&prefix))).await?;
        let names = listed.common_prefixes.iter().filter_map(|path| {
            let name = path.as_ref().strip_prefix(endpoint)?.strip_prefix('/')?;
            (name.len() <= HOUR_LEN && span.meets(name)).then(|| name.to_owned())
        });
        let mut folders: Vec<String> = names.collect();
        folders.sort_unstable();
        Ok(folders)
    }

    async fn names_of_hour(
        &self,
        search: &Search<'_>,
        hour: &str,
        max: usize,
    ) -> Result<BTreeSet<LetterName>, ContainerError> {
        let prefix = Path::from(format!("{}/{hour}", search.endpoint));
        let mut objects = self.objects.store().list(Some(&prefix));
        let mut names = BTreeSet::new();
        while let Some(object) = self.timed(objects.try_next()).await? {
            let name = LetterName::of_object(&object.location, search.endpoint);
            let Some(name) = name.filter(|name| search.behind.is_none_or(|behind| name > behind)) else {
                continue;
            };
            names.insert(name);
            if names.len() > max {
                names.pop_last();
            }
        }
        Ok(names)
    }

    /// The letter of an event, if there is one. Its time is not known, so all names may have to be looked at.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, or does not answer in time.
    pub async fn find(
        &self,
        endpoint: &str,
        event_id: uuid::Uuid,
    ) -> Result<Option<LetterName>, ContainerError> {
        let mut objects = self.objects.store().list(Some(&Path::from(endpoint)));
        while let Some(object) = self.timed(objects.try_next()).await? {
            let name = LetterName::of_object(&object.location, endpoint);
            if let Some(name) = name.filter(|name| name.event_id == event_id) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
