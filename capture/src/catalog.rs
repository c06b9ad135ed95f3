//! The durable subscriptions that this process serves: the configured one, and those that calls have created.

mod follower;

use std::collections::BTreeMap;

use tokio::sync::{Notify, watch};

pub use self::follower::Follower;
use crate::metrics::SubscriptionMetrics;
use crate::postgres::options::Created;
use crate::state::State;

/// A subscription that is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// What it was created with; `None` for the configured one.
    pub created: Option<Created>,
    /// What it is doing.
    pub state: watch::Receiver<State>,
    /// Shows how it is.
    pub metrics: SubscriptionMetrics,
}

/// All that are served. The rows in PostgreSQL are the truth, which the [`Follower`] follows.
#[derive(Debug)]
pub struct Catalog {
    configured: Served,
    created: watch::Sender<BTreeMap<String, Served>>,
    look: Notify,
}

impl Catalog {
    /// A catalog of the configured subscription alone.
    #[must_use]
    pub fn new(configured: Served) -> Self {
        let (created, _) = watch::channel(BTreeMap::new());
        Self { configured, created, look: Notify::new() }
    }

    /// The configured one.
    #[must_use]
    pub fn configured(&self) -> &Served {
        &self.configured
    }

    /// The created one of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Served> {
        self.created.borrow().get(name).cloned()
    }

    /// All of them: the configured one first, then the others by name.
    #[must_use]
    pub fn all(&self) -> Vec<Served> {
        let created = self.created.borrow();
        std::iter::once(&self.configured).chain(created.values()).cloned().collect()
    }

    /// A row was written: it is looked at now.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Waits until a created subscription is served; gives it.
    pub async fn appeared(&self, name: &str) -> Option<Served> {
        let mut created = self.created.subscribe();
        let there = created.wait_for(|created| created.contains_key(name)).await;
        there.ok().and_then(|created| created.get(name).cloned())
    }

    /// Waits until a created subscription is not served any more.
    pub async fn gone(&self, name: &str) {
        let mut created = self.created.subscribe();
        // The sender is ours, so this ends with the wait alone.
        drop(created.wait_for(|created| !created.contains_key(name)).await);
    }
}
