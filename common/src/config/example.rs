//! Compares an example configuration with the code: every key, its default, and a comment.

use serde_json::Value;

use super::yaml::{self, section};
use super::{Problem, Settings};

/// What an example configuration lacks: each key of `defaults` must stand in it with its default value and a comment
/// above or beside it, and nothing else. Empty when all is well.
#[must_use]
pub fn check_example<T: Settings>(text: &str, defaults: &T) -> Vec<Problem> {
    let (defaults, given) = match (serde_json::to_value(defaults), yaml::parse(text)) {
        (Ok(defaults), Ok(given)) => (defaults, given.value()),
        (Err(error), _) => return vec![Problem::new("the defaults", error.to_string())],
        (_, Err(problem)) => return vec![problem.in_key("the file")],
    };
    let mut problems = Vec::new();
    compare(&defaults, &given, &mut Vec::new(), &mut problems);
    problems.extend(uncommented(text));
    problems
}

fn compare(default: &Value, given: &Value, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
    let (Some(known), Some(members)) = (section(default), given.as_object()) else {
        if default != given {
            problems.push(Problem::new(path.join("."), format!("is {given}, but its default is {default}")));
        }
        return;
    };
    for (name, default) in known {
        path.push(name.clone());
        match members.get(name) {
            Some(given) => compare(default, given, path, problems),
            None => {
                problems.push(Problem::new(path.join("."), format!("is missing; its default is {default}")))
            }
        }
        path.pop();
    }
    for name in members.keys().filter(|name| !known.contains_key(*name)) {
        path.push(name.clone());
        problems.push(Problem::new(path.join("."), "is not a key of the settings"));
        path.pop();
    }
}

fn uncommented(text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut above = "";
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let key = line.split_once(':').map(|(key, _)| key);
        if let Some(key) = key.filter(|key| !key.starts_with('#') && !line.contains(" #"))
            && !above.starts_with('#')
        {
            problems.push(Problem::new(key, format!("line {number}: no comment above or beside it")));
        }
        above = line;
    }
    problems
}
