//! Routes of the bootstrap file. They have no names there, so they are named after sink and format.

use std::collections::BTreeMap;

use twinroute_common::cloud_event::EventType;
use twinroute_common::filter::Filter;
use twinroute_common::format::{EventFormat, TypeMappings};
use twinroute_common::route::{Endpoint, EventRoute};

use super::fields::Fields;

/// Longest name of a route, in characters.
const NAME_CHARACTERS_MAX: usize = 50;

/// The routes, by name. A file without any gets one per sink, filter `true`, in the sink's own format.
pub(super) fn read(
    config: &mut Fields<'_, '_>,
    endpoints: &BTreeMap<String, Endpoint>,
) -> BTreeMap<String, EventRoute> {
    let given = config.each("eventRoutes", "an event route", |fields| route(fields, endpoints));
    let mut routes: Vec<EventRoute> = given.into_iter().map(|(_, route)| route).collect();
    if routes.is_empty() {
        routes = endpoints.values().map(whole).collect();
    }
    let mut named = BTreeMap::new();
    for mut route in routes {
        route.name = free_name(&named, &route);
        named.insert(route.name.clone(), route);
    }
    named
}

/// Everything, to one sink.
fn whole(endpoint: &Endpoint) -> EventRoute {
    EventRoute {
        name: String::new(),
        endpoint_name: endpoint.name.clone(),
        filter: "true".to_owned(),
        format: endpoint.destination.kind().default_format(),
        types: TypeMappings::default(),
        disabled: false,
        notify_gaps: false,
    }
}

fn route(fields: &mut Fields<'_, '_>, endpoints: &BTreeMap<String, Endpoint>) -> Option<EventRoute> {
    let sink_name = fields.required("sinkName");
    let endpoint = endpoints.get(&sink_name);
    if endpoint.is_none() && !sink_name.is_empty() {
        fields.refuse(
            "sinkName",
            format!("`sinkName` is `{sink_name}`, and no sink (without mistakes) has that name"),
        );
    }
    let format_name = fields.text("eventFormat");
    let format = EventFormat::from_name(&format_name);
    if format.is_none() && !format_name.is_empty() {
        let names =
            [EventFormat::EventNotification, EventFormat::DataHistory].map(EventFormat::name).join(" or ");
        fields.refuse("eventFormat", format!("`eventFormat` is `{format_name}`; it must be {names}"));
    }
    let filter = match fields.text("filter") {
        empty if empty.is_empty() => "true".to_owned(),
        filter => filter,
    };
    if let Err(diagnostic) = Filter::parse(&filter) {
        fields.refuse("filter", format!("`filter` is refused: {diagnostic}"));
    }
    let types = types(fields);
    let mut route = EventRoute { types, filter, ..whole(endpoint?) };
    if let Some(format) = format {
        route.format = format;
    }
    let kind = endpoint?.destination.kind();
    if let Err(violation) = route.fits(kind) {
        fields.refuse("eventFormat", format!("`eventFormat` {}", violation.reason));
    }
    Some(route)
}

/// Type mappings under the names of the documentation (`TwinCreate`) or the whole default type.
fn types(fields: &mut Fields<'_, '_>) -> TypeMappings {
    let mut renamed = Vec::new();
    for (name, emitted) in fields.texts("typeMappings") {
        let known = |event_type: &EventType| {
            let (whole, short) = (event_type.name(), event_type.name().trim_start_matches(EventType::PREFIX));
            name == whole || name == short || name == short.replace('.', "")
        };
        match EventType::ALL.into_iter().find(known) {
            Some(event_type) if !emitted.is_empty() => renamed.push((event_type, emitted.into())),
            Some(_) => fields.refuse("typeMappings", format!("`{name}` has no name to be emitted under")),
            None => fields.refuse("typeMappings", format!("`{name}` is no type; one is TwinCreate")),
        }
    }
    TypeMappings::renaming(renamed)
}

fn free_name(taken: &BTreeMap<String, EventRoute>, route: &EventRoute) -> String {
    let mut number = 1_u32;
    loop {
        let suffix = match number {
            1 => format!("-{}", route.format.name()),
            number => format!("-{}-{number}", route.format.name()),
        };
        let room = NAME_CHARACTERS_MAX.saturating_sub(suffix.len());
        let name: String = route.endpoint_name.chars().take(room).chain(suffix.chars()).collect();
        if !taken.contains_key(&name) {
            return name;
        }
        number += 1;
    }
}
