//! All endpoints and routes at one version, and what changes from one version to the next.

use std::collections::BTreeMap;

use super::endpoint::Endpoint;
use super::event_route::EventRoute;

/// All endpoints and routes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// Version of the table; grows, never repeats.
    pub version: u64,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Routes by name.
    pub routes: BTreeMap<String, EventRoute>,
}

/// What changed since a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTableDelta {
    /// The version that this delta makes.
    pub version: u64,
    /// The version that it starts from.
    pub base_version: u64,
    /// Endpoints created or changed.
    pub endpoints: Vec<Endpoint>,
    /// Routes created or changed.
    pub routes: Vec<EventRoute>,
    /// Names of endpoints deleted.
    pub deleted_endpoints: Vec<String>,
    /// Names of routes deleted.
    pub deleted_routes: Vec<String>,
}

/// A delta starts from another version than the table has: ask for the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the delta starts from version {base}, and the table is at version {present}")]
pub struct BaseMismatch {
    /// Version of the table.
    pub present: u64,
    /// Version that the delta starts from.
    pub base: u64,
}

impl RouteTable {
    /// Makes the table the delta's version.
    ///
    /// # Errors
    /// The delta starts from another version; the table is as it was.
    pub fn apply(&mut self, delta: RouteTableDelta) -> Result<(), BaseMismatch> {
        if delta.base_version != self.version {
            return Err(BaseMismatch { present: self.version, base: delta.base_version });
        }
        for name in &delta.deleted_endpoints {
            self.endpoints.remove(name);
        }
        for name in &delta.deleted_routes {
            self.routes.remove(name);
        }
        let named = |endpoint: Endpoint| (endpoint.name.clone(), endpoint);
        self.endpoints.extend(delta.endpoints.into_iter().map(named));
        let named = |route: EventRoute| (route.name.clone(), route);
        self.routes.extend(delta.routes.into_iter().map(named));
        self.version = delta.version;
        Ok(())
    }

    /// What changes from this table to a newer one.
    #[must_use]
    pub fn delta_to(&self, newer: &Self) -> RouteTableDelta {
        let (endpoints, deleted_endpoints) = changes(&self.endpoints, &newer.endpoints);
        let (routes, deleted_routes) = changes(&self.routes, &newer.routes);
        RouteTableDelta {
            version: newer.version,
            base_version: self.version,
            endpoints,
            routes,
            deleted_endpoints,
            deleted_routes,
        }
    }

    /// The routes that lead to an endpoint, by name.
    pub fn routes_to<'a>(&'a self, endpoint_name: &'a str) -> impl Iterator<Item = &'a EventRoute> {
        self.routes.values().filter(move |route| route.endpoint_name == endpoint_name)
    }
}

/// What was created or changed, and the names of what is gone.
fn changes<T: Clone + PartialEq>(
    older: &BTreeMap<String, T>,
    newer: &BTreeMap<String, T>,
) -> (Vec<T>, Vec<String>) {
    let changed = newer.iter().filter(|(name, value)| older.get(*name) != Some(*value));
    let deleted = older.keys().filter(|name| !newer.contains_key(*name));
    (changed.map(|(_, value)| value.clone()).collect(), deleted.cloned().collect())
}
