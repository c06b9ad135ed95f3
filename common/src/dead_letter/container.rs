//! A container of dead letters: opened by its URL and a SAS, written to, and deleted from. What else is done with it:
//! `search.rs`, `reading.rs`.

use std::time::Duration;

use object_store::{ObjectStoreExt as _, PutPayload};
use secrecy::SecretString;

use super::layout::LetterName;
use super::letter::Letter;
use crate::causes::Causes;
use crate::object_container::{Location, NoLocation, ObjectContainer, Usage, brief};

/// How long one call to the store may take: a letter of 16 MiB at 5 Mbit/s.
pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// What a store says of an object in the Archive tier.
const WITHHELD: &str = "the container does not hand it out; is it in the Archive tier, or being rehydrated?";
/// The content type of letters: structured CloudEvents.
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// A container of dead letters.
#[derive(Clone, Debug)]
pub struct Container {
    pub(super) objects: ObjectContainer,
}

/// A container cannot be used, or did not do what it was asked. Whoever asked decides whether to try again.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The URL leads to none.
    #[error("the container's URL {0}")]
    Location(#[from] NoLocation),
    /// The directory is missing, the SAS is none, or TLS cannot be set up.
    #[error("the container cannot be opened: {0}")]
    Opening(String),
    /// The store refused, or could not be reached.
    #[error("the container refused: {0}")]
    Refused(String),
    /// What is there is no letter.
    #[error("it is no dead letter: {0}")]
    NoLetter(String),
    /// The store gave no answer in time.
    #[error("the container has not answered within {} s", CALL_DEADLINE.as_secs())]
    Silent,
}

impl Container {
    /// Opens a container; no call is made to it. Without a SAS it is asked anonymously.
    ///
    /// # Errors
    /// When the URL leads to none, or the directory does not exist.
    pub fn open(url: &str, sas: Option<&SecretString>) -> Result<Self, ContainerError> {
        let usage = Usage { timeout: CALL_DEADLINE, content_type: CONTENT_TYPE };
        let opened = ObjectContainer::open(Location::parse(url)?, sas, usage);
        let objects = opened.map_err(|error| ContainerError::Opening(brief(&error)))?;
        Ok(Self { objects })
    }

    /// Writes a letter, in place of the same one if it is there. It is durable when this returns.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, or does not answer in time; then it may have been written or not.
    pub async fn put(&self, letter: &Letter) -> Result<(), ContainerError> {
        let content: PutPayload = letter.content.iter().cloned().collect();
        self.timed(self.objects.store().put(&letter.name, content)).await.map(|_| ())
    }

    /// Deletes a letter. One that is not there is deleted already.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, or does not answer in time.
    pub async fn delete(&self, endpoint: &str, name: &LetterName) -> Result<(), ContainerError> {
        self.timed(self.objects.delete(&name.object(endpoint))).await
    }

    /// A read of an object that need not be there, nor be handed out.
    pub(super) async fn found<T>(
        &self,
        read: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, ContainerError> {
        match self.timed(async { Ok(read.await) }).await? {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) if is_withheld(&error) => {
                Err(ContainerError::NoLetter(format!("{WITHHELD}: {}", brief(&error))))
            }
            Err(error) => Err(ContainerError::Refused(brief(&error))),
        }
    }

    /// A call that has a deadline, whatever the store is.
    pub(super) async fn timed<T>(
        &self,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ContainerError> {
        match tokio::time::timeout(CALL_DEADLINE, call).await {
            Ok(answer) => answer.map_err(|error| ContainerError::Refused(brief(&error))),
            Err(_) => Err(ContainerError::Silent),
        }
    }
}

/// `AlreadyExists` is what a 409 becomes; that of a read says why (Azure Blob Storage, "Blob service error codes").
fn is_withheld(error: &object_store::Error) -> bool {
    let text = Causes(error).to_string();
    let is_said = ["BlobArchived", "BlobBeingRehydrated"].iter().any(|code| text.contains(code));
    matches!(error, object_store::Error::AlreadyExists { .. }) && is_said
}

#[cfg(test)]
mod tests;
