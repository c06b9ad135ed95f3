//! The route table in force at this worker, and the endpoints that run for it.

use std::sync::Arc;

use hashbrown::HashMap;
use prometheus_client::metrics::gauge::Gauge;
use tracing::{info, warn};
use twinroute_common::matching::{CompiledTable, EndpointName};
use twinroute_common::route::RouteTable;
use twinroute_common::route::wire::Refused;

use crate::endpoint::{EndpointContext, EndpointHandle};
use crate::routing::{CurrentRouting, Routing};

/// The route table in force, and what it takes to put another one in force.
pub struct Registry {
    table: RouteTable,
    routing: Arc<CurrentRouting>,
    context: EndpointContext,
    version: Gauge,
}

impl Registry {
    /// No table yet. `version` shows the one in force.
    #[must_use]
    pub fn new(routing: Arc<CurrentRouting>, context: EndpointContext, version: Gauge) -> Self {
        Self { table: RouteTable::default(), routing, context, version }
    }

    /// The table in force; version 0 when there is none yet.
    #[must_use]
    pub fn table(&self) -> &RouteTable {
        &self.table
    }

    /// The endpoints in force.
    #[must_use]
    pub fn routing(&self) -> Arc<Routing> {
        self.routing.load()
    }

    /// Puts a table in force. What of it can't be used is told; the rest is used. A table that is not newer changes
    /// nothing: an event that was settled under a version is never followed by one under an older version.
    pub async fn apply(&mut self, table: RouteTable) -> Vec<Refused> {
        let (compiled, refused) = CompiledTable::new(&table);
        let refused =
            refused.into_iter().map(|(name, reason)| Refused { resource: format!("routes/{name}"), reason });
        if table.version > self.table.version {
            let endpoints = self.endpoints(&table).await;
            info!(
                version = table.version,
                routes = table.routes.len(),
                endpoints = endpoints.len(),
                "route table"
            );
            self.routing.replace(Routing { version: table.version, table: compiled, endpoints });
            self.version.set(i64::try_from(table.version).unwrap_or(i64::MAX));
            self.table = table;
        } else if table.version < self.table.version {
            let ours = self.table.version;
            warn!(
                version = table.version,
                ours, "an older route table was sent; the newer one stays in force"
            );
        }
        refused.collect()
    }

    /// The running endpoints of a table: those that stay, those that change, and new ones. Those that are left out end
    /// when the last routing with them is gone.
    async fn endpoints(&self, table: &RouteTable) -> HashMap<EndpointName, EndpointHandle> {
        let current = self.routing.load();
        let mut endpoints = HashMap::with_capacity(table.endpoints.len());
        for (name, endpoint) in &table.endpoints {
            let handle = match current.endpoints.get(name.as_str()) {
                None => EndpointHandle::start(endpoint.clone(), &self.context),
                Some(running) => {
                    if self.table.endpoints.get(name) != Some(endpoint) {
                        running.change(endpoint.clone()).await;
                    }
                    running.clone()
                }
            };
            endpoints.insert(EndpointName::clone(handle.name()), handle);
        }
        endpoints
    }
}

/// What can't be read of a whole table stays as it was: an endpoint that only this build can't read is not deleted.
pub(super) fn keep_refused(table: &mut RouteTable, refused: &[Refused], present: &RouteTable) {
    for Refused { resource, .. } in refused {
        if let Some(name) = resource.strip_prefix("endpoints/")
            && let Some(endpoint) = present.endpoints.get(name)
        {
            table.endpoints.insert(name.to_owned(), endpoint.clone());
        }
        if let Some(name) = resource.strip_prefix("routes/")
            && let Some(route) = present.routes.get(name)
        {
            table.routes.insert(name.to_owned(), route.clone());
        }
    }
}

#[cfg(test)]
mod tests;
