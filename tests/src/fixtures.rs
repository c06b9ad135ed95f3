//! The event fixtures: transactions as PostgreSQL sends them, and the CloudEvents that they must become.
//!
//! Each case goes through the decoder of capture and the renderers, and nothing else. `tests/fixtures/README.md`
//! describes the file.

mod case;
mod compare;
mod exact;
mod wal;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use twinroute_capture::decode::{Decoded, Decoder};
use twinroute_common::event::{EventData, Item};
use twinroute_common::format::{EventFormat, TypeMappings};
use twinroute_common::render::Renderer;

use self::case::Case;
use self::exact::Exact;

/// The instance's URI that the fixtures were made for.
const SOURCE: &str = "https://graph.example.com/";
/// Fixtures do not tell ids, so any cluster will do.
const SYSTEM_IDENTIFIER: &str = "7412345678901234567";
const INCARNATION: u64 = 1;
/// The default of capture's `event_bytes_max`.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// What became of the cases.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Number of cases with the expected events.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
}

/// A case that has not the expected events.
#[derive(Debug)]
pub struct Failure {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// What differs, a line each.
    pub differences: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Failure { id, title, differences } in &self.failures {
            writeln!(f, "FAILED {id}: {title}")?;
            for difference in differences {
                writeln!(f, "    {difference}")?;
            }
        }
        write!(f, "{} passed, {} failed", self.passed, self.failures.len())
    }
}

/// Runs all cases of `events.json` in `dir`.
///
/// # Errors
/// When the file cannot be read as a list of cases.
pub fn run(dir: &Path) -> Result<Outcome> {
    let path = dir.join("events.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let cases: Vec<Case> =
        serde_json::from_str(&text).with_context(|| format!("{} is no list of cases", path.display()))?;
    let mut outcome = Outcome::default();
    for case in cases {
        let differences = differences(&case).unwrap_or_else(|error| vec![format!("{error:#}")]);
        if differences.is_empty() {
            outcome.passed += 1;
        } else {
            outcome.failures.push(Failure { id: case.id, title: case.title, differences });
        }
    }
    Ok(outcome)
}

fn differences(case: &Case) -> Result<Vec<String>> {
    let changes = decode(case)?;
    let renderer = Renderer::new(SOURCE, SYSTEM_IDENTIFIER);
    let mut differences = Vec::new();
    for (name, expected) in &case.expected {
        let format = EventFormat::from_name(name).with_context(|| format!("`{name}` is no event format"))?;
        let mut actual = Vec::new();
        for change in &changes {
            for event in renderer.render(change, format, &TypeMappings::default())? {
                let json = String::from_utf8(event.to_structured_json())?;
                actual.push(Exact::read(&json).with_context(|| format!("an event is not JSON: {json}"))?);
            }
        }
        let expected: Vec<_> =
            expected.iter().map(|event| Exact::read(event.get())).collect::<Result<_, _>>()?;
        differences.extend(compare::events(name, &expected, &actual));
    }
    Ok(differences)
}

/// The changes of the case's transaction.
fn decode(case: &Case) -> Result<Vec<EventData>> {
    let mut decoder = Decoder::new(INCARNATION, EVENT_BYTES_MAX);
    let mut decoded = Vec::new();
    for (start, message) in wal::messages(case)? {
        match decoder.message(start, message)? {
            Decoded::Items(items) | Decoded::Committed { items, .. } => decoded.extend(items),
            Decoded::Nothing | Decoded::Table { .. } => {}
        }
    }
    let change = |item| match item {
        Item::Event(event) => Some(event),
        Item::Poison(_) | Item::Discontinuity(_) => None,
    };
    Ok(decoded.into_iter().filter_map(change).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_the_repository_becomes_the_expected_events() {
        let outcome = run(&crate::checkout::root().join("tests/fixtures")).unwrap();
        assert!(outcome.failures.is_empty(), "{outcome}");
        assert!(outcome.passed >= 25, "{outcome}");
    }
}
