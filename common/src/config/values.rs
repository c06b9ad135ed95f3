//! Values put into the tree of defaults, each tried alone so that a wrong one names its key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::leaves::{Leaf, Reading};
use super::problem::Problem;
use super::yaml::section;

/// The defaults with every leaf that fits its type; one problem for each that does not.
pub(super) fn merge<T: DeserializeOwned>(
    defaults: &Value,
    leaves: &[Leaf],
    problems: &mut Vec<Problem>,
) -> Value {
    let mut merged = defaults.clone();
    for leaf in leaves {
        match fitting::<T>(defaults, leaf) {
            Ok(value) => put(&mut merged, &leaf.path, value),
            Err(problem) => problems.push(problem),
        }
    }
    merged
}

fn fitting<T: DeserializeOwned>(defaults: &Value, leaf: &Leaf) -> Result<Value, Problem> {
    let attempt = |value: &Value| {
        let mut tree = defaults.clone();
        put(&mut tree, &leaf.path, value.clone());
        serde_json::from_value::<T>(tree).map(drop)
    };
    let text = leaf.text.clone().map(Value::String);
    let fits = |value: &Option<Value>| value.as_ref().is_some_and(|value| attempt(value).is_ok());
    if leaf.reading == Reading::Text && fits(&text) {
        return Ok(text.unwrap_or_default());
    }
    match attempt(&leaf.value) {
        Ok(()) => Ok(leaf.value.clone()),
        Err(_) if fits(&text) => Ok(text.unwrap_or_default()),
        Err(error) => {
            let default = default_at(defaults, &leaf.path).unwrap_or(&Value::Null);
            let message = format!("{}: {}; the default is {default}", leaf.origin, told(&error, &leaf.value));
            Err(Problem::new(leaf.key(), message))
        }
    }
}

/// What the type says, without the given text: it may be a secret that stands at the wrong key.
fn told(error: &serde_json::Error, given: &Value) -> String {
    let message = error.to_string();
    match message.split_once("expected ") {
        Some((_, expected)) if given.is_string() => format!("expected {expected}, found another text"),
        _ => message,
    }
}

/// The default at a path; within a map that takes any keys, `null`. `None`: no such key.
pub(super) fn default_at<'a>(defaults: &'a Value, path: &[String]) -> Option<&'a Value> {
    let mut value = defaults;
    for name in path {
        value = match value {
            Value::Object(_) if section(value).is_some() => value.get(name)?,
            Value::Object(_) | Value::Null => &Value::Null,
            _ => return None,
        };
    }
    Some(value)
}

/// The names that the section of `path` knows, or the nearest section around it that exists.
pub(super) fn names_beside<'a>(defaults: &'a Value, path: &[String]) -> Vec<&'a str> {
    let mut known = defaults;
    for name in path {
        match known.get(name) {
            Some(value) if section(value).is_some() => known = value,
            _ => break,
        }
    }
    section(known).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

fn put(tree: &mut Value, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    if let Value::Object(members) = tree {
        put(members.entry(name.as_str()).or_insert(Value::Null), rest, value);
    }
}
