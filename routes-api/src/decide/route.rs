//! Creating, changing and deleting event routes.

use prost_types::FieldMask;
use twinroute_common::filter::Filter;
use twinroute_common::format::EventFormat;
use twinroute_common::route::{DestinationKind, EventRoute, Violation, Violations};
use twinroute_proto::routes::v1 as proto;

use super::mask::Mask;
use super::{changeable, creatable};
use crate::catalog::{Catalog, Write};
use crate::refusal::{Kind, Refusal};
use crate::settings::LimitSettings;

const PATHS: [&str; 6] =
    ["endpoint_name", "filter", "event_format", "type_mappings", "disabled", "notify_gaps"];

/// Creates a route.
///
/// # Errors
/// What is wrong with it, or that there is one of that name.
pub fn create_route(
    catalog: &Catalog,
    given: Option<proto::EventRoute>,
    limits: &LimitSettings,
) -> Result<Write, Refusal> {
    let given = given.ok_or_else(|| Refusal::field("event_route", "is required"))?;
    let route = read(catalog, given)?;
    creatable(
        &catalog.routes,
        Kind::EventRoute,
        &route.name,
        (limits.event_routes_max, "limits.event_routes_max"),
    )?;
    Ok(Write::PutRoute(route))
}

/// Changes a route.
///
/// # Errors
/// What is wrong with the change, that it is not there, that it was changed meanwhile, or that it is the file's.
pub fn update_route(
    catalog: &Catalog,
    given: Option<proto::EventRoute>,
    mask: Option<FieldMask>,
) -> Result<Write, Refusal> {
    let given = given.ok_or_else(|| Refusal::field("event_route", "is required"))?;
    let mask = Mask::new(mask, &PATHS)?;
    let entry = changeable(&catalog.routes, Kind::EventRoute, &given.name, &given.etag)?;
    let mut updated = proto::EventRoute::from(&entry.resource);
    mask.take("endpoint_name", &mut updated.endpoint_name, given.endpoint_name);
    mask.take("filter", &mut updated.filter, given.filter);
    mask.take("event_format", &mut updated.event_format, given.event_format);
    mask.take("type_mappings", &mut updated.type_mappings, given.type_mappings);
    mask.take("disabled", &mut updated.disabled, given.disabled);
    mask.take("notify_gaps", &mut updated.notify_gaps, given.notify_gaps);
    Ok(Write::PutRoute(read(catalog, updated)?))
}

/// Deletes a route.
///
/// # Errors
/// That it is not there, that it was changed meanwhile, or that it is the file's.
pub fn delete_route(catalog: &Catalog, request: &proto::DeleteEventRouteRequest) -> Result<Write, Refusal> {
    changeable(&catalog.routes, Kind::EventRoute, &request.name, &request.etag)?;
    Ok(Write::DeleteRoute(request.name.clone()))
}

/// Reads a route and refuses one that can never work: an endpoint that is not there or cannot take the format, a bad
/// filter.
///
/// # Errors
/// All that is wrong with it, field by field.
pub fn read_route(catalog: &Catalog, mut route: proto::EventRoute) -> Result<EventRoute, Violations> {
    let mut violations = Vec::new();
    let kind = catalog.endpoints.get(&route.endpoint_name).map(|entry| entry.resource.destination.kind());
    if kind.is_none() && !route.endpoint_name.is_empty() {
        let reason = format!("is `{}`, and there is no endpoint of that name", route.endpoint_name);
        violations.push(Violation { field: "endpoint_name".to_owned(), reason });
    }
    if let Err(diagnostic) = Filter::parse(&route.filter) {
        let reason = format!("is refused: {diagnostic}");
        violations.push(Violation { field: "filter".to_owned(), reason });
    }
    if route.event_format == i32::from(proto::EventFormat::Unspecified) {
        // Without its endpoint the route is refused, whatever the format.
        let format = kind.map_or(EventFormat::EventNotification, DestinationKind::default_format);
        route.event_format = proto::EventFormat::from(format).into();
    }
    match EventRoute::try_from(route) {
        Err(wrong) => violations.extend(wrong.as_slice().iter().cloned()),
        Ok(route) => match kind.map(|kind| route.fits(kind)) {
            Some(Err(violation)) => violations.push(violation),
            Some(Ok(())) | None if violations.is_empty() => return Ok(route),
            Some(Ok(())) | None => {}
        },
    }
    Err(Violations::from(violations))
}

fn read(catalog: &Catalog, route: proto::EventRoute) -> Result<EventRoute, Refusal> {
    read_route(catalog, route).map_err(|violations| Refusal::Invalid(violations.within("event_route")))
}
