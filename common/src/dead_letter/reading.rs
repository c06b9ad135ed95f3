//! Letters are read: what they say of themselves, or all of them.

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStoreExt as _};

use super::container::{Container, ContainerError};
use super::head::LetterHead;
use super::layout::LetterName;

/// Read of a letter for its head, in bytes: attributes and reason are far shorter.
const HEAD_BYTES: u64 = 64 * 1024;
/// Largest letter that is read as a whole, in bytes: four times the largest event by default.
const LETTER_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl Container {
    /// What a letter says of itself; `None` when there is no such letter.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, does not answer in time, or has something else there.
    pub async fn head(
        &self,
        endpoint: &str,
        name: &LetterName,
    ) -> Result<Option<LetterHead>, ContainerError> {
        let object = name.object(endpoint);
        let no_letter = |why: String| ContainerError::NoLetter(format!("{object}: {why}"));
        let range = GetOptions { range: Some(GetRange::Bounded(0..HEAD_BYTES)), ..GetOptions::default() };
        let answer = match self.found(self.objects.store().get_opts(&object, range)).await {
            Ok(answer) => answer,
            Err(error) => {
                // No part of an empty object can be asked for.
                let meta = self.found(self.objects.store().head(&object)).await?;
                let is_empty = meta.is_some_and(|meta| meta.size == 0);
                return Err(if is_empty { no_letter("it is empty".to_owned()) } else { error });
            }
        };
        let Some(answer) = answer else { return Ok(None) };
        let bytes = answer.meta.size;
        let Some(beginning) = self.found(answer.bytes()).await? else { return Ok(None) };
        let head = LetterHead::read(&beginning).map_err(|error| no_letter(error.to_string()))?;
        Ok(Some(LetterHead { bytes, ..head }))
    }

    /// The whole letter; `None` when there is no such letter.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, does not answer in time, or the letter is too large to be held.
    pub async fn content(&self, endpoint: &str, name: &LetterName) -> Result<Option<Bytes>, ContainerError> {
        let object = name.object(endpoint);
        let Some(answer) = self.found(self.objects.store().get(&object)).await? else { return Ok(None) };
        let size = answer.meta.size;
        if size > LETTER_BYTES_MAX {
            let reason = format!("{object} has {size} bytes; take it from the container itself");
            return Err(ContainerError::NoLetter(reason));
        }
        self.found(answer.bytes()).await
    }
}
