//! The types of events, their names, and sets of them.

/// Declares the types in one list, each with the name behind the prefix.
macro_rules! event_types {
    ($($(#[$doc:meta])+ $variant:ident => $name:literal,)+) => {
        /// The types of events, by the shape of their `data`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventType {
            $($(#[$doc])+ $variant,)+
        }

        impl EventType {
            /// All types, in the order of their declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The default type, with prefix.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("Konnektr.DigitalTwins.", $name),)+
                }
            }

            /// The type as Azure Digital Twins calls it, or would.
            #[must_use]
            pub fn azure_name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("Microsoft.DigitalTwins.", $name),)+
                }
            }
        }
    };
}

event_types! {
    /// A new twin.
    TwinCreate => "Twin.Create",
    /// A changed twin.
    TwinUpdate => "Twin.Update",
    /// A deleted twin.
    TwinDelete => "Twin.Delete",
    /// A new relationship.
    RelationshipCreate => "Relationship.Create",
    /// A changed relationship.
    RelationshipUpdate => "Relationship.Update",
    /// A deleted relationship.
    RelationshipDelete => "Relationship.Delete",
    /// A new model.
    ModelCreate => "Model.Create",
    /// A changed model.
    ModelUpdate => "Model.Update",
    /// A deleted model.
    ModelDelete => "Model.Delete",
    /// Data history: a twin came, went or changed its model.
    TwinLifecycle => "Twin.Lifecycle",
    /// Data history: a relationship came or went.
    RelationshipLifecycle => "Relationship.Lifecycle",
    /// Data history: a property changed.
    PropertyEvent => "Property.Event",
    /// Changes are missing from the stream.
    StreamGap => "Stream.Gap",
    /// An item of the stream that can never become an event; stands in dead letters only.
    StreamPoison => "Stream.Poison",
}

impl EventType {
    /// Prefix of every default type.
    pub const PREFIX: &'static str = "Konnektr.DigitalTwins.";

    /// The type with this default name, with prefix.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.name() == name)
    }
}

/// Some of the types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypeSet(u16);

impl TypeSet {
    pub(crate) fn contains(self, event_type: EventType) -> bool {
        self.0 & 1 << event_type as u16 != 0
    }

    pub(crate) fn insert(&mut self, event_type: EventType) {
        self.0 |= 1 << event_type as u16;
    }

    /// Whether a type is in both.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<EventType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = EventType>>(types: I) -> Self {
        let mut set = Self::default();
        types.into_iter().for_each(|event_type| set.insert(event_type));
        set
    }
}
