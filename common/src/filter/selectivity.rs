//! What is known of a filter before an event is there: the types that it can select, and texts that a field must have.
//! A table of many routes is searched by these instead of asking each filter.

use super::field::{AttributeName, Field};
use super::predicate::{Amount, Predicate, Test};
use super::syntax::Search;
use super::{Filter, Verdict};
use crate::cloud_event::EventType;

/// Whenever the filter is true, the field is a text that is one of `whole` or starts with one of `starts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) field: Field,
    pub(crate) whole: Vec<Box<str>>,
    pub(crate) starts: Vec<Box<str>>,
}

impl Filter {
    /// Whether the filter can be true for an event of this type, which the route emits as `emitted`.
    pub(crate) fn can_select(&self, event_type: EventType, emitted: &str) -> bool {
        Outcomes::of(&self.predicate, event_type, emitted).contains(Verdict::True)
    }

    /// A field that decides whether the filter can be true, if there is one.
    pub(crate) fn key(&self) -> Option<Key> {
        Key::of(&self.predicate)
    }
}

/// Some of the three verdicts: those that a condition can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcomes(u8);

impl Outcomes {
    const ALL: [Verdict; 3] = [Verdict::True, Verdict::False, Verdict::Undefined];
    const ANY: Self = Self(0b111);

    fn only(verdict: Verdict) -> Self {
        Self(1 << verdict as u8)
    }

    fn contains(self, verdict: Verdict) -> bool {
        self.0 & Self::only(verdict).0 != 0
    }

    fn verdicts(self) -> impl Iterator<Item = Verdict> {
        Self::ALL.into_iter().filter(move |verdict| self.contains(*verdict))
    }

    fn collect(verdicts: impl Iterator<Item = Verdict>) -> Self {
        Self(verdicts.fold(0, |set, verdict| set | Self::only(verdict).0))
    }

    /// Every verdict of `join` over one of each.
    fn joined(parts: impl Iterator<Item = Self>, start: Verdict, join: fn([Verdict; 2]) -> Verdict) -> Self {
        parts.fold(Self::only(start), |joined, part| {
            Self::collect(
                joined.verdicts().flat_map(|left| part.verdicts().map(move |right| join([left, right]))),
            )
        })
    }

    fn of(predicate: &Predicate, event_type: EventType, emitted: &str) -> Self {
        let of = |part: &Predicate| Self::of(part, event_type, emitted);
        match &predicate.test {
            Test::Constant(verdict) => Self::only(*verdict),
            Test::All(parts) => Self::joined(parts.iter().map(of), Verdict::True, Verdict::all),
            Test::Any(parts) => Self::joined(parts.iter().map(of), Verdict::False, Verdict::any),
            Test::Not(part) => Self::collect(of(part).verdicts().map(|verdict| !verdict)),
            Test::Type { defaults, emitted: test } => {
                Self::only(Verdict::from(defaults.contains(event_type) || test.holds(emitted)))
            }
            Test::Changed(_) if !event_type.has_both_documents() => Self::only(Verdict::Undefined),
            Test::IsNull(_) | Test::IsDefined(_) => {
                Self::collect([Verdict::True, Verdict::False].into_iter())
            }
            Test::Equal(..) | Test::Order(..) | Test::Search(..) | Test::Changed(_) => Self::ANY,
        }
    }
}

impl EventType {
    /// Whether a change of this type can have documents before and after it.
    fn has_both_documents(self) -> bool {
        !matches!(
            self,
            Self::TwinCreate
                | Self::TwinDelete
                | Self::RelationshipCreate
                | Self::RelationshipDelete
                | Self::RelationshipLifecycle
                | Self::ModelCreate
                | Self::ModelDelete
                | Self::StreamGap
                | Self::StreamPoison
        )
    }
}

impl Key {
    fn of(predicate: &Predicate) -> Option<Self> {
        match &predicate.test {
            Test::Equal(Amount::Field(field), Amount::Text(text))
            | Test::Equal(Amount::Text(text), Amount::Field(field)) => {
                Self::of_field(field, vec![text.clone()], Vec::new())
            }
            Test::Search(Search::Start, Amount::Field(field), Amount::Text(text)) => {
                Self::of_field(field, Vec::new(), vec![text.clone()])
            }
            // All must hold, so any one will do; whole texts tell more.
            Test::All(parts) => parts.iter().filter_map(Self::of).min_by_key(|key| key.starts.len()),
            Test::Any(parts) => {
                let mut keys = parts.iter().map(Self::of);
                let first = keys.next()??;
                keys.try_fold(first, |joined, key| joined.join(key?))
            }
            _ => None,
        }
    }

    /// An attribute that is the same for most events tells nothing, and `type` is looked at anyway.
    fn of_field(field: &Field, whole: Vec<Box<str>>, starts: Vec<Box<str>>) -> Option<Self> {
        match field {
            Field::Attribute(AttributeName::Subject) | Field::Document { .. } => {
                Some(Self { field: field.clone(), whole, starts })
            }
            Field::Attribute(_) | Field::Unknown => None,
        }
    }

    /// One or the other; of two fields nothing can be said.
    fn join(mut self, other: Self) -> Option<Self> {
        self.whole.extend(other.whole);
        self.starts.extend(other.starts);
        (self.field == other.field).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text).unwrap()
    }

    #[test]
    fn a_type_that_a_filter_cannot_select_is_known() {
        for (text, selects) in [
            ("true", true),
            ("false", false),
            ("type = 'Microsoft.DigitalTwins.Twin.Update'", true),
            ("type = 'Acme.Changed'", true),
            ("type = 'Microsoft.DigitalTwins.Twin.Create'", false),
            ("NOT type = 'Konnektr.DigitalTwins.Twin.Update'", false),
            ("NOT type IN ['a', 'b']", true),
            ("ENDS_WITH(type, '.Delete') AND $body.x = 1", false),
            ("ENDS_WITH(type, '.Delete') OR $body.x = 1", true),
            ("CHANGED($new.x)", true),
            ("NOT (type != 'a' AND CONTAINS(type, 'Twin'))", false),
        ] {
            assert_eq!(filter(text).can_select(EventType::TwinUpdate, "Acme.Changed"), selects, "{text}");
        }
        let create = filter("CHANGED($new.x) OR NOT CHANGED($new.y)");
        assert!(!create.can_select(EventType::TwinCreate, EventType::TwinCreate.name()));
    }

    #[test]
    fn a_field_that_decides_is_found() {
        let told = |text: &str| {
            let key = filter(text).key()?;
            let texts = |texts: &[Box<str>]| texts.join("|");
            Some(format!("{} {} / {}", key.field, texts(&key.whole), texts(&key.starts)))
        };
        for (text, key) in [
            ("subject = 'a'", Some("subject a / ")),
            ("'a' = $body.modelId AND true", Some("$body.modelId a / ")),
            ("$new.m IN ['a', 'b']", Some("$new.m a|b / ")),
            ("$new.m = 'a' OR STARTS_WITH($new.m, 'b')", Some("$new.m a / b")),
            ("STARTS_WITH($new.m, 'b') AND subject = 'a'", Some("subject a / ")),
            ("$new.m = 'a' OR $old.m = 'a'", None),
            ("$new.m = 'a' OR true", None),
            ("$new.m IN ['a', null]", None),
            ("$new.m = 1", None),
            ("NOT subject = 'a'", None),
            ("type = 'a'", None),
        ] {
            assert_eq!(told(text).as_deref(), key, "{text}");
        }
    }
}
