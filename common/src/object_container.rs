//! A container of objects: a directory, or one of Azure Blob Storage. What is written is durable before the call returns.

mod location;

use std::sync::Arc;
use std::time::Duration;

use object_store::azure::MicrosoftAzureBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

pub use location::{Location, NoLocation};

use crate::causes::Causes;

/// How long connecting may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Length of what is told of an answer, in characters.
const REASON_CHARS_MAX: usize = 400;
/// What stands for the store in errors of calls that are made without it.
const AZURE: &str = "Azure Blob Storage";

/// A container of objects.
#[derive(Clone, Debug)]
pub struct ObjectContainer {
    store: Arc<dyn ObjectStore>,
    deleting: Deleting,
}

/// How objects are deleted.
#[derive(Clone, Debug)]
enum Deleting {
    /// By the store itself: a directory.
    ByStore,
    /// By one call to Azure Blob Storage for each ("Delete Blob"): a batch, as the store would send, needs other rights,
    /// and emulators do not have it.
    ByCall {
        http: reqwest::Client,
        /// URL of the container.
        container: String,
        sas: Option<SecretString>,
        timeout: Duration,
    },
}

/// How a container is used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// How long one call over the network may take.
    pub timeout: Duration,
    /// The content type of its objects.
    pub content_type: &'static str,
}

impl ObjectContainer {
    /// Opens a container; no call is made to it. Without a SAS it is asked anonymously.
    ///
    /// # Errors
    /// When the directory does not exist, the SAS is none, or TLS cannot be set up.
    pub fn open(location: Location, sas: Option<&SecretString>, usage: Usage) -> Result<Self, Error> {
        let (service, account, container) = match location {
            Location::Directory(path) => {
                // Its default is to leave the data to the system's cache, where a power cut ends it.
                let directory = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
                let directory = directory.with_automatic_cleanup(true);
                return Ok(Self { store: Arc::new(directory), deleting: Deleting::ByStore });
            }
            Location::Azure { service, account, container } => (service, account, container),
        };
        let deleting = Deleting::ByCall {
            http: reqwest::Client::new(),
            container: format!("{service}/{container}"),
            sas: sas.cloned(),
            timeout: usage.timeout,
        };
        let builder = MicrosoftAzureBuilder::new()
            .with_account(account)
            .with_container_name(container)
            .with_endpoint(service)
            // Who uses the container tries again in its own way.
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_client_options(client_options(usage));
        let builder = match sas {
            Some(sas) => {
                let pairs = object_store::azure::split_sas(sas.expose_secret())?;
                builder.with_sas_authorization(pairs)
            }
            // Otherwise it would ask the machine's metadata service for an identity.
            None => builder.with_skip_signature(true),
        };
        Ok(Self { store: Arc::new(builder.build()?), deleting })
    }

    /// What the objects are written and read with. They are deleted and renamed by the container itself.
    #[must_use]
    pub fn store(&self) -> &dyn ObjectStore {
        &*self.store
    }

    /// Deletes an object. One that is not there is deleted already.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, or does not answer in time.
    pub async fn delete(&self, object: &Path) -> Result<(), Error> {
        let deleted = match &self.deleting {
            Deleting::ByStore => self.store.delete(object).await,
            Deleting::ByCall { http, container, sas, timeout } => {
                let sas = sas.as_ref().map(SecretString::expose_secret).unwrap_or_default();
                let url = format!("{container}/{object}?{}", sas.trim_start_matches('?'));
                let answer = http.delete(url).timeout(*timeout).send().await;
                // The URL has the signature in it.
                answer
                    .map_err(|error| refused(error.without_url()))
                    .and_then(|answer| judge(object, answer.status()))
            }
        };
        match deleted {
            Err(Error::NotFound { .. }) => Ok(()),
            deleted => deleted,
        }
    }

    /// Gives an object another name, in place of what has that one. In a directory that is one step; elsewhere the object has
    /// both names for a moment.
    ///
    /// # Errors
    /// When there is no such object, or the store refuses, cannot be reached, or does not answer in time.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        match &self.deleting {
            Deleting::ByStore => self.store.rename(from, to).await,
            Deleting::ByCall { .. } => {
                let content = self.store.get(from).await?.bytes().await?;
                self.store.put(to, PutPayload::from(content)).await?;
                self.delete(from).await
            }
        }
    }
}

fn judge(object: &Path, status: StatusCode) -> Result<(), Error> {
    match status {
        StatusCode::NOT_FOUND => Ok(()),
        status if status.is_success() => Ok(()),
        status => Err(refused(format!("{object} was not deleted: {status}"))),
    }
}

fn refused(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: AZURE, source: source.into() }
}

/// URLs of other machines are checked where they are configured: http is for emulators.
fn client_options(usage: Usage) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(true)
        .with_timeout(usage.timeout)
        .with_connect_timeout(CONNECT_DEADLINE.min(usage.timeout))
        .with_default_content_type(usage.content_type)
}

/// What a store said, on one line, and no more of it than that takes: stores answer with whole documents, whose beginning
/// says what is wrong.
#[must_use]
pub fn brief(error: &Error) -> String {
    let text = Causes(error).to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage { timeout: Duration::from_secs(30), content_type: "text/plain" };

    #[tokio::test]
    async fn an_object_is_renamed_and_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::Directory(directory.path().to_owned());
        let container = ObjectContainer::open(location, None, USAGE).unwrap();
        let [from, to] = ["a/b/from", "a/c/to"].map(Path::from);
        container.store().put(&from, "content".into()).await.unwrap();

        container.rename(&from, &to).await.unwrap();
        let again = container.rename(&from, &to).await;
        assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
        let content = container.store().get(&to).await.unwrap().bytes().await.unwrap();
        assert_eq!(content, "content");

        // deleted twice, with the folders that it was the last in
        container.delete(&to).await.unwrap();
        container.delete(&to).await.unwrap();
        assert!(!directory.path().join("a/c").exists());
    }

    #[tokio::test]
    async fn a_refusal_shows_no_signature() {
        // given a store that nobody serves, and a SAS
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let sas = SecretString::from("sv=2021-06-08&sp=rwdl&sig=c2VjcmV0");
        let location = Location::parse(&format!("http://127.0.0.1:{port}/account/backlog")).unwrap();
        let container = ObjectContainer::open(location, Some(&sas), USAGE).unwrap();

        // when something is deleted, renamed or read, then it says why, without the signature
        let object = Path::from("a");
        let errors = [
            container.delete(&object).await.unwrap_err(),
            container.rename(&object, &Path::from("b")).await.unwrap_err(),
            container.store().list_with_delimiter(None).await.unwrap_err(),
        ];
        for error in errors {
            let error = brief(&error);
            assert!(!error.contains("c2VjcmV0") && !error.is_empty(), "{error}");
        }
    }
}
