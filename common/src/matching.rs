//! Which events go to which endpoint, and as which CloudEvents.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cloud_event::CloudEvent;
use crate::event::{Discontinuity, EventData};
use crate::filter::{Candidate, Diagnostic, Filter, Verdict};
use crate::format::{EventFormat, TypeMappings};
use crate::render::{RenderError, Renderer};
use crate::route::{EventRoute, RouteTable};

/// Name of an endpoint, shared by all that is sent there.
pub type EndpointName = Arc<str>;

/// What is sent to each endpoint, in the order it is to be sent.
pub type Deliveries = Vec<(EndpointName, Vec<Arc<CloudEvent>>)>;

/// A route table, made ready to match: filters read, routes gathered by endpoint, distinct renderings counted once.
#[derive(Clone, Debug, Default)]
pub struct CompiledTable {
    renderings: Vec<Rendering>,
    endpoints: Vec<(EndpointName, Vec<Selection>)>,
}

/// One way to render a change; what several routes have in common is rendered once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rendering {
    format: EventFormat,
    types: TypeMappings,
}

/// The routes that lead to one endpoint and render alike.
#[derive(Clone, Debug)]
struct Selection {
    /// Index into the table's renderings.
    rendering: usize,
    /// An event is selected when one of them is true.
    filters: Vec<Filter>,
    /// One of the routes asks for holes in the stream.
    notify_gaps: bool,
}

/// What each rendering made of one item; `None` until it is asked for.
type Rendered = Vec<Option<Vec<Arc<CloudEvent>>>>;

impl CompiledTable {
    /// Makes a table ready. Routes that can't be used are left out and named with the reason; the others work.
    #[must_use]
    pub fn new(table: &RouteTable) -> (Self, Vec<(String, String)>) {
        let mut renderings = Vec::new();
        let mut refused = Vec::new();
        let mut endpoints: BTreeMap<&str, Vec<Selection>> = BTreeMap::new();
        for route in table.routes.values() {
            match usable_filter(table, route) {
                Err(reason) => refused.push((route.name.clone(), reason)),
                Ok(_) if route.disabled => {}
                Ok(filter) => {
                    let rendering = rendering_of(&mut renderings, route);
                    let selections = endpoints.entry(&route.endpoint_name).or_default();
                    select(selections, rendering, filter, route.notify_gaps);
                }
            }
        }
        let endpoints = endpoints.into_iter().map(|(name, selections)| (name.into(), selections));
        (Self { renderings, endpoints: endpoints.collect() }, refused)
    }

    /// What is sent to each endpoint for a change: every CloudEvent once, however many routes select it, in the order of
    /// its rendering. An endpoint that nothing is sent to is left out.
    ///
    /// # Errors
    /// The change cannot be rendered, now or later: it is poison. Not noticed by a table without routes.
    pub fn deliveries(&self, event: &EventData, renderer: &Renderer) -> Result<Deliveries, RenderError> {
        if self.renderings.is_empty() {
            return Ok(Deliveries::new());
        }
        let change = renderer.open(event)?;
        let render = |rendering: &Rendering| change.render(rendering.format, &rendering.types);
        let selected = |selection: &Selection, rendered: &CloudEvent| {
            let candidate =
                Candidate { event: rendered, old: event.old.as_deref(), new: event.new.as_deref() };
            selection.filters.iter().any(|filter| filter.verdict(&candidate) == Verdict::True)
        };
        Ok(self.gather(render, selected))
    }

    /// What is sent to each endpoint for a hole in the stream: to those with a route that asks for it, whatever its filter.
    /// `noticed_us` is the event's time, as [`Renderer::render_gap`] takes it.
    #[must_use]
    pub fn gap_deliveries(&self, gap: &Discontinuity, noticed_us: i64, renderer: &Renderer) -> Deliveries {
        let render = |rendering: &Rendering| {
            vec![renderer.render_gap(gap, noticed_us, rendering.format, &rendering.types)]
        };
        self.gather(render, |selection, _| selection.notify_gaps)
    }

    fn gather(
        &self,
        render: impl Fn(&Rendering) -> Vec<CloudEvent>,
        selected: impl Fn(&Selection, &CloudEvent) -> bool,
    ) -> Deliveries {
        let mut rendered: Rendered = vec![None; self.renderings.len()];
        let mut deliveries = Deliveries::with_capacity(self.endpoints.len());
        for (name, selections) in &self.endpoints {
            let mut events: Vec<Arc<CloudEvent>> = Vec::new();
            for (index, selection) in selections.iter().enumerate() {
                let candidates = self.rendered(&mut rendered, selection.rendering, &render);
                for event in candidates.iter().filter(|event| selected(selection, event)) {
                    // The id holds format and emitted type: another rendering's event with the same id is the same event.
                    let repeats = index > 0 && events.iter().any(|present| present.id == event.id);
                    if !repeats {
                        events.push(Arc::clone(event));
                    }
                }
            }
            if !events.is_empty() {
                deliveries.push((Arc::clone(name), events));
            }
        }
        deliveries
    }

    fn rendered<'a>(
        &self,
        rendered: &'a mut Rendered,
        index: usize,
        render: &impl Fn(&Rendering) -> Vec<CloudEvent>,
    ) -> &'a [Arc<CloudEvent>] {
        let (Some(slot), Some(rendering)) = (rendered.get_mut(index), self.renderings.get(index)) else {
            return &[];
        };
        slot.get_or_insert_with(|| render(rendering).into_iter().map(Arc::new).collect())
    }
}

/// The route's filter, when the route can work.
fn usable_filter(table: &RouteTable, route: &EventRoute) -> Result<Filter, String> {
    let Some(endpoint) = table.endpoints.get(&route.endpoint_name) else {
        return Err(format!("there is no endpoint `{}`", route.endpoint_name));
    };
    route.fits(endpoint.destination.kind()).map_err(|violation| violation.to_string())?;
    Filter::parse(&route.filter).map_err(|diagnostics| {
        let diagnostics: Vec<_> = diagnostics.iter().map(Diagnostic::to_string).collect();
        format!("`filter` is refused: {}", diagnostics.join("; "))
    })
}

fn rendering_of(renderings: &mut Vec<Rendering>, route: &EventRoute) -> usize {
    let rendering = Rendering { format: route.format, types: route.types.clone() };
    renderings.iter().position(|known| *known == rendering).unwrap_or_else(|| {
        renderings.push(rendering);
        renderings.len() - 1
    })
}

fn select(selections: &mut Vec<Selection>, rendering: usize, filter: Filter, notify_gaps: bool) {
    match selections.iter_mut().find(|selection| selection.rendering == rendering) {
        Some(selection) => {
            selection.filters.push(filter);
            selection.notify_gaps |= notify_gaps;
        }
        None => selections.push(Selection { rendering, filters: vec![filter], notify_gaps }),
    }
}

#[cfg(test)]
mod tests;
