//! Finding many members of one object.

use super::text::Text;
use super::value::{Children, Value};

/// Objects with more members than this are searched through a sorted list; below it, looking at each is faster.
const MEMBERS_WITHOUT_INDEX: usize = 32;

/// Looks up members of one object. Fastest when it is asked in the order of the object.
#[derive(Clone, Debug)]
pub struct Finder<'d> {
    all: Children<'d>,
    ahead: Children<'d>,
    sorted: Vec<Value<'d>>,
}

impl<'d> Finder<'d> {
    /// For the members of `object`; of another kind of value nothing is found.
    #[must_use]
    pub fn new(object: Value<'d>) -> Self {
        let all = if object.is_object() { object.children() } else { Children::none() };
        let mut sorted = Vec::new();
        if all.clone().nth(MEMBERS_WITHOUT_INDEX).is_some() {
            sorted.extend(all.clone());
            sorted.sort_unstable_by_key(|member| member.name());
        }
        Self { ahead: all.clone(), all, sorted }
    }

    /// The member of that name.
    pub fn find(&mut self, name: Text<'_>) -> Option<Value<'d>> {
        if !self.sorted.is_empty() {
            let place = self.sorted.binary_search_by(|member| member.name().cmp(&name)).ok()?;
            return self.sorted.get(place).copied();
        }
        if let Some(member) = self.ahead.by_ref().find(|member| member.name() == name) {
            return Some(member);
        }
        self.ahead = self.all.clone();
        let mut from_start = self.all.clone();
        let member = from_start.find(|member| member.name() == name)?;
        self.ahead = from_start;
        Some(member)
    }
}
