//! What the paths of a filter stand for.

use std::fmt;

use super::syntax::Path;

/// A value of an event that a filter asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// An attribute of the event.
    Attribute(AttributeName),
    /// A value of one of the documents; all of it when there are no steps.
    Document {
        /// Which document.
        side: Side,
        /// The members that lead to the value, from the outermost.
        steps: Box<[Box<str>]>,
    },
    /// Nothing that an event has.
    Unknown,
}

/// An attribute of an event. `type` has three names, and so three of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AttributeName {
    /// `type` as the route emits it.
    EmittedType,
    /// `type` before the route's type mappings.
    DefaultType,
    /// `type` as Azure Digital Twins would call it.
    AzureType,
    Source,
    Subject,
    Time,
    DataContentType,
    SpecVersion,
    Id,
}

/// A document of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// The event's data.
    Body,
    /// The entity's document before the change.
    Old,
    /// The entity's document after the change.
    New,
}

/// The operands of the language; `dataschema` is one of CloudEvents that our events do not have.
pub(super) const OPERANDS: [&str; 11] = [
    "type",
    "source",
    "subject",
    "dataschema",
    "datacontenttype",
    "specversion",
    "id",
    "time",
    "$body",
    "$new",
    "$old",
];

impl Field {
    pub(super) fn of(path: &Path) -> Self {
        let side = match path.first.as_str() {
            "$body" => Side::Body,
            "$old" => Side::Old,
            "$new" => Side::New,
            attribute => return Self::attribute(attribute, path.steps.is_empty()),
        };
        Self::Document { side, steps: path.steps.iter().map(|step| step.as_str().into()).collect() }
    }

    /// Attributes are text: there is nothing below them.
    fn attribute(name: &str, is_whole: bool) -> Self {
        match name {
            _ if !is_whole => Self::Unknown,
            "type" => Self::Attribute(AttributeName::EmittedType),
            "source" => Self::Attribute(AttributeName::Source),
            "subject" => Self::Attribute(AttributeName::Subject),
            "time" => Self::Attribute(AttributeName::Time),
            "datacontenttype" => Self::Attribute(AttributeName::DataContentType),
            "specversion" => Self::Attribute(AttributeName::SpecVersion),
            "id" => Self::Attribute(AttributeName::Id),
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Field {
    /// As a filter would name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => f.write_str(name.name()),
            Self::Document { side, steps } => {
                f.write_str(side.name())?;
                steps.iter().try_for_each(|step| {
                    let is_name =
                        step.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$-".contains(&byte))
                            && step.starts_with(|first: char| !first.is_ascii_digit() && first != '-');
                    if is_name { write!(f, ".{step}") } else { write!(f, "['{}']", step.replace('\'', "''")) }
                })
            }
            Self::Unknown => f.write_str("the unknown name"),
        }
    }
}

impl AttributeName {
    fn name(self) -> &'static str {
        match self {
            Self::EmittedType | Self::DefaultType | Self::AzureType => "type",
            Self::Source => "source",
            Self::Subject => "subject",
            Self::Time => "time",
            Self::DataContentType => "datacontenttype",
            Self::SpecVersion => "specversion",
            Self::Id => "id",
        }
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Body => "$body",
            Self::Old => "$old",
            Self::New => "$new",
        }
    }
}

/// Whether a path can never have a value, whatever the event: a name that is no operand, or a step below an attribute.
pub(super) fn is_never_defined(path: &Path) -> bool {
    Field::of(path) == Field::Unknown && !(path.first == "dataschema" && path.steps.is_empty())
}
