//! A document as consumers of patches see it: without the members that the twin store changes with every write.

use crate::json::{Kind, Text, Value};

/// The member that makes an object a component, and that holds a twin's model and its properties' entries.
pub(super) const METADATA: &str = "$metadata";
/// Member of `$metadata`: the model.
pub(super) const MODEL: &str = "$model";
/// Member of an entry in `$metadata`: when the property was last written.
pub(super) const LAST_UPDATE_TIME: &str = "lastUpdateTime";
/// Member of an entry in `$metadata`: who wrote the property last.
pub(super) const LAST_UPDATED_BY: &str = "lastUpdatedBy";

/// What a value is within its document; it decides which of its members are bookkeeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The document itself.
    Document,
    /// An object with `$metadata`, in the document or in another component.
    Component,
    /// `$metadata` of the document or of a component.
    Metadata,
    /// An object in `$metadata`: the entry of the property of that name.
    Entry,
    /// Anything else, with all that is in it.
    Plain,
}

/// A value of which the bookkeeping is not seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'d> {
    pub(super) value: Value<'d>,
    role: Role,
}

/// Whether a member of the document or of a component is a component.
pub(super) fn is_component(member: Value<'_>) -> bool {
    member.get(METADATA).is_some()
}

impl<'d> Seen<'d> {
    pub(super) fn document(root: Value<'d>) -> Self {
        Self { value: root, role: Role::Document }
    }

    /// A member of the document, or of a component, for which [`is_component`] holds.
    pub(super) fn component(member: Value<'d>) -> Self {
        Self { value: member, role: Role::Component }
    }

    /// Whether its members are properties.
    pub(super) fn has_properties(self) -> bool {
        matches!(self.role, Role::Document | Role::Component)
    }

    /// Whether the same text would mean the same in both.
    pub(super) fn is_read_like(self, other: Seen<'_>) -> bool {
        self.role == other.role
    }

    /// Whether one is a component and the other, although it has `$metadata`, is plain data because of where it stands:
    /// they have not the same bookkeeping.
    pub(super) fn is_other_reading_than(self, other: Seen<'_>) -> bool {
        !self.is_read_like(other) && is_component(self.value) && is_component(other.value)
    }

    /// A member, unless it is bookkeeping.
    pub(super) fn member(self, member: Value<'d>) -> Option<Self> {
        let name = member.name();
        let role = match self.role {
            Role::Document if name.is("$etag") => return None,
            Role::Document | Role::Component if name.is(METADATA) => {
                if member.is_object() {
                    Role::Metadata
                } else {
                    Role::Plain
                }
            }
            Role::Document | Role::Component if is_component(member) => Role::Component,
            Role::Metadata => metadata_role(name, member)?,
            Role::Entry if is_stamp(name) => return None,
            Role::Document | Role::Component | Role::Entry | Role::Plain => Role::Plain,
        };
        Some(Self { value: member, role })
    }

    /// The members that are not bookkeeping.
    pub(super) fn members(self) -> impl Iterator<Item = Self> {
        self.value.children().filter_map(move |member| self.member(member))
    }

    /// Appends the value without its bookkeeping.
    pub(super) fn write(self, out: &mut String) {
        if self.role == Role::Plain {
            out.push_str(self.value.raw());
            return;
        }
        out.push('{');
        for (index, member) in self.members().enumerate() {
            out.push_str(if index == 0 { "\"" } else { ",\"" });
            out.push_str(member.value.name().raw());
            out.push_str("\":");
            member.write(out);
        }
        out.push('}');
    }
}

/// The role of a member of `$metadata`; `None` when it is bookkeeping, or an entry with nothing but bookkeeping.
fn metadata_role(name: Text<'_>, member: Value<'_>) -> Option<Role> {
    let is_object = member.kind() == Kind::Object;
    if name.is("$lastUpdateTime") || name.is("$lastUpdatedBy") || (is_stamp(name) && !is_object) {
        return None;
    }
    if !is_object || name.is(MODEL) {
        return Some(Role::Plain);
    }
    let tells_something = member.children().any(|it| !is_stamp(it.name()));
    tells_something.then_some(Role::Entry)
}

fn is_stamp(name: Text<'_>) -> bool {
    name.is(LAST_UPDATE_TIME) || name.is(LAST_UPDATED_BY)
}
