//! The difference between two documents as RFC 6902 operations, bookkeeping left out.

use smallvec::SmallVec;

use super::bookkeeping::Seen;
use super::entries::Entries;
use crate::cloud_event::push_json_string;
use crate::json::{Finder, Text, Value};

/// Appends the operations that turn `old` into `new`, separated by commas; `None`, and nothing appended, when there are
/// none. Both must be whole documents.
pub(super) fn write(old: Value<'_>, new: Value<'_>, out: &mut String) -> Option<()> {
    diff(Seen::document(old), Seen::document(new), out)
}

/// Whether there are any operations between two components.
pub(super) fn differs(old: Seen<'_>, new: Seen<'_>) -> bool {
    diff(old, new, &mut String::new()).is_some()
}

fn diff(old: Seen<'_>, new: Seen<'_>, out: &mut String) -> Option<()> {
    let mut patch = Patch { out, path: SmallVec::new(), operations: 0 };
    patch.object(old, new);
    (patch.operations > 0).then_some(())
}

struct Patch<'d, 'o> {
    out: &'o mut String,
    path: SmallVec<[Text<'d>; 8]>,
    operations: usize,
}

impl<'d> Patch<'d, '_> {
    /// Both are objects: removes in the old order, then the rest in the new order.
    fn object(&mut self, old: Seen<'d>, new: Seen<'d>) {
        let is_copy = |one: Value<'_>, other: Value<'_>| old.is_read_like(new) && one.raw() == other.raw();
        let mut new_members = Finder::new(new.value);
        for member in old.value.children() {
            let name = member.name();
            let after = new_members.find(name);
            if after.is_some_and(|after| is_copy(member, after)) {
                continue;
            }
            if old.member(member).is_some() && after.and_then(|after| new.member(after)).is_none() {
                self.at(name, |patch| patch.operation("remove", None));
            }
        }
        let mut old_members = Finder::new(old.value);
        let mut entries = new.has_properties().then(|| Entries::between(Some(old.value), Some(new.value)));
        let mut written = |name: Text<'_>| entries.as_mut().is_some_and(|entries| entries.written(name));
        for member in new.value.children() {
            let name = member.name();
            let before = old_members.find(name);
            if before.is_some_and(|before| is_copy(before, member)) && !written(name) {
                continue;
            }
            let Some(member) = new.member(member) else { continue };
            self.at(name, |patch| match before.and_then(|before| old.member(before)) {
                None => patch.operation("add", Some(member)),
                Some(before) => {
                    let operations = patch.operations;
                    patch.value(before, member);
                    if patch.operations == operations && written(name) {
                        patch.operation("replace", Some(member));
                    }
                }
            });
        }
    }

    fn value(&mut self, old: Seen<'d>, new: Seen<'d>) {
        if old.value.is_object() && new.value.is_object() && !old.is_other_reading_than(new) {
            self.object(old, new);
        } else if old.is_other_reading_than(new) || !old.value.same(new.value) {
            self.operation("replace", Some(new));
        }
    }

    fn at(&mut self, name: Text<'d>, write: impl FnOnce(&mut Self)) {
        self.path.push(name);
        write(self);
        self.path.pop();
    }

    fn operation(&mut self, operation: &str, value: Option<Seen<'d>>) {
        let separator = if self.operations == 0 { "" } else { "," };
        for part in [separator, r#"{"op":""#, operation, r#"","path":""#] {
            self.out.push_str(part);
        }
        for name in &self.path {
            self.out.push('/');
            push_reference_token(self.out, *name);
        }
        self.out.push('"');
        if let Some(value) = value {
            self.out.push_str(r#","value":"#);
            value.write(self.out);
        }
        self.out.push('}');
        self.operations += 1;
    }
}

/// Appends a step of a JSON pointer (RFC 6901, section 3) as the inner part of a JSON string.
fn push_reference_token(out: &mut String, name: Text<'_>) {
    let content = name.unescaped();
    if !content.contains(['~', '/']) {
        out.push_str(name.raw());
        return;
    }
    let mut quoted = String::new();
    push_json_string(&mut quoted, &content.replace('~', "~0").replace('/', "~1"));
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    out.push_str(inner.unwrap_or_default());
}
