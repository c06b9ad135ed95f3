//! A YAML document as a tree that keeps each value's line and, for scalars, its text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use super::problem::Problem;

/// One node of the document.
#[derive(Clone, Debug)]
pub struct Node {
    /// 1-based line where the value begins; of a mapping's member, where its key stands.
    pub line: u64,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A mapping, in the document's order.
    Map(Vec<(String, Node)>),
    /// A sequence.
    List(Vec<Node>),
    /// A scalar.
    Leaf {
        /// Its value.
        value: Value,
        /// Its text as written where that may differ from the value (`007`, `1.10`).
        text: Option<String>,
    },
}

impl Node {
    /// The node as JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Leaf { value, .. } => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Content::Map(members) => {
                Value::Object(members.iter().map(|(name, node)| (name.clone(), node.value())).collect())
            }
        }
    }

    fn new(text: &str, raw: Spanned<Raw>) -> Self {
        let location = raw.defined;
        let content = match raw.value {
            Raw::Map(members) => {
                let member = |(name, member): (Spanned<String>, _)| {
                    let line = name.defined.line();
                    (name.value, Self { line, ..Self::new(text, member) })
                };
                Content::Map(members.into_iter().map(member).collect())
            }
            Raw::Sequence(items) => {
                Content::List(items.into_iter().map(|item| Self::new(text, item)).collect())
            }
            Raw::Scalar(value) => {
                let written = matches!(value, Value::Number(_) | Value::Bool(_))
                    .then(|| slice(text, location.span()))
                    .flatten();
                Content::Leaf { value, text: written }
            }
        };
        Self { line: location.line(), content }
    }
}

fn slice(text: &str, span: serde_saphyr::Span) -> Option<String> {
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    text.get(start..start.checked_add(length)?).map(|text| text.trim().to_owned())
}

/// Parses one document; an empty one is an empty mapping.
///
/// # Errors
/// A problem without a key, whose message begins with the line.
pub fn parse(text: &str) -> Result<Node, Problem> {
    // YAML 1.2: `y` and `no` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    let raw = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        // A snippet of the source could show a secret.
        let reason = error.without_snippet().to_string();
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        Problem::new("", format!("line {line}: not valid YAML: {reason}"))
    })?;
    Ok(Node::new(text, raw))
}

enum Raw {
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
    Sequence(Vec<Spanned<Raw>>),
    Scalar(Value),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        let number = Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number);
        Ok(Raw::Scalar(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Raw::Map(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::Sequence(items))
    }
}

/// The members of a value that is a section, that is an object with fixed keys.
pub(super) fn section(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object().filter(|members| !members.is_empty())
}
