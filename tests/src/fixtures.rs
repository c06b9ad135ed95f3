//! The fixtures: transactions as PostgreSQL sends them with the CloudEvents that they must become, and filters with
//! what they must say of events.
//!
//! Each case goes through the decoder of capture and the renderers, or through the filters, and nothing else.
//! `tests/fixtures/README.md` describes the files.

mod case;
mod compare;
mod exact;
mod filters;
mod wal;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use twinroute_capture::decode::{Decoded, Decoder};
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::event::{EventData, Item};
use twinroute_common::format::{EventFormat, TypeMappings};
use twinroute_common::render::Renderer;

use self::case::Case;
use self::exact::Exact;
use crate::checkout;

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
    /// Number of cases that came out as expected.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
    /// Files that are not there.
    pub missing: Vec<String>,
}

/// A case that did not come out as expected.
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
        for missing in &self.missing {
            writeln!(f, "{missing} is not there; its cases were not run")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failures.len())
    }
}

/// Runs all cases of `events.json` and `filters.json` in `dir`; one of the two may be missing.
///
/// # Errors
/// When neither is there, or one cannot be read as a list of cases.
pub fn run(dir: &Path) -> Result<Outcome> {
    type Cases = fn(&str) -> Result<Outcome>;
    let files: [(&str, Cases); 2] = [("events.json", events), ("filters.json", filters::run)];
    let mut outcome = Outcome::default();
    let mut missing = Vec::new();
    for (name, cases) in files {
        let path = dir.join(name);
        if !path.exists() {
            missing.push(path.display().to_string());
            continue;
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Outcome { passed, failures, .. } =
            cases(&text).with_context(|| format!("{} is no list of cases", path.display()))?;
        outcome.passed += passed;
        outcome.failures.extend(failures);
    }
    ensure!(missing.len() < files.len(), "neither {} is there", missing.join(" nor "));
    outcome.missing = missing;
    Ok(outcome)
}

/// The CloudEvents that the case `id` of the repository's `events.json` becomes in a format, as workers send them.
///
/// # Errors
/// When there is no such case, or it cannot be decoded or rendered.
pub fn rendered(id: &str, format: EventFormat) -> Result<Vec<CloudEvent>> {
    let text = std::fs::read_to_string(checkout::root().join("tests/fixtures/events.json"))?;
    let cases: Vec<Case> = serde_json::from_str(&text)?;
    let case = cases.iter().find(|case| case.id == id).with_context(|| format!("no case is called {id}"))?;
    let renderer = Renderer::new(SOURCE, SYSTEM_IDENTIFIER);
    let mut events = Vec::new();
    for change in decode(case)? {
        events.extend(renderer.render(&change, format, &TypeMappings::default())?);
    }
    Ok(events)
}

fn events(text: &str) -> Result<Outcome> {
    let cases: Vec<Case> = serde_json::from_str(text)?;
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
    fn ids_are_equal_over_redecoding_and_different_over_events() {
        // Given the cases of the repository, each as a transaction of its own
        let path = checkout::root().join("tests/fixtures/events.json");
        let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let renderer = Renderer::new(SOURCE, SYSTEM_IDENTIFIER);
        let ids = |case: &Case| {
            let events = decode(case).unwrap().into_iter().flat_map(|change| {
                [EventFormat::EventNotification, EventFormat::DataHistory]
                    .map(|format| renderer.render(&change, format, &TypeMappings::default()).unwrap())
                    .concat()
            });
            events.map(|event| event.id).collect::<Vec<_>>()
        };
        for case in &cases {
            // When it is decoded and rendered twice
            let (once, again) = (ids(case), ids(case));
            // Then each event has the same id again, and no other event has it
            assert_eq!(once, again, "{}", case.id);
            let distinct: std::collections::BTreeSet<_> = once.iter().collect();
            assert_eq!(distinct.len(), once.len(), "{}", case.id);
        }
    }

    #[test]
    fn every_case_of_the_repository_comes_out_as_expected() {
        let outcome = run(&checkout::root().join("tests/fixtures")).unwrap();
        assert!(outcome.failures.is_empty(), "{outcome}");
        assert!(outcome.missing.is_empty() && outcome.passed >= 25 + 79, "{outcome}");
    }
}
