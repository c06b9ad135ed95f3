//! Compares the classes of errors in docs/sinks.md with the code: each code that a sink can give is there, and no other.

use std::collections::BTreeMap;
use std::path::Path;

use super::Verdict;

const PAGE: &str = include_str!("../../../docs/sinks.md");
/// Attributes errors to the event, or to the destination.
const CONSTRUCTORS: [(&str, &str); 2] = [("about_event(", "permanent"), ("about_connection(", "destination")];

/// The class of a verdict, as the page calls it.
pub(crate) fn class_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Permanent(_) => "permanent",
        Verdict::Retryable(error) if error.about_event => "retry",
        Verdict::Retryable(_) => "destination",
    }
}

/// The codes of a section of the page, with their classes.
pub(crate) fn documented(heading: &str) -> BTreeMap<String, String> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading));
    let rows = section.unwrap_or_else(|| panic!("no section {heading}")).lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split("` | ");
        Some((cells.next()?.to_owned(), cells.next()?.trim_start_matches('`').to_owned()))
    });
    rows.collect()
}

/// The codes that stand in the sources as they are, with their classes. What is about the event and not in a table of
/// answers is permanent: `mqtt/session.rs` and `kusto/run.rs` say so.
fn found(folder: &Path, codes: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found(&path, codes);
        } else if !["classes.rs", "tests.rs", "test_events.rs"].contains(&&*name) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for (constructor, class) in CONSTRUCTORS {
                let literals = code
                    .split(constructor)
                    .skip(1)
                    .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
                codes.extend(literals.map(|literal| (literal.to_owned(), class.to_owned())));
            }
        }
    }
}

#[test]
fn every_code_of_the_sinks_own_is_documented_with_its_class() {
    let mut codes = BTreeMap::new();
    found(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sink"), &mut codes);
    assert!(codes.len() > 10, "{codes:?}");
    assert_eq!(documented("What the sinks find themselves"), codes);
}
