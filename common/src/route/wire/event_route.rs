//! Event routes on the wire.

use std::collections::HashMap;
use std::sync::Arc;

use twinroute_proto::routes::v1 as proto;

use crate::cloud_event::EventType;
use crate::format::{EventFormat, TypeMappings};
use crate::route::event_route::EventRoute;
use crate::route::violation::{Reading, Violations};

/// Bound of an emitted type's name: it travels in the headers of every event.
const TYPE_CHARACTERS_MAX: usize = 255;

impl TryFrom<proto::EventRoute> for EventRoute {
    type Error = Violations;

    /// Reads and checks a route on its own; what the server sets is ignored. The format must be set.
    fn try_from(route: proto::EventRoute) -> Result<Self, Violations> {
        let mut reading = Reading::default();
        let route = read(&mut reading, route);
        reading.finish(route)
    }
}

fn read(reading: &mut Reading, route: proto::EventRoute) -> Option<EventRoute> {
    let name = super::name(reading, "name", route.name);
    let endpoint_name = reading.required("endpoint_name", route.endpoint_name);
    let format = format(reading, route.event_format);
    let types = types(reading, route.type_mappings);
    Some(EventRoute {
        name,
        endpoint_name,
        filter: route.filter,
        format: format?,
        types,
        disabled: route.disabled,
        notify_gaps: route.notify_gaps,
    })
}

fn format(reading: &mut Reading, number: i32) -> Option<EventFormat> {
    match proto::EventFormat::try_from(number) {
        Ok(proto::EventFormat::EventNotification) => Some(EventFormat::EventNotification),
        Ok(proto::EventFormat::DataHistory) => Some(EventFormat::DataHistory),
        Ok(proto::EventFormat::Unspecified) => {
            reading.refuse("event_format", "is required");
            None
        }
        Err(_) => {
            reading.refuse("event_format", format!("is {number}, which this version does not know"));
            None
        }
    }
}

fn types(reading: &mut Reading, mappings: HashMap<String, String>) -> TypeMappings {
    let mut renamed: Vec<(EventType, Arc<str>)> = Vec::with_capacity(mappings.len());
    let mut mappings: Vec<_> = mappings.into_iter().collect();
    mappings.sort();
    for (default, emitted) in mappings {
        let Some(event_type) = EventType::from_name(&default) else {
            let example = EventType::TwinCreate.name();
            reading.refuse(
                "type_mappings",
                format!("has `{default}`, which is no default type; one is `{example}`"),
            );
            continue;
        };
        let printable = !emitted.chars().any(char::is_control);
        if emitted.is_empty() || emitted.chars().count() > TYPE_CHARACTERS_MAX || !printable {
            let rule = format!("a type has 1 to {TYPE_CHARACTERS_MAX} printable characters");
            reading.refuse("type_mappings", format!("has a wrong name for `{default}`: {rule}"));
        }
        renamed.push((event_type, emitted.into()));
    }
    TypeMappings::renaming(renamed)
}

impl From<EventFormat> for proto::EventFormat {
    fn from(format: EventFormat) -> Self {
        match format {
            EventFormat::EventNotification => Self::EventNotification,
            EventFormat::DataHistory => Self::DataHistory,
        }
    }
}

impl From<&EventRoute> for proto::EventRoute {
    /// What the server sets is left out.
    fn from(route: &EventRoute) -> Self {
        let renamed = route.types.renamed();
        Self {
            name: route.name.clone(),
            endpoint_name: route.endpoint_name.clone(),
            filter: route.filter.clone(),
            event_format: proto::EventFormat::from(route.format).into(),
            type_mappings: renamed
                .map(|(event_type, emitted)| (event_type.name().to_owned(), emitted.to_string()))
                .collect(),
            disabled: route.disabled,
            notify_gaps: route.notify_gaps,
            ..Self::default()
        }
    }
}
