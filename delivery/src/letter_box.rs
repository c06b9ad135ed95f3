//! A container of dead letters as this worker writes to it: opened when it is needed, and anew after a failure, so that a
//! secret that was renewed takes effect.

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use tracing::warn;
use twinroute_common::causes::Causes;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::dead_letter::{Container, Failure, Letter};
use twinroute_common::route::DeadLetterContainer;
use twinroute_common::secret::{Secret, SecretError, SecretPolicy};

use crate::metrics::LetterCounters;

/// Finds the value of a secret.
pub type ResolveSecret = Arc<dyn Fn(&Secret) -> Result<SecretString, SecretError> + Send + Sync>;

/// Secrets are resolved as a policy allows it.
#[must_use]
pub fn resolve_by(policy: SecretPolicy) -> ResolveSecret {
    Arc::new(move |secret| policy.resolve(secret))
}

/// A letter could not be written; why, for people. It holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("the dead letter of event {event_id} cannot be written to {url}: {reason}")]
pub struct NotWritten {
    event_id: String,
    url: String,
    reason: String,
}

/// Opens a container to list, read and delete its letters.
///
/// # Errors
/// When there is no credential for that, or it cannot be resolved; why, for people.
pub(crate) fn open_to_read(
    container: &DeadLetterContainer,
    resolve: &ResolveSecret,
) -> Result<Container, String> {
    let sas = container.read_sas.as_ref().map(|sas| resolve(sas)).transpose();
    let sas = sas.map_err(|error| format!("dead_letter.read_sas: {}", Causes(&error)))?;
    Container::open(&container.url, sas.as_ref()).map_err(|error| error.to_string())
}

/// A container, and the folder in it that is written to.
#[derive(Clone)]
pub struct LetterBox {
    inner: Arc<Inner>,
}

struct Inner {
    folder: String,
    container: DeadLetterContainer,
    resolve: ResolveSecret,
    counters: LetterCounters,
    open: Mutex<Option<Container>>,
}

impl LetterBox {
    /// The folder `folder` of a container. No call is made to it.
    pub(crate) fn new(
        folder: &str,
        container: DeadLetterContainer,
        resolve: ResolveSecret,
        counters: LetterCounters,
    ) -> Self {
        let folder = folder.to_owned();
        Self { inner: Arc::new(Inner { folder, container, resolve, counters, open: Mutex::new(None) }) }
    }

    /// Writes the letter of an event. It is durable when this returns.
    ///
    /// # Errors
    /// When it may not be; it can be written again.
    pub(crate) async fn put(&self, event: &CloudEvent, failure: &Failure) -> Result<(), NotWritten> {
        let Inner { folder, container, counters, .. } = &*self.inner;
        let written = self.try_put(&Letter::new(folder, event, failure)).await;
        match written {
            Ok(()) => {
                counters.written.inc();
                let Failure { reason, code, attempts, .. } = failure;
                warn!(endpoint = %folder, event_id = %event.id, code, attempts, "dead letter: {reason}");
                Ok(())
            }
            Err(reason) => {
                counters.failures.inc();
                Err(NotWritten { event_id: event.id.to_string(), url: container.url.clone(), reason })
            }
        }
    }

    async fn try_put(&self, letter: &Letter) -> Result<(), String> {
        let container = self.container().map_err(|error| Causes(&*error).to_string())?;
        let put = container.put(letter).await;
        if put.is_err() {
            self.lock().take();
        }
        put.map_err(|error| Causes(&error).to_string())
    }

    fn container(&self) -> Result<Container, Box<dyn std::error::Error + Send + Sync>> {
        let mut open = self.lock();
        if let Some(container) = &*open {
            return Ok(container.clone());
        }
        let DeadLetterContainer { url, sas, .. } = &self.inner.container;
        let sas = sas.as_ref().map(|sas| (self.inner.resolve)(sas)).transpose()?;
        let container = Container::open(url, sas.as_ref())?;
        *open = Some(container.clone());
        Ok(container)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Container>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
