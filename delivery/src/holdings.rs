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

/// The partitions that are held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions {
    /// Those that are held, by number.
    pub by_number: HashMap<u32, Holding>,
    /// Number of partitions that there are, whoever holds them; 0 before capture has told.
    pub count: u32,
    /// Capture has told on the present stream which are held.
    pub are_told: bool,
}

/// The partitions that are held, as of now.
pub type Held = Arc<Partitions>;

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

    /// Capture has told how many partitions there are.
    pub fn welcomed(&self, partition_count: u32) {
        self.0.send_modify(|partitions| Arc::make_mut(partitions).count = partition_count);
    }

    /// Partitions were granted.
    pub fn grant(&self, granted: impl IntoIterator<Item = (u32, Holding)>) {
        self.0.send_modify(|partitions| {
            let partitions = Arc::make_mut(partitions);
            partitions.by_number.extend(granted);
            partitions.are_told = true;
        });
    }

    /// Capture has had the time to grant something: what it has not, others hold.
    pub fn told(&self) {
        self.0.send_if_modified(|partitions| {
            let is_news = !partitions.are_told;
            if is_news {
                Arc::make_mut(partitions).are_told = true;
            }
            is_news
        });
    }

    /// The stream has ended, and all leases with it.
    pub fn lost(&self) {
        self.0.send_modify(|partitions| {
            let partitions = Arc::make_mut(partitions);
            partitions.by_number.clear();
            partitions.are_told = false;
        });
    }

    /// Leases are over.
    pub fn end(&self, is_over: impl Fn(LeaseId) -> bool) {
        let is_held = |holding: &Holding| !is_over(holding.lease);
        self.0.send_modify(|partitions| {
            Arc::make_mut(partitions).by_number.retain(|_, holding| is_held(holding))
        });
    }
}
