//! From a change to its CloudEvents, in both formats. Pure: the same change always becomes the same events.

mod bookkeeping;
mod change;
mod entries;
mod envelope;
mod error;
mod gap;
mod history;
mod notification;
mod patch;
mod poison;
mod property;
mod rendering;
mod source;
mod time;

#[cfg(test)]
mod tests;

pub use change::Change;
pub use error::{RenderError, Side};
pub use poison::Poison;

use crate::cloud_event::{CloudEvent, TypeSet};
use crate::event::{Discontinuity, EventData};
use crate::format::{EventFormat, TypeMappings};
use source::Source;

/// The types that a change's events can have in a format, before any document is read.
pub(crate) fn possible_types(event: &EventData, format: EventFormat) -> TypeSet {
    match format {
        EventFormat::EventNotification => {
            [notification::event_type(event.kind, event.operation)].into_iter().collect()
        }
        EventFormat::DataHistory => history::event_types(event.kind).iter().copied().collect(),
    }
}

/// Renders the changes of one PostgreSQL cluster for one instance.
#[derive(Clone, Debug)]
pub struct Renderer {
    source: Source,
    system_identifier: String,
}

impl Renderer {
    /// `source` is the instance's URI, in which `{graph}` stands for the graph's name; `system_identifier` is that of the
    /// PostgreSQL cluster, as the capture stream's Welcome tells it. Both are part of every event's id.
    #[must_use]
    pub fn new(source: &str, system_identifier: &str) -> Self {
        Self { source: Source::new(source), system_identifier: system_identifier.to_owned() }
    }

    /// Reads the change's documents, so that it can be rendered in several formats.
    ///
    /// # Errors
    /// A document that the change must have is missing or cannot be read: the event is poison, now and later.
    pub fn open<'e>(&self, event: &'e EventData) -> Result<Change<'e>, RenderError> {
        Change::open(event, &self.source, &self.system_identifier)
    }

    /// The CloudEvents of a change in one format; none where the format has nothing to say of it.
    ///
    /// # Errors
    /// As [`Renderer::open`].
    pub fn render(
        &self,
        event: &EventData,
        format: EventFormat,
        types: &TypeMappings,
    ) -> Result<Vec<CloudEvent>, RenderError> {
        Ok(self.open(event)?.render(format, types))
    }

    /// The CloudEvent that tells of missing changes. `noticed_us`, in microseconds since 1970-01-01T00:00:00Z, becomes its
    /// `time`, because a gap was never committed; it is no part of the id.
    #[must_use]
    pub fn render_gap(
        &self,
        gap: &Discontinuity,
        noticed_us: i64,
        format: EventFormat,
        types: &TypeMappings,
    ) -> CloudEvent {
        gap::event(gap, noticed_us, (&self.source, &self.system_identifier), (format, types))
    }

    /// The CloudEvent that stands for an item which can never become one; for dead letters only.
    #[must_use]
    pub fn render_poison(&self, poison: &Poison<'_>) -> CloudEvent {
        poison::event(poison, &self.source, &self.system_identifier)
    }
}
