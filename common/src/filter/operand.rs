//! The values that filters compare, and how they compare.

use std::cmp::Ordering;
use std::fmt::Write as _;

use smallvec::SmallVec;

use super::Verdict;
use super::syntax::Search;
use crate::json::{Kind, Text, Value, compare_numbers};

/// A value in a comparison. Copying it copies no text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'c> {
    /// The event does not have it.
    Missing,
    Null,
    Boolean(bool),
    Number(Number<'c>),
    Text(Text<'c>),
    /// An object or array.
    Nested(Value<'c>),
}

/// A number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number<'c> {
    /// As it is written, of any size.
    Written(&'c str),
    /// The outcome of arithmetic: the number that it is printed as.
    Computed(f64),
}

impl<'c> Operand<'c> {
    /// Text as it is.
    pub(super) fn text(content: &'c str) -> Self {
        Self::Text(Text::plain(content))
    }

    /// `=`: undefined when one is missing, false for different types.
    pub(super) fn equals(self, other: Self) -> Verdict {
        let equal = match (self, other) {
            (Self::Missing, _) | (_, Self::Missing) => return Verdict::Undefined,
            (Self::Null, Self::Null) => true,
            (Self::Boolean(left), Self::Boolean(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => left.compare(right) == Ordering::Equal,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Nested(left), Self::Nested(right)) => left.same(right),
            _ => false,
        };
        Verdict::from(equal)
    }

    /// Numbers and texts (by their bytes) have an order; other pairs have none.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => Some(left.compare(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(&right)),
            _ => None,
        }
    }

    /// Undefined for anything but two texts.
    pub(super) fn finds(self, search: Search, part: Self) -> Verdict {
        let (Self::Text(text), Self::Text(part)) = (self, part) else { return Verdict::Undefined };
        let (text, part) = (text.unescaped(), part.unescaped());
        Verdict::from(search.finds(&text, &part))
    }

    /// The number, for arithmetic.
    pub(super) fn as_double(self) -> Option<f64> {
        match self {
            Self::Number(Number::Written(text)) => text.parse().ok(),
            Self::Number(Number::Computed(number)) => Some(number),
            _ => None,
        }
    }

    /// The outcome of arithmetic; missing when it is no finite number.
    pub(super) fn computed(outcome: Option<f64>) -> Self {
        match outcome {
            Some(number) if number.is_finite() => Self::Number(Number::Computed(number)),
            _ => Self::Missing,
        }
    }

    /// `ABS`: missing for anything but a number.
    pub(super) fn absolute(self) -> Self {
        match self {
            Self::Number(Number::Written(text)) => {
                Self::Number(Number::Written(text.strip_prefix('-').unwrap_or(text)))
            }
            Self::Number(Number::Computed(number)) => Self::Number(Number::Computed(number.abs())),
            _ => Self::Missing,
        }
    }
}

impl<'c> From<Value<'c>> for Operand<'c> {
    fn from(value: Value<'c>) -> Self {
        match value.kind() {
            Kind::Null => Self::Null,
            Kind::Boolean => Self::Boolean(value.raw() == "true"),
            Kind::Number => Self::Number(Number::Written(value.raw())),
            Kind::String => value.as_text().map_or(Self::Missing, Self::Text),
            Kind::Array | Kind::Object => Self::Nested(value),
        }
    }
}

impl Number<'_> {
    /// Exact, whatever the size and the way of writing.
    fn compare(self, other: Self) -> Ordering {
        let (mut left, mut right) = (Digits::new(), Digits::new());
        compare_numbers(self.written(&mut left), other.written(&mut right))
    }

    fn written<'n>(&'n self, digits: &'n mut Digits) -> &'n str {
        match self {
            Self::Written(text) => text,
            Self::Computed(number) => digits.print(*number),
        }
    }
}

/// Room for the shortest text of a double in scientific notation, which has at most 24 bytes.
struct Digits(SmallVec<[u8; 32]>);

impl Digits {
    fn new() -> Self {
        Self(SmallVec::new())
    }

    fn print(&mut self, number: f64) -> &str {
        // Writing into memory does not fail.
        let _ = write!(self, "{number:e}");
        str::from_utf8(&self.0).unwrap_or("0")
    }
}

impl std::fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Search {
    pub(super) fn finds(self, text: &str, part: &str) -> bool {
        match self {
            Self::Start => text.starts_with(part),
            Self::End => text.ends_with(part),
            Self::Anywhere => text.contains(part),
        }
    }
}
