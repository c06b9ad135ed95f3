//! Tables and deltas on the wire. What can't be read is left out and reported; the rest is used.

use std::collections::BTreeMap;

use twinroute_proto::routes::v1 as proto;

use crate::route::endpoint::Endpoint;
use crate::route::event_route::EventRoute;
use crate::route::table::{RouteTable, RouteTableDelta};

/// A resource of a table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `endpoints/NAME` or `routes/NAME`.
    pub resource: String,
    /// Why, for people.
    pub reason: String,
}

/// Reads a whole table, and tells what of it can't be used.
#[must_use]
pub fn table_from_wire(table: proto::RouteTable) -> (RouteTable, Vec<Refused>) {
    let mut refused = Vec::new();
    let named = |endpoint: Endpoint| (endpoint.name.clone(), endpoint);
    let endpoints: BTreeMap<_, _> = endpoints(table.endpoints, &mut refused).map(named).collect();
    let named = |route: EventRoute| (route.name.clone(), route);
    let routes: BTreeMap<_, _> = routes(table.routes, &mut refused).map(named).collect();
    (RouteTable { version: table.version, endpoints, routes }, refused)
}

/// Reads a delta, and tells what of it can't be used: those resources stay as they were.
#[must_use]
pub fn delta_from_wire(delta: proto::RouteTableDelta) -> (RouteTableDelta, Vec<Refused>) {
    let mut refused = Vec::new();
    let delta = RouteTableDelta {
        version: delta.version,
        base_version: delta.base_version,
        endpoints: endpoints(delta.endpoints, &mut refused).collect(),
        routes: routes(delta.routes, &mut refused).collect(),
        deleted_endpoints: delta.deleted_endpoints,
        deleted_routes: delta.deleted_routes,
    };
    (delta, refused)
}

fn endpoints(wire: Vec<proto::Endpoint>, refused: &mut Vec<Refused>) -> impl Iterator<Item = Endpoint> {
    wire.into_iter().filter_map(|endpoint| {
        let resource = format!("endpoints/{}", endpoint.name);
        Endpoint::try_from(endpoint)
            .map_err(|violations| refused.push(Refused { resource, reason: violations.to_string() }))
            .ok()
    })
}

fn routes(wire: Vec<proto::EventRoute>, refused: &mut Vec<Refused>) -> impl Iterator<Item = EventRoute> {
    wire.into_iter().filter_map(|route| {
        let resource = format!("routes/{}", route.name);
        EventRoute::try_from(route)
            .map_err(|violations| refused.push(Refused { resource, reason: violations.to_string() }))
            .ok()
    })
}

impl From<&RouteTable> for proto::RouteTable {
    fn from(table: &RouteTable) -> Self {
        Self {
            version: table.version,
            endpoints: table.endpoints.values().map(Into::into).collect(),
            routes: table.routes.values().map(Into::into).collect(),
        }
    }
}

impl From<&RouteTableDelta> for proto::RouteTableDelta {
    fn from(delta: &RouteTableDelta) -> Self {
        Self {
            version: delta.version,
            base_version: delta.base_version,
            endpoints: delta.endpoints.iter().map(Into::into).collect(),
            routes: delta.routes.iter().map(Into::into).collect(),
            deleted_endpoints: delta.deleted_endpoints.clone(),
            deleted_routes: delta.deleted_routes.clone(),
        }
    }
}
