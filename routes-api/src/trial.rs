//! Trying routes on sample changes: which events they would send.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use twinroute_common::event::{EntityKind, EventData, Operation};
use twinroute_common::filter::{Candidate, Filter, Verdict};
use twinroute_common::position::Position;
use twinroute_common::render::Renderer;
use twinroute_common::route::EventRoute;
use twinroute_proto::event::v1 as event_proto;
use twinroute_proto::routes::v1 as proto;

use crate::refusal::Refusal;
use crate::settings::TrialSettings;

/// Tries each route on each change.
///
/// # Errors
/// A change that is none, more changes than `trial.changes_max`, or an answer larger than `trial.answer_bytes_max`.
pub fn try_routes(
    routes: &[&EventRoute],
    changes: Vec<proto::SampleChange>,
    settings: &TrialSettings,
) -> Result<Vec<proto::RouteTrial>, Refusal> {
    if changes.len() > settings.changes_max {
        let reason = format!(
            "has {} changes; at most {} are allowed (trial.changes_max)",
            changes.len(),
            settings.changes_max
        );
        return Err(Refusal::field("changes", reason));
    }
    let renderer = Renderer::new(&settings.source, "0");
    let mut trials = Vec::new();
    let mut answer_bytes = 0_usize;
    for (index, change) in (0_u32..).zip(changes) {
        let event = event(index, change)?;
        for route in routes {
            let trial = try_route(route, index, &event, &renderer)?;
            answer_bytes += trial.cloud_events.iter().map(String::len).sum::<usize>();
            if answer_bytes > settings.answer_bytes_max {
                let reason = format!(
                    "become more than {} bytes of CloudEvents (trial.answer_bytes_max): try fewer changes, or one route",
                    settings.answer_bytes_max
                );
                return Err(Refusal::field("changes", reason));
            }
            trials.push(trial);
        }
    }
    Ok(trials)
}

fn try_route(
    route: &EventRoute,
    change_index: u32,
    event: &EventData,
    renderer: &Renderer,
) -> Result<proto::RouteTrial, Refusal> {
    let trial = |cloud_events: Vec<String>, explanation: String| proto::RouteTrial {
        change_index,
        route_name: route.name.clone(),
        matched: !cloud_events.is_empty(),
        explanation,
        cloud_events,
    };
    if route.disabled {
        return Ok(trial(Vec::new(), "the route is disabled".to_owned()));
    }
    let filter = match Filter::parse(&route.filter) {
        Ok(filter) => filter,
        Err(diagnostic) => return Ok(trial(Vec::new(), format!("the filter is refused: {diagnostic}"))),
    };
    let change = renderer
        .open(event)
        .map_err(|error| Refusal::field(format!("changes[{change_index}]"), error.to_string()))?;
    let rendered = change.render(route.format, &route.types);
    if rendered.is_empty() {
        let explanation = format!("{} has no event for this change", route.format.name());
        return Ok(trial(Vec::new(), explanation));
    }
    let mut cloud_events = Vec::new();
    let mut explanations = BTreeSet::new();
    for rendered in &rendered {
        let candidate = Candidate::new(rendered, change.before(), change.after());
        match filter.verdict(&candidate) {
            Verdict::True => {
                cloud_events.push(String::from_utf8_lossy(&rendered.to_structured_json()).into_owned());
            }
            Verdict::False | Verdict::Undefined => {
                explanations.insert(filter.explain(&candidate));
            }
        }
    }
    let explanation = if cloud_events.is_empty() {
        explanations.into_iter().collect::<Vec<_>>().join("\n")
    } else {
        String::new()
    };
    Ok(trial(cloud_events, explanation))
}

/// The members of a document that name its entity.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    #[serde(rename = "$dtId")]
    dt_id: Option<String>,
    #[serde(rename = "$sourceId")]
    source_id: Option<String>,
    #[serde(rename = "$relationshipId")]
    relationship_id: Option<String>,
    id: Option<String>,
}

/// The change as an event that was never committed: its position is zero.
fn event(index: u32, change: proto::SampleChange) -> Result<EventData, Refusal> {
    let field = |name: &str| format!("changes[{index}].{name}");
    let kind =
        event_proto::EntityKind::try_from(change.kind).ok().and_then(|kind| EntityKind::try_from(kind).ok());
    let kind = kind.ok_or_else(|| Refusal::field(field("kind"), "must be twin, relationship or model"))?;
    let document = |bytes: Bytes| Some(bytes).filter(|bytes| !bytes.is_empty());
    let (old, new) = (document(change.old), document(change.new));
    let (operation, name, present) = match (&old, &new) {
        (None, Some(new)) => (Operation::Create, "new", new),
        (Some(_), Some(new)) => (Operation::Update, "new", new),
        (Some(old), None) => (Operation::Delete, "old", old),
        (None, None) => {
            return Err(Refusal::field(field("new"), "is empty, and so is `old`: give at least one"));
        }
    };
    let names: Names = serde_json::from_slice(present)
        .map_err(|error| Refusal::field(field(name), format!("is no document: {error}")))?;
    let (entity_id, ordering_key) = match kind {
        EntityKind::Twin => (names.dt_id.clone(), names.dt_id),
        EntityKind::Relationship => (names.relationship_id, names.source_id),
        EntityKind::Model => (names.id.clone(), names.id),
    };
    let (Some(entity_id), Some(ordering_key)) = (entity_id, ordering_key) else {
        let wanted = match kind {
            EntityKind::Twin => "has no text `$dtId`",
            EntityKind::Relationship => "has no texts `$relationshipId` and `$sourceId`",
            EntityKind::Model => "has no text `id`",
        };
        return Err(Refusal::field(field(name), wanted));
    };
    Ok(EventData {
        position: Position::default(),
        operation,
        kind,
        graph: change.graph,
        label: String::new(),
        entity_id,
        ordering_key,
        old,
        new,
        commit_time_us: jiff::Timestamp::now().as_microsecond(),
        xid: 0,
        traceparent: String::new(),
    })
}

#[cfg(test)]
mod tests;
