//! The keys that a file and the environment give, compared with the tree of known keys.

use std::ffi::OsString;

use serde_json::Value;

use super::nearest::nearest_key;
use super::problem::Problem;
use super::yaml::{self, Content, Node, section};
use super::{VARIABLE_PREFIX, values};

/// One given key with its value.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    /// `line 4` or the variable's name.
    pub(super) origin: String,
    /// The value as YAML reads it.
    pub(super) value: Value,
    /// The value as it is written, where that differs.
    pub(super) text: Option<String>,
    pub(super) reading: Reading,
}

/// Which reading of a value is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// A file: `5` is a number, and a text only where no number is taken.
    Yaml,
    /// A variable: `5` is a text, and a number only where no text is taken.
    Text,
}

impl Leaf {
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }
}

/// The problem with its origin before the message, where its key was given.
pub(super) fn with_origin(leaves: &[Leaf], problem: Problem) -> Problem {
    match leaves.iter().rev().find(|leaf| leaf.key() == problem.key) {
        Some(leaf) => Problem::new(problem.key, format!("{}: {}", leaf.origin, problem.message)),
        None => problem,
    }
}

/// Collects leaves and the mistakes about their keys.
pub(super) struct Leaves<'a> {
    defaults: &'a Value,
    leaves: Vec<Leaf>,
    problems: Vec<Problem>,
}

impl<'a> Leaves<'a> {
    /// Nothing given yet; the known keys are those of `defaults`.
    pub(super) fn over(defaults: &'a Value) -> Self {
        Self { defaults, leaves: Vec::new(), problems: Vec::new() }
    }

    /// What was collected, in the order it was given.
    pub(super) fn finish(self) -> (Vec<Leaf>, Vec<Problem>) {
        (self.leaves, self.problems)
    }

    /// Adds the keys of a document.
    pub(super) fn add_file(&mut self, document: &Node) {
        self.descend(self.defaults, document, &mut Vec::new(), None);
    }

    /// Adds the variables that begin with [`VARIABLE_PREFIX`], in the order of their names.
    pub(super) fn add_variables(&mut self, env: impl IntoIterator<Item = (OsString, OsString)>) {
        let mut variables: Vec<(String, OsString)> = env
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        variables.sort();
        for (name, value) in variables {
            match value.into_string() {
                Ok(text) => self.add_variable(&name, text),
                Err(_) => self.problems.push(Problem::new(name, "is not valid UTF-8; set it anew")),
            }
        }
    }

    fn add_variable(&mut self, name: &str, text: String) {
        let known = name.strip_prefix(VARIABLE_PREFIX).unwrap_or_default().to_lowercase();
        let mut path: Vec<String> = known.split("__").map(str::to_owned).collect();
        let Some(default) = values::default_at(self.defaults, &path) else {
            return self.unknown(&path, name);
        };
        let parsed = yaml::parse(&text);
        if section(default).is_some() {
            match parsed {
                Ok(node) => self.descend(default, &node, &mut path, Some(name)),
                Err(problem) => {
                    self.problems.push(Problem::new(path.join("."), format!("{name}: {}", problem.message)));
                }
            }
            return;
        }
        let value = parsed.map_or_else(|_| Value::String(text.clone()), |node| node.value());
        self.leaves.push(Leaf {
            path,
            origin: name.to_owned(),
            value,
            text: Some(text),
            reading: Reading::Text,
        });
    }

    fn descend(&mut self, default: &Value, given: &Node, path: &mut Vec<String>, variable: Option<&str>) {
        let origin = variable.map_or_else(|| format!("line {}", given.line), str::to_owned);
        match (section(default), &given.content) {
            (Some(known), Content::Map(members)) => {
                for (name, node) in members {
                    path.push(name.clone());
                    match known.get(name) {
                        Some(default) => self.descend(default, node, path, variable),
                        None => {
                            let origin =
                                variable.map_or_else(|| format!("line {}", node.line), str::to_owned);
                            self.unknown(path, &origin);
                        }
                    }
                    path.pop();
                }
            }
            (Some(_), Content::Leaf { value: Value::Null, .. }) => {}
            (Some(known), Content::Leaf { .. } | Content::List(_)) => {
                let names = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let message = format!("{origin}: a section with the keys {names} is expected");
                self.problems.push(Problem::new(path.join("."), message));
            }
            (None, content) => {
                let text = match content {
                    Content::Leaf { text, .. } => text.clone(),
                    Content::Map(_) | Content::List(_) => None,
                };
                self.leaves.push(Leaf {
                    path: path.clone(),
                    origin,
                    value: given.value(),
                    text,
                    reading: Reading::Yaml,
                });
            }
        }
    }

    fn unknown(&mut self, path: &[String], origin: &str) {
        let advice = match nearest_key(self.defaults, path) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known here: {}", values::names_beside(self.defaults, path).join(", ")),
        };
        self.problems.push(Problem::new(path.join("."), format!("{origin}: no such key; {advice}")));
    }
}
