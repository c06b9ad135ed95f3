//! What `$metadata` says of an object's properties, before and after a change.

use super::bookkeeping::{LAST_UPDATE_TIME, METADATA};
use crate::json::{Finder, Text, Value};

/// The entries of one object's properties on both sides, bookkeeping included.
pub(super) struct Entries<'d> {
    old: Option<Finder<'d>>,
    new: Option<Finder<'d>>,
}

impl<'d> Entries<'d> {
    /// Of a document or component before and after; a side that is not there has no entries.
    pub(super) fn between(old: Option<Value<'d>>, new: Option<Value<'d>>) -> Self {
        let entries = |side: Option<Value<'d>>| side?.get(METADATA).map(Finder::new);
        Self { old: entries(old), new: entries(new) }
    }

    /// Whether the property was written: its stamp is new or changed, whatever became of its value. Members that start with
    /// `$` are no properties.
    pub(super) fn written(&mut self, property: Text<'_>) -> bool {
        if property.starts_with('$') {
            return false;
        }
        let (old, Some(new)) = self.find(property) else { return false };
        if old.is_some_and(|old| old.raw() == new.raw()) {
            return false;
        }
        let Some(stamp) = new.get(LAST_UPDATE_TIME) else { return false };
        old.and_then(|entry| entry.get(LAST_UPDATE_TIME)).is_none_or(|before| !stamp.same(before))
    }

    /// The property's entry after the change, if it is new or anything in it changed.
    pub(super) fn changed(&mut self, property: Text<'_>) -> Option<Value<'d>> {
        let (old, new) = self.find(property);
        new.filter(|entry| old.is_none_or(|before| !entry.same(before)))
    }

    fn find(&mut self, property: Text<'_>) -> (Option<Value<'d>>, Option<Value<'d>>) {
        let entry = |side: &mut Option<Finder<'d>>| side.as_mut()?.find(property);
        let new = entry(&mut self.new);
        if new.is_none() {
            return (None, None);
        }
        (entry(&mut self.old), new)
    }
}
