//! Which events go to which endpoint, and as which CloudEvents.

mod index;

use std::sync::Arc;

use self::index::{EndpointSet, RouteIndex};
use crate::cloud_event::CloudEvent;
use crate::event::{Discontinuity, EventData};
use crate::filter::{Candidate, Filter};
use crate::format::{EventFormat, TypeMappings};
use crate::render::{RenderError, Renderer, possible_types};
use crate::route::{EventRoute, RouteTable};

/// Name of an endpoint, shared by all that is sent there.
pub type EndpointName = Arc<str>;

/// What is sent to each endpoint, in the order it is to be sent.
pub type Deliveries = Vec<(EndpointName, Vec<Arc<CloudEvent>>)>;

/// A route table, made ready to match: filters read and indexed, distinct renderings counted once.
#[derive(Clone, Debug, Default)]
pub struct CompiledTable {
    endpoints: Vec<EndpointName>,
    renderings: Vec<Rendering>,
}

/// One way to render a change, and the routes that want it; what several routes have in common is rendered once.
#[derive(Clone, Debug)]
struct Rendering {
    format: EventFormat,
    types: TypeMappings,
    routes: RouteIndex,
    /// The endpoints of the routes that ask for holes in the stream.
    gaps: EndpointSet,
}

/// Events with the index of the endpoint that each is sent to.
type Selected = Vec<(usize, Arc<CloudEvent>)>;

impl CompiledTable {
    /// Makes a table ready. Routes that can't be used are left out and named with the reason; the others work.
    #[must_use]
    pub fn new(table: &RouteTable) -> (Self, Vec<(String, String)>) {
        let mut compiled = Self {
            endpoints: table.endpoints.keys().map(|name| name.as_str().into()).collect(),
            renderings: Vec::new(),
        };
        let mut refused = Vec::new();
        for route in table.routes.values() {
            match usable_filter(table, route) {
                Err(reason) => refused.push((route.name.clone(), reason)),
                Ok(filter) if !route.disabled => compiled.add(route, filter),
                Ok(_) => {}
            }
        }
        (compiled, refused)
    }

    fn add(&mut self, route: &EventRoute, filter: Filter) {
        let Some(endpoint) = self.endpoints.iter().position(|name| **name == *route.endpoint_name) else {
            return;
        };
        let is_same = |known: &Rendering| known.format == route.format && known.types == route.types;
        let place = self.renderings.iter().position(is_same).unwrap_or_else(|| {
            self.renderings.push(Rendering {
                format: route.format,
                types: route.types.clone(),
                routes: RouteIndex::default(),
                gaps: EndpointSet::default(),
            });
            self.renderings.len() - 1
        });
        if let Some(rendering) = self.renderings.get_mut(place) {
            rendering.routes.add(filter, endpoint, &route.types);
            if route.notify_gaps {
                rendering.gaps.insert(endpoint);
            }
        }
    }

    /// What is sent to each endpoint for a change: every CloudEvent once, however many routes select it, in the order of
    /// its rendering. An endpoint that nothing is sent to is left out.
    ///
    /// # Errors
    /// The change cannot be rendered, now or later: it is poison. Not noticed where no route can select its type.
    pub fn deliveries(&self, event: &EventData, renderer: &Renderer) -> Result<Deliveries, RenderError> {
        let can_select =
            |rendering: &&Rendering| rendering.routes.can_select(possible_types(event, rendering.format));
        let mut wanted = self.renderings.iter().filter(can_select).peekable();
        if wanted.peek().is_none() {
            return Ok(Deliveries::new());
        }
        let change = renderer.open(event)?;
        let mut selected = Selected::new();
        for rendering in wanted {
            for event in change.render(rendering.format, &rendering.types) {
                let mut endpoints = EndpointSet::default();
                let candidate = Candidate::new(&event, change.before(), change.after());
                rendering.routes.select(&candidate, &mut endpoints);
                select(&mut selected, event, &endpoints);
            }
        }
        Ok(self.by_endpoint(selected))
    }

    /// What is sent to each endpoint for a hole in the stream: to those with a route that asks for it, whatever its filter.
    /// `noticed_us` is the event's time, as [`Renderer::render_gap`] takes it.
    #[must_use]
    pub fn gap_deliveries(&self, gap: &Discontinuity, noticed_us: i64, renderer: &Renderer) -> Deliveries {
        let mut selected = Selected::new();
        for rendering in &self.renderings {
            let event = renderer.render_gap(gap, noticed_us, rendering.format, &rendering.types);
            select(&mut selected, event, &rendering.gaps);
        }
        self.by_endpoint(selected)
    }

    fn by_endpoint(&self, mut selected: Selected) -> Deliveries {
        // Stable: within an endpoint the order of the renderings stays.
        selected.sort_by_key(|(endpoint, _)| *endpoint);
        let mut deliveries = Deliveries::new();
        for same in selected.chunk_by(|(left, _), (right, _)| left == right) {
            let Some(name) = same.first().and_then(|(endpoint, _)| self.endpoints.get(*endpoint)) else {
                continue;
            };
            let mut events: Vec<Arc<CloudEvent>> = Vec::with_capacity(same.len());
            for (_, event) in same {
                // The id holds format and emitted type: another rendering's event with the same id is the same event.
                let repeats =
                    self.renderings.len() > 1 && events.iter().any(|present| present.id == event.id);
                if !repeats {
                    events.push(Arc::clone(event));
                }
            }
            deliveries.push((Arc::clone(name), events));
        }
        deliveries
    }
}

fn select(selected: &mut Selected, event: CloudEvent, endpoints: &EndpointSet) {
    let event = Arc::new(event);
    selected.extend(endpoints.iter().map(|endpoint| (endpoint, Arc::clone(&event))));
}

/// The route's filter, when the route can work.
fn usable_filter(table: &RouteTable, route: &EventRoute) -> Result<Filter, String> {
    let Some(endpoint) = table.endpoints.get(&route.endpoint_name) else {
        return Err(format!("there is no endpoint `{}`", route.endpoint_name));
    };
    route.fits(endpoint.destination.kind()).map_err(|violation| violation.to_string())?;
    Filter::parse(&route.filter).map_err(|diagnostic| format!("`filter` is refused: {diagnostic}"))
}

#[cfg(test)]
mod tests;
