//! The filter parser on any text: an answer or a complaint with its place, and never a panic.

use twinroute_common::filter::{Diagnostic, Filter, Verdict};

use super::samples::each_candidate;

/// # Panics
/// When a complaint or warning has no place in the text, or an explanation is missing.
pub fn filter_text(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Filter::parse(text) {
        Err(complaint) => has_place(text, &complaint),
        Ok(filter) => {
            filter.warnings().iter().for_each(|warning| has_place(text, warning));
            each_candidate(|candidate, _| {
                let is_explained = !filter.explain(candidate).is_empty();
                assert_eq!(is_explained, filter.verdict(candidate) != Verdict::True, "{text}");
            });
        }
    }
}

fn has_place(text: &str, diagnostic: &Diagnostic) {
    let line = text.split('\n').nth(diagnostic.line as usize - 1).unwrap_or_default();
    assert!(diagnostic.column as usize <= line.chars().count() + 1, "{diagnostic:?} of {text:?}");
    assert!(diagnostic.length as usize <= text.chars().count(), "{diagnostic:?} of {text:?}");
    assert!(!diagnostic.message.is_empty(), "{text:?}");
}
