//! The forms that a route's events can have, and the names of their types.

use std::sync::Arc;

use crate::cloud_event::EventType;

/// The form of the CloudEvents that a route emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventFormat {
    /// One event per change, with the document or a patch.
    EventNotification,
    /// Life cycle events, and one event per changed property.
    DataHistory,
}

impl EventFormat {
    /// The name, as it stands in configuration and in the text that an event's id is made of.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EventNotification => "EventNotification",
            Self::DataHistory => "DataHistory",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::EventNotification, Self::DataHistory].into_iter().find(|format| format.name() == name)
    }
}

/// The type that is emitted for each default type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeMappings {
    emitted: [Arc<str>; EventType::ALL.len()],
}

impl Default for TypeMappings {
    /// Every type keeps its default name.
    fn default() -> Self {
        Self { emitted: EventType::ALL.map(|event_type| event_type.name().into()) }
    }
}

impl TypeMappings {
    /// The default names, but for those that are renamed.
    #[must_use]
    pub fn renaming(renamed: impl IntoIterator<Item = (EventType, Arc<str>)>) -> Self {
        let mut mappings = Self::default();
        for (event_type, name) in renamed {
            if let Some(emitted) = mappings.emitted.get_mut(event_type as usize) {
                *emitted = name;
            }
        }
        mappings
    }

    /// CloudEvents `type` of events of this default type.
    #[must_use]
    pub fn emitted(&self, event_type: EventType) -> Arc<str> {
        self.emitted.get(event_type as usize).map_or_else(|| event_type.name().into(), Arc::clone)
    }

    /// The types whose emitted name is not the default one, with that name.
    pub fn renamed(&self) -> impl Iterator<Item = (EventType, &Arc<str>)> {
        EventType::ALL
            .into_iter()
            .zip(&self.emitted)
            .filter(|(event_type, emitted)| event_type.name() != &***emitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_type_is_emitted_under_its_new_name_and_the_others_keep_theirs() {
        let azure: Arc<str> = "Microsoft.DigitalTwins.Twin.Create".into();
        let mappings = TypeMappings::renaming([(EventType::TwinCreate, Arc::clone(&azure))]);
        assert_eq!(mappings.emitted(EventType::TwinCreate), azure);
        assert_eq!(&*mappings.emitted(EventType::StreamGap), EventType::StreamGap.name());
        assert_eq!(mappings.renamed().collect::<Vec<_>>(), [(EventType::TwinCreate, &azure)]);
        for event_type in EventType::ALL {
            assert_eq!(&*TypeMappings::default().emitted(event_type), event_type.name());
        }
    }
}
