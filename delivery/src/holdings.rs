//! The partitions that this worker holds: the stream says so, and the endpoints look what is parked of them.

use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::watch;
use twinroute_common::partition::Epoch;

use crate::settlement::LeaseId;

/// One partition that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The lease.
    pub lease: LeaseId,
    /// Its epoch.
    pub epoch: Epoch,
    /// CloudEvents `sequence` up to which the partition was settled when it was granted; `None` when capture did not know.
    pub settled: Option<String>,
}

/// The partitions that are held, by number.
pub type Held = Arc<HashMap<u32, Holding>>;

/// Says which partitions are held.
#[derive(Clone, Debug)]
pub struct Holdings(watch::Sender<Held>);

impl Default for Holdings {
    fn default() -> Self {
        Self(watch::Sender::new(Held::default()))
    }
}

impl Holdings {
    /// What is held now, and whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Held> {
        self.0.subscribe()
    }

    /// Partitions were granted.
    pub fn grant(&self, granted: impl IntoIterator<Item = (u32, Holding)>) {
        self.0.send_modify(|held| Arc::make_mut(held).extend(granted));
    }

    /// Leases are over.
    pub fn end(&self, is_over: impl Fn(LeaseId) -> bool) {
        self.0.send_modify(|held| Arc::make_mut(held).retain(|_, holding| !is_over(holding.lease)));
    }
}
