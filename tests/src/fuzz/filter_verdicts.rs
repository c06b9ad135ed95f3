//! Compiled predicates against a naive interpreter of the syntax tree, on filters that the bytes make.

use twinroute_common::filter::{Filter, Verdict};

use super::naive;
use super::samples::each_candidate;

/// Values that meet each other in the samples; numbers are small, so that doubles hold them exactly.
const VALUES: [&str; 24] = [
    "type",
    "subject",
    "source",
    "id",
    "time",
    "specversion",
    "dataschema",
    "unknown.x",
    "$body",
    "$body.modelId",
    "$body.a",
    "$new.a",
    "$old.a",
    "$new.b",
    "$old.b",
    "$new.c.d",
    "$old['c'].d",
    "$new.e",
    "$old.e",
    "$new.f",
    "$old.f",
    "$new.g",
    "$new",
    "$old",
];
const LITERALS: [&str; 14] = [
    "1",
    "2",
    "-1",
    "0.5",
    "2.0e0",
    "0",
    "true",
    "false",
    "null",
    "'x'",
    "'xé'",
    "''",
    "'Microsoft.DigitalTwins.Twin.Update'",
    "'room1'",
];
const OPERATORS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];
const DEPTH_MAX: u32 = 5;

/// # Panics
/// When the two differ.
pub fn filter_verdicts(data: &[u8]) {
    let mut text = String::new();
    Writer { choices: data.iter().copied(), text: &mut text }.condition(0);
    let (filter, syntax) = (Filter::parse(&text), Filter::syntax(&text));
    assert!(filter.is_ok(), "the filter is refused: {text}: {filter:?}");
    let (Ok(filter), Ok(syntax)) = (filter, syntax) else { return };
    each_candidate(|candidate, plain| {
        let expected = naive::verdict(&syntax, plain).map_or(Verdict::Undefined, Verdict::from);
        assert_eq!(filter.verdict(candidate), expected, "{text} of {:?}", plain.names_of_type);
    });
}

/// Writes a filter, each choice by one byte; without bytes the first choice is taken.
struct Writer<'w, I> {
    choices: I,
    text: &'w mut String,
}

impl<I: Iterator<Item = u8>> Writer<'_, I> {
    fn choose(&mut self, count: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % count
    }

    fn one_of(&mut self, parts: &[&str]) {
        let chosen = self.choose(parts.len());
        self.text.push_str(parts.get(chosen).copied().unwrap_or_default());
    }

    fn condition(&mut self, depth: u32) {
        let kinds = if depth < DEPTH_MAX { 12 } else { 8 };
        match self.choose(kinds) {
            0 | 1 => {
                self.sum();
                self.text.push(' ');
                self.one_of(&OPERATORS);
                self.text.push(' ');
                self.sum();
            }
            2 | 3 => {
                self.sum();
                self.one_of(&[" IN [", " NOT IN ["]);
                self.one_of(&LITERALS);
                for _ in 0..self.choose(3) {
                    self.text.push_str(", ");
                    self.one_of(&LITERALS);
                }
                self.text.push(']');
            }
            4 => {
                self.one_of(&["STARTS_WITH(", "ENDS_WITH(", "CONTAINS("]);
                self.sum();
                self.text.push_str(", ");
                self.sum();
                self.text.push(')');
            }
            5 | 6 => {
                self.one_of(&["IS_DEFINED(", "CHANGED("]);
                self.one_of(&VALUES);
                self.text.push(')');
            }
            7 => self.one_of(&["true", "false"]),
            8 => {
                self.text.push_str("NOT (");
                self.condition(depth + 1);
                self.text.push(')');
            }
            _ => {
                let joint = [" AND ", " OR "];
                let joint = joint.get(self.choose(2)).copied().unwrap_or_default();
                self.text.push('(');
                self.condition(depth + 1);
                for _ in 0..=self.choose(2) {
                    self.text.push_str(joint);
                    self.condition(depth + 1);
                }
                self.text.push(')');
            }
        }
    }

    fn sum(&mut self) {
        self.factor();
        for _ in 0..self.choose(4).saturating_sub(2) {
            self.one_of(&[" + ", " - ", " * ", " / "]);
            self.factor();
        }
    }

    fn factor(&mut self) {
        match self.choose(8) {
            0..5 => self.one_of(&VALUES),
            5 | 6 => self.one_of(&LITERALS),
            _ => {
                self.text.push_str("ABS(");
                self.one_of(&VALUES);
                self.text.push(')');
            }
        }
    }
}
