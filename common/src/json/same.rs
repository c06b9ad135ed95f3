//! Equality by value.

use super::finder::Finder;
use super::number;
use super::value::{Kind, Value};

impl Value<'_> {
    /// Whether both are the same value: numbers exactly (`150` is `150.0`), strings by content, arrays in order, objects
    /// whatever the order of their members. The member's own name does not count.
    #[must_use]
    pub fn same(self, other: Value<'_>) -> bool {
        if self.kind() != other.kind() {
            return false;
        }
        if self.raw() == other.raw() {
            return true;
        }
        match self.kind() {
            Kind::Null | Kind::Boolean => false,
            Kind::Number => number::same(self.raw(), other.raw()),
            Kind::String => self.as_text() == other.as_text(),
            Kind::Array => same_elements(self, other),
            Kind::Object => same_members(self, other),
        }
    }
}

fn same_elements(left: Value<'_>, right: Value<'_>) -> bool {
    let mut others = right.children();
    let begin_alike = left.children().all(|element| others.next().is_some_and(|other| element.same(other)));
    begin_alike && others.next().is_none()
}

fn same_members(left: Value<'_>, right: Value<'_>) -> bool {
    if left.children().count() != right.children().count() {
        return false;
    }
    let mut others = Finder::new(right);
    left.children().all(|member| others.find(member.name()).is_some_and(|other| member.same(other)))
}
