//! A value of a document.

use super::text::Text;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A value in the array of nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'t> {
    /// The member's name as it is written, without quotes; empty for what is no member.
    pub(super) name: &'t str,
    /// The value as it is written.
    pub(super) raw: &'t str,
    /// Number of nodes below this one; they follow it.
    pub(super) below: u32,
    /// What it is.
    pub(super) kind: Kind,
    /// A backslash is in it; only told of strings.
    pub(super) escaped: bool,
    /// A backslash is in the name.
    pub(super) name_escaped: bool,
    /// A later member of the object has the same name.
    pub(super) shadowed: bool,
}

/// Stands for the value of a text that has none; there is no such text.
pub(super) static NOTHING: Node<'static> = Node::new(Text::EMPTY, Kind::Null, "", false);

impl<'t> Node<'t> {
    /// A value with nothing below it.
    pub(super) const fn new(name: Text<'t>, kind: Kind, raw: &'t str, escaped: bool) -> Self {
        Self {
            name: name.raw(),
            raw,
            below: 0,
            kind,
            escaped,
            name_escaped: name.is_escaped(),
            shadowed: false,
        }
    }

    pub(super) fn name(&self) -> Text<'t> {
        Text::new(self.name, self.name_escaped)
    }
}

/// A value of a [`Document`](super::Document), and the member's name when it is one. Copying it copies no text.
#[derive(Clone, Copy, Debug)]
pub struct Value<'d> {
    node: &'d Node<'d>,
    below: &'d [Node<'d>],
}

impl<'d> Value<'d> {
    pub(super) fn new(node: &'d Node<'d>, below: &'d [Node<'d>]) -> Self {
        Self { node, below }
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.node.kind
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        self.node.kind == Kind::Object
    }

    /// The value as it is written: strings with their quotes, objects and arrays with all that is in them.
    #[must_use]
    pub fn raw(self) -> &'d str {
        self.node.raw
    }

    /// The member's name; empty for what is no member.
    #[must_use]
    pub fn name(self) -> Text<'d> {
        self.node.name()
    }

    /// A string's content.
    #[must_use]
    pub fn as_text(self) -> Option<Text<'d>> {
        let inner = self.raw().strip_prefix('"')?.strip_suffix('"')?;
        Some(Text::new(inner, self.node.escaped))
    }

    /// The members of an object or the elements of an array, in their order; nothing for other values.
    #[must_use]
    pub fn children(self) -> Children<'d> {
        Children { rest: self.below }
    }

    /// An object's member of that name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'d>> {
        if !self.is_object() {
            return None;
        }
        self.children().find(|member| member.name().is(name))
    }
}

/// The values directly in an object or array.
#[derive(Clone, Debug)]
pub struct Children<'d> {
    rest: &'d [Node<'d>],
}

impl Children<'_> {
    /// No values.
    pub(super) fn none() -> Self {
        Self { rest: &[] }
    }
}

impl<'d> Iterator for Children<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Value<'d>> {
        loop {
            let (node, after) = self.rest.split_first()?;
            let (below, rest) = after.split_at_checked(node.below as usize)?;
            self.rest = rest;
            if !node.shadowed {
                return Some(Value::new(node, below));
            }
        }
    }
}
