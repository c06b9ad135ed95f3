//! A container of dead letters: opened by its URL and a SAS, and written to. What else is done with it: `search.rs`,
//! `reading.rs`, `deleting.rs`.

use std::sync::Arc;
use std::time::Duration;

use object_store::azure::MicrosoftAzureBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};
use secrecy::{ExposeSecret as _, SecretString};

use super::deleting::Deleting;
use super::letter::Letter;
use super::location::{Location, NoLocation};
use crate::causes::Causes;

/// How long one call to the store may take: a letter of 16 MiB at 5 Mbit/s.
pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A store answers with whole documents; their beginning says what is wrong.
const REASON_CHARS_MAX: usize = 400;

/// A container of dead letters.
#[derive(Clone, Debug)]
pub struct Container {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) deleting: Deleting,
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
        match Location::parse(url)? {
            Location::Directory(path) => {
                // Its default is to leave the data to the system's cache, where a power cut ends it.
                let directory = LocalFileSystem::new_with_prefix(path).map_err(opening)?;
                Ok(Self { store: Arc::new(directory.with_fsync(true)), deleting: Deleting::ByStore })
            }
            Location::Azure { service, account, container } => {
                let deleting = Deleting::ByCall {
                    http: reqwest::Client::new(),
                    container: format!("{service}/{container}"),
                    sas: sas.cloned(),
                };
                let builder = MicrosoftAzureBuilder::new()
                    .with_account(account)
                    .with_container_name(container)
                    .with_endpoint(service)
                    .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
                    .with_client_options(client_options());
                let builder = match sas {
                    Some(sas) => {
                        let pairs = object_store::azure::split_sas(sas.expose_secret());
                        builder.with_sas_authorization(pairs.map_err(opening)?)
                    }
                    // Otherwise it would ask the machine's metadata service for an identity.
                    None => builder.with_skip_signature(true),
                };
                Ok(Self { store: Arc::new(builder.build().map_err(opening)?), deleting })
            }
        }
    }

    /// Writes a letter, in place of the same one if it is there. It is durable when this returns.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, or does not answer in time; then it may have been written or not.
    pub async fn put(&self, letter: &Letter) -> Result<(), ContainerError> {
        let content: PutPayload = letter.content.iter().cloned().collect();
        self.timed(self.store.put(&letter.name, content)).await.map(|_| ())
    }

    /// A call about an object that need not be there.
    pub(super) async fn found<T>(
        &self,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, ContainerError> {
        let answer = self.timed(async {
            match call.await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                answer => answer.map(Some),
            }
        });
        answer.await
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

/// URLs of other machines are checked where they are configured: http is for emulators.
fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(true)
        .with_timeout(CALL_DEADLINE)
        .with_connect_timeout(CONNECT_DEADLINE)
        .with_default_content_type("application/cloudevents+json")
}

#[expect(clippy::needless_pass_by_value, reason = "it takes the place of a closure in map_err")]
fn opening(error: object_store::Error) -> ContainerError {
    ContainerError::Opening(brief(&error))
}

/// What the store said, on one line.
fn brief(error: &object_store::Error) -> String {
    let text = Causes(error).to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
