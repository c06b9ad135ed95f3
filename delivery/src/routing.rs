//! The routing in force: a route table made ready, and the endpoints it leads to, always of one version.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use tokio::sync::watch;
use twinroute_common::matching::{CompiledTable, EndpointName};

use crate::endpoint::EndpointHandle;

/// One version of the routing.
#[derive(Debug, Default)]
pub struct Routing {
    /// Version of the route table; 0 when there is none yet.
    pub version: u64,
    /// What matches what.
    pub table: CompiledTable,
    /// The endpoints of the table.
    pub endpoints: HashMap<EndpointName, EndpointHandle>,
}

/// The routing in force, swapped as a whole. Its version never goes back.
#[derive(Debug)]
pub struct CurrentRouting {
    routing: ArcSwap<Routing>,
    version: watch::Sender<u64>,
}

impl CurrentRouting {
    /// No routing yet.
    #[must_use]
    pub fn none() -> Arc<Self> {
        let (version, _) = watch::channel(0);
        Arc::new(Self { routing: ArcSwap::default(), version })
    }

    /// The routing now.
    #[must_use]
    pub fn load(&self) -> Arc<Routing> {
        self.routing.load_full()
    }

    /// The version now, and whenever it changes.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Puts a routing in force, unless it is older than the one that is.
    pub(crate) fn replace(&self, routing: Routing) {
        let version = routing.version;
        debug_assert!(version >= self.load().version, "the version never goes back");
        self.routing.store(Arc::new(routing));
        self.version.send_replace(version);
    }

    /// Takes everything out of force, at the end of the process.
    pub(crate) fn clear(&self) {
        self.routing.store(Arc::default());
    }
}
