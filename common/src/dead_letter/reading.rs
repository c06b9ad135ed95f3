//! Letters are read: what they say of themselves, or all of them.

use bytes::Bytes;
use object_store::ObjectStoreExt as _;

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
        let beginning = self.found(self.store.get_range(&object, 0..HEAD_BYTES)).await?;
        let head = beginning.map(|beginning| LetterHead::read(&beginning)).transpose();
        head.map_err(|error| ContainerError::NoLetter(format!("{object}: {error}")))
    }

    /// The whole letter; `None` when there is no such letter.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, does not answer in time, or the letter is too large to be held.
    pub async fn content(&self, endpoint: &str, name: &LetterName) -> Result<Option<Bytes>, ContainerError> {
        let object = name.object(endpoint);
        let Some(answer) = self.found(self.store.get(&object)).await? else { return Ok(None) };
        let size = answer.meta.size;
        if size > LETTER_BYTES_MAX {
            let reason = format!("{object} has {size} bytes; take it from the container itself");
            return Err(ContainerError::Refused(reason));
        }
        self.found(answer.bytes()).await
    }
}
