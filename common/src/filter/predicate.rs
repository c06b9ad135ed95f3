//! A filter made ready to be asked: fields resolved, `type` decided for all default types in advance.

mod compile;
mod explain;

use std::cmp::Ordering;
use std::ops::Range;

use super::Verdict;
use super::candidate::Candidate;
use super::field::{Field, Side};
use super::operand::{Number, Operand};
use super::syntax::{Scale, Search, Sign};
use crate::cloud_event::TypeSet;

/// One condition of a filter.
#[derive(Clone, Debug)]
pub(super) struct Predicate {
    pub(super) test: Test,
    /// Its place in the text, in bytes.
    span: Range<usize>,
}

/// What a condition asks.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Constant(Verdict),
    All(Box<[Predicate]>),
    Any(Box<[Predicate]>),
    Not(Box<Predicate>),
    /// `type` under any of its names.
    Type {
        /// The default types that hold under their own name or Azure's.
        defaults: TypeSet,
        /// What holds for the emitted type.
        emitted: EmittedType,
    },
    /// The presence idiom: JSON null or missing.
    IsNull(Amount),
    Equal(Amount, Amount),
    /// The orders that hold.
    Order(Amount, OrderTest, Amount),
    Search(Search, Amount, Amount),
    IsDefined(Field),
    /// The value at these steps differs between the documents.
    Changed(Box<[Box<str>]>),
}

/// What is asked of the emitted type.
#[derive(Clone, Debug)]
pub(super) enum EmittedType {
    /// It is one of these.
    Is(Box<[Box<str>]>),
    /// This is found in it.
    Finds(Search, Box<str>),
}

/// `<`, `<=`, `>` and `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderTest {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operand of a comparison.
#[derive(Clone, Debug)]
pub(super) enum Amount {
    Null,
    Boolean(bool),
    Number(Box<str>),
    Text(Box<str>),
    Field(Field),
    Absolute(Box<Amount>),
    /// At least two terms.
    Sum(Box<[(Sign, Amount)]>),
    /// At least two factors; the first one's operator is `*`.
    Product(Box<[(Scale, Amount)]>),
}

impl Predicate {
    /// What the condition says of an event.
    pub(super) fn verdict(&self, candidate: &Candidate<'_>) -> Verdict {
        match &self.test {
            Test::Constant(verdict) => *verdict,
            Test::All(parts) => Verdict::all(parts.iter().map(|part| part.verdict(candidate))),
            Test::Any(parts) => Verdict::any(parts.iter().map(|part| part.verdict(candidate))),
            Test::Not(part) => !part.verdict(candidate),
            Test::Type { defaults, emitted } => {
                let event = candidate.event();
                Verdict::from(defaults.contains(event.default_type) || emitted.holds(&event.event_type))
            }
            Test::IsNull(amount) => {
                Verdict::from(matches!(amount.operand(candidate), Operand::Missing | Operand::Null))
            }
            Test::Equal(left, right) => left.operand(candidate).equals(right.operand(candidate)),
            Test::Order(left, order, right) => {
                match left.operand(candidate).order(right.operand(candidate)) {
                    Some(ordering) => Verdict::from(order.holds(ordering)),
                    None => Verdict::Undefined,
                }
            }
            Test::Search(search, text, part) => {
                text.operand(candidate).finds(*search, part.operand(candidate))
            }
            Test::IsDefined(field) => Verdict::from(!matches!(candidate.operand(field), Operand::Missing)),
            Test::Changed(steps) => changed(candidate, steps),
        }
    }
}

fn changed(candidate: &Candidate<'_>, steps: &[Box<str>]) -> Verdict {
    let both = candidate.document(Side::Old).zip(candidate.document(Side::New));
    if both.is_none() {
        return Verdict::Undefined;
    }
    Verdict::from(match (candidate.value(Side::Old, steps), candidate.value(Side::New, steps)) {
        (Some(old), Some(new)) => !old.same(new),
        (None, None) => false,
        _ => true,
    })
}

impl EmittedType {
    /// Whether the type holds.
    pub(super) fn holds(&self, event_type: &str) -> bool {
        match self {
            Self::Is(names) => names.iter().any(|name| **name == *event_type),
            Self::Finds(search, part) => search.finds(event_type, part),
        }
    }
}

impl OrderTest {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Amount {
    fn operand<'c>(&'c self, candidate: &'c Candidate<'_>) -> Operand<'c> {
        match self {
            Self::Null => Operand::Null,
            Self::Boolean(value) => Operand::Boolean(*value),
            Self::Number(text) => Operand::Number(Number::Written(text)),
            Self::Text(text) => Operand::text(text),
            Self::Field(field) => candidate.operand(field),
            Self::Absolute(amount) => amount.operand(candidate).absolute(),
            Self::Sum(terms) => Operand::computed(terms.iter().try_fold(0.0, |sum, (sign, term)| {
                let term = term.operand(candidate).as_double()?;
                Some(match sign {
                    Sign::Plus => sum + term,
                    Sign::Minus => sum - term,
                })
            })),
            Self::Product(factors) => {
                Operand::computed(factors.iter().try_fold(1.0, |product, (scale, factor)| {
                    let factor = factor.operand(candidate).as_double()?;
                    match scale {
                        Scale::Times => Some(product * factor),
                        Scale::Over => (factor != 0.0).then_some(product / factor),
                    }
                }))
            }
        }
    }
}
