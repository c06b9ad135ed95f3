//! What has arrived at a consumer: a list that only grows.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::sync::watch;

use super::Received;

/// How long arrivals are gathered before a condition is looked at again, which may read them all.
const GATHER: Duration = Duration::from_millis(10);

/// A list of events in the order of their arrival, and of what was wrong. Clones are one list.
#[derive(Clone, Debug)]
pub struct Inbox {
    content: Arc<Mutex<Content>>,
    /// How many entries there are.
    grown: Arc<watch::Sender<usize>>,
}

#[derive(Debug, Default)]
struct Content {
    received: Vec<Received>,
    faults: Vec<String>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { content: Arc::default(), grown: Arc::new(watch::Sender::new(0)) }
    }
}

impl Inbox {
    /// An arrival.
    pub fn push(&self, received: Received) {
        self.lock().received.push(received);
        self.grown.send_modify(|count| *count += 1);
    }

    /// Something arrived that is no proper event.
    pub fn fault(&self, text: String) {
        self.lock().faults.push(text);
        self.grown.send_modify(|count| *count += 1);
    }

    /// Forgets all that has arrived, so that it takes no memory.
    pub fn clear(&self) {
        *self.lock() = Content::default();
    }

    /// How many events have arrived.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().received.len()
    }

    /// Whether nothing has arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that have arrived.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// What arrived and is no proper event. A test that passes has none.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// Waits until more than `seen` events have arrived; gives back those after them.
    pub async fn after(&self, seen: usize) -> Vec<Received> {
        let mut grown = self.grown.subscribe();
        loop {
            let new = self.lock().received.get(seen..).unwrap_or_default().to_vec();
            // The sender lives as long as `self`.
            if !new.is_empty() || grown.changed().await.is_err() {
                return new;
            }
        }
    }

    /// Waits until `condition` holds for what has arrived; its errors mean "not yet, because".
    ///
    /// # Errors
    /// After `deadline`, with the last reason and the faults.
    pub async fn until<T>(
        &self,
        deadline: Duration,
        what: &str,
        mut condition: impl FnMut(&[Received]) -> Result<T>,
    ) -> Result<T> {
        let mut grown = self.grown.subscribe();
        let mut last = condition(&self.lock().received);
        let waiting = async {
            while last.is_err() && grown.changed().await.is_ok() {
                tokio::time::sleep(GATHER).await;
                last = condition(&self.lock().received);
            }
        };
        // Late or not, `last` tells.
        let _ = tokio::time::timeout(deadline, waiting).await;
        last.with_context(|| {
            let (count, faults) = (self.len(), self.faults());
            format!("waited {deadline:?} in vain for {what}; {count} arrived, faults: {faults:?}")
        })
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
