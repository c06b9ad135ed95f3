//! Which events go to an endpoint, and in which form.

use super::endpoint::DestinationKind;
use super::violation::Violation;
use crate::format::{EventFormat, TypeMappings};

/// Sends the events that a filter selects to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRoute {
    /// Name: 2 to 50 characters, letters, digits and `-`, starts with a letter.
    pub name: String,
    /// Name of the endpoint.
    pub endpoint_name: String,
    /// Text of the filter, as it was given.
    pub filter: String,
    /// Form of the events.
    pub format: EventFormat,
    /// Emitted names of types.
    pub types: TypeMappings,
    /// The route matches nothing.
    pub disabled: bool,
    /// Discontinuities are sent as events.
    pub notify_gaps: bool,
}

impl EventRoute {
    /// Checks that an endpoint of this kind can take what the route sends.
    ///
    /// # Errors
    /// The route's field that can't work with it: Kusto's tables hold data history only.
    pub fn fits(&self, kind: DestinationKind) -> Result<(), Violation> {
        let refuse = |field: &str, reason: String| Err(Violation { field: field.to_owned(), reason });
        if !kind.takes(self.format) {
            let takes = kind.default_format().name();
            return refuse(
                "event_format",
                format!("is {}; a {} endpoint takes {takes}", self.format.name(), kind.name()),
            );
        }
        if self.notify_gaps && kind == DestinationKind::Kusto {
            return refuse("notify_gaps", "is set; a kusto endpoint has no table for stream gaps".to_owned());
        }
        Ok(())
    }
}
