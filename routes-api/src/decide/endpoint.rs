//! Creating, changing and deleting endpoints.

use prost_types::FieldMask;
use twinroute_common::route::Endpoint;
use twinroute_proto::routes::v1 as proto;

use super::mask::Mask;
use super::secrets::{Keeping, keep, refuse_elsewhere, refuse_unkeepable};
use super::{changeable, creatable};
use crate::catalog::{Catalog, Write};
use crate::refusal::{Kind, Refusal};
use crate::settings::LimitSettings;
use crate::workers::EndpointSummary;

const PATHS: [&str; 5] = ["kafka", "mqtt", "kusto", "delivery_policy", "dead_letter"];

/// Creates an endpoint.
///
/// # Errors
/// What is wrong with it, or that there is one of that name.
pub fn create_endpoint(
    catalog: &Catalog,
    given: Option<proto::Endpoint>,
    keeping: Keeping,
    limits: &LimitSettings,
) -> Result<Write, Refusal> {
    let mut given = given.ok_or_else(|| Refusal::field("endpoint", "is required"))?;
    refuse_unkeepable(&mut given, keeping)?;
    let endpoint = read(given)?;
    creatable(
        &catalog.endpoints,
        Kind::Endpoint,
        &endpoint.name,
        (limits.endpoints_max, "limits.endpoints_max"),
    )?;
    Ok(Write::PutEndpoint(endpoint))
}

/// Changes an endpoint.
///
/// # Errors
/// What is wrong with the change, that it is not there, that it was changed meanwhile, or that it is the file's.
pub fn update_endpoint(
    catalog: &Catalog,
    given: Option<proto::Endpoint>,
    mask: Option<FieldMask>,
    keeping: Keeping,
) -> Result<Write, Refusal> {
    let mut given = given.ok_or_else(|| Refusal::field("endpoint", "is required"))?;
    let mask = Mask::new(mask, &PATHS)?;
    let entry = changeable(&catalog.endpoints, Kind::Endpoint, &given.name, &given.etag)?;
    refuse_unkeepable(&mut given, keeping)?;
    let present = proto::Endpoint::from(&entry.resource);

    let mut updated = present.clone();
    let kind = entry.resource.destination.kind();
    if mask.is_all() || PATHS.iter().take(3).any(|path| mask.has(path)) {
        let same_kind = match (&given.destination, &present.destination) {
            (Some(given), Some(present)) => std::mem::discriminant(given) == std::mem::discriminant(present),
            (given, present) => given.is_none() == present.is_none(),
        };
        let named = mask.is_all() || mask.has(kind.name());
        if !same_kind || !named {
            let reason = format!("is {} and stays so: create another endpoint for another kind", kind.name());
            return Err(Refusal::field("endpoint.destination", reason));
        }
        updated.destination = given.destination;
    }
    mask.take("delivery_policy", &mut updated.delivery_policy, given.delivery_policy);
    mask.take("dead_letter", &mut updated.dead_letter, given.dead_letter);
    let kept = keep(&mut updated, &present);
    let endpoint = read(updated)?;
    refuse_elsewhere(&kept, &(&endpoint).into(), &present)?;
    Ok(Write::PutEndpoint(endpoint))
}

/// Deletes an endpoint. `state` is what the workers report.
///
/// # Errors
/// That it is not there, that it was changed meanwhile, that it is the file's, that routes use it, that a worker does not know
/// its backlog yet, or that it has a backlog of another size than `discard_events`.
pub fn delete_endpoint(
    catalog: &Catalog,
    request: &proto::DeleteEndpointRequest,
    state: &EndpointSummary,
) -> Result<Write, Refusal> {
    let name = &request.name;
    changeable(&catalog.endpoints, Kind::Endpoint, name, &request.etag)?;
    let routes = catalog.routes.values().map(|entry| &entry.resource);
    let users: Vec<_> =
        routes.filter(|route| route.endpoint_name == *name).map(|route| &*route.name).collect();
    if !users.is_empty() {
        let users = users.join(", ");
        let message = format!(
            "event routes use the endpoint `{name}`: {users}; delete them or point them elsewhere first"
        );
        return Err(Refusal::Precondition(message));
    }
    if let Some(worker) = &state.unknown_at {
        return Err(Refusal::Precondition(format!(
            "the worker {worker} does not know yet what is parked of the endpoint `{name}`: try again in some seconds; if that does \
             not help, the endpoint's state or the worker's readiness says what it waits for"
        )));
    }
    let backlog_events = state.backlog_events;
    if backlog_events > 0 && backlog_events != request.discard_events {
        return Err(Refusal::Precondition(format!(
            "the endpoint `{name}` has {backlog_events} events that are not delivered, and discard_events is {}: wait until \
             there are none, or give their number to give them up",
            request.discard_events
        )));
    }
    Ok(Write::DeleteEndpoint(name.clone()))
}

fn read(endpoint: proto::Endpoint) -> Result<Endpoint, Refusal> {
    Endpoint::try_from(endpoint).map_err(|violations| Refusal::Invalid(violations.within("endpoint")))
}
