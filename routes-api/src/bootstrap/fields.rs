//! A mapping of the file, read key by key: what nobody asked for is unknown.

use serde_json::Value;
use twinroute_common::config::yaml::{Content, Node};

use super::expand::{Environment, expand};

/// Line and message.
pub(super) type Found = Vec<(u64, String)>;

/// A mapping whose keys are taken one by one.
pub(super) struct Fields<'n, 'm> {
    /// What it is, for messages.
    what: String,
    /// Line where it begins.
    pub(super) line: u64,
    members: &'n [(String, Node)],
    asked: Vec<&'static str>,
    environment: Environment<'m>,
    mistakes: &'m mut Found,
}

impl<'n, 'm> Fields<'n, 'm> {
    /// The node as a mapping; anything else is a mistake, and read as an empty one.
    pub(super) fn new(
        node: &'n Node,
        what: impl Into<String>,
        environment: Environment<'m>,
        mistakes: &'m mut Found,
    ) -> Self {
        let what = what.into();
        let members: &[(String, Node)] = match &node.content {
            Content::Map(members) => members,
            Content::Leaf { value: Value::Null, .. } => &[],
            Content::Leaf { .. } | Content::List(_) => {
                mistakes.push((node.line, format!("{what} must be a mapping of keys to values")));
                &[]
            }
        };
        Self { what, line: node.line, members, asked: Vec::new(), environment, mistakes }
    }

    /// Notes a mistake at a key, or where the mapping begins.
    pub(super) fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.refuse_at(self.line_of(key), message);
    }

    /// Notes a mistake at a line.
    pub(super) fn refuse_at(&mut self, line: u64, message: impl Into<String>) {
        self.mistakes.push((line, message.into()));
    }

    fn line_of(&self, key: &str) -> u64 {
        self.members.iter().find(|(name, _)| name == key).map_or(self.line, |(_, node)| node.line)
    }

    fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let node = self.members.iter().find(|(name, _)| name == key).map(|(_, node)| node);
        node.filter(|node| !matches!(node.content, Content::Leaf { value: Value::Null, .. }))
    }

    /// Whether the key is given, also as an empty list.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(name, _)| name == key)
    }

    /// A mapping within.
    pub(super) fn section<'s>(&'s mut self, key: &'static str) -> Option<Fields<'n, 's>> {
        let node = self.take(key)?;
        Some(Fields::new(node, format!("`{key}`"), self.environment, self.mistakes))
    }

    /// Reads each mapping of a list within; `what` names one of them in messages.
    pub(super) fn each<T>(
        &mut self,
        key: &'static str,
        what: &str,
        mut read: impl FnMut(&mut Fields<'n, '_>) -> Option<T>,
    ) -> Vec<(u64, T)> {
        let items: &'n [Node] = match self.take(key).map(|node| &node.content) {
            None => &[],
            Some(Content::List(items)) => items,
            Some(_) => {
                self.refuse(key, format!("`{key}` must be a list"));
                &[]
            }
        };
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let mut fields = Fields::new(item, what, self.environment, self.mistakes);
            let value = read(&mut fields);
            fields.finish();
            all.extend(value.map(|value| (item.line, value)));
        }
        all
    }

    /// A text, variables replaced; numbers and truth values as they are written. Empty when it is not given.
    pub(super) fn text(&mut self, key: &'static str) -> String {
        let Some(node) = self.take(key) else { return String::new() };
        let written = match &node.content {
            Content::Leaf { text: Some(text), .. } => text.clone(),
            Content::Leaf { value: Value::String(text), .. } => text.clone(),
            Content::Leaf { .. } | Content::Map(_) | Content::List(_) => {
                self.refuse(key, format!("`{key}` must be a text"));
                return String::new();
            }
        };
        expand(&written, self.environment).unwrap_or_else(|reason| {
            self.refuse(key, format!("`{key}` {reason}"));
            String::new()
        })
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &'static str) -> String {
        let text = self.text(key);
        if text.is_empty()
            && !self.mistakes.iter().any(|(line, _)| *line == self.line_of(key) && self.has(key))
        {
            let what = self.what.clone();
            self.refuse(key, format!("{what} needs `{key}`"));
        }
        text
    }

    /// A value that is read from its text; `None` when it is not given.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, key: &'static str, wanted: &str) -> Option<T> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.refuse(key, format!("`{key}` must be {wanted}"));
        }
        parsed
    }

    /// The texts of a mapping whose keys are not fixed.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        let fields = Fields::new(node, format!("`{key}`"), self.environment, self.mistakes);
        let mut texts = Vec::with_capacity(fields.members.len());
        for (name, node) in fields.members {
            match &node.content {
                Content::Leaf { value: Value::String(text), .. } => match expand(text, fields.environment) {
                    Ok(text) => texts.push((name.clone(), text)),
                    Err(reason) => fields.mistakes.push((node.line, format!("`{name}` {reason}"))),
                },
                _ => fields.mistakes.push((node.line, format!("`{name}` must be a text"))),
            }
        }
        texts
    }

    /// Every key that nobody asked for is a mistake.
    pub(super) fn finish(self) {
        for (name, node) in self.members.iter().filter(|(name, _)| !self.asked.contains(&name.as_str())) {
            let known = self.asked.join(", ");
            let what = &self.what;
            self.mistakes.push((node.line, format!("unknown key `{name}` in {what}; its keys are {known}")));
        }
    }
}
