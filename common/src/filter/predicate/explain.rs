//! Why an event is not routed: the conditions that were false or undefined, and the values that they looked at.

use std::fmt::Write as _;

use super::{Amount, Predicate, Test};
use crate::filter::Verdict;
use crate::filter::candidate::Candidate;
use crate::filter::field::{AttributeName, Field, Side};

/// Most conditions that are named.
const REASONS_MAX: usize = 8;
/// Most characters of a value that are shown.
const VALUE_CHARACTERS_MAX: usize = 64;

impl Predicate {
    /// The conditions of `text` that decided against the event, one sentence each.
    pub(in crate::filter) fn explain(&self, text: &str, candidate: &Candidate<'_>) -> String {
        let mut decisive = Vec::new();
        self.decisive(candidate, &mut decisive);
        let more = decisive.len().saturating_sub(REASONS_MAX);
        let reasons: Vec<_> =
            decisive.into_iter().take(REASONS_MAX).map(|it| it.reason(text, candidate)).collect();
        let mut explanation = reasons.join("; ");
        if more > 0 {
            let _ = write!(explanation, "; and {more} more");
        }
        explanation
    }

    /// Of what must all hold, the first that does not; of what would do, everything.
    fn decisive<'p>(&'p self, candidate: &Candidate<'_>, decisive: &mut Vec<&'p Self>) {
        let same_text = |parts: &[Self]| parts.iter().all(|part| part.span == self.span);
        match &self.test {
            Test::All(parts) => {
                let verdict = self.verdict(candidate);
                if let Some(part) = parts.iter().find(|part| part.verdict(candidate) == verdict) {
                    part.decisive(candidate, decisive);
                }
            }
            Test::Any(parts) if !same_text(parts) => {
                parts.iter().for_each(|part| part.decisive(candidate, decisive));
            }
            _ => decisive.push(self),
        }
    }

    fn reason(&self, text: &str, candidate: &Candidate<'_>) -> String {
        let verdict = match self.verdict(candidate) {
            Verdict::True => "true",
            Verdict::False => "false",
            Verdict::Undefined => "undefined",
        };
        let mut reason = format!("`{}` is {verdict}", text.get(self.span.clone()).unwrap_or_default());
        let mut fields = Vec::new();
        self.fields(&mut fields);
        for (index, field) in fields.iter().enumerate() {
            reason.push_str(if index == 0 { ": " } else { ", " });
            let _ = write!(reason, "{field} is {}", shown(field, candidate));
        }
        reason
    }

    /// The fields that the condition looks at, each once.
    fn fields(&self, fields: &mut Vec<Field>) {
        let mut note = |field: &Field| {
            if !fields.iter().any(|known| known.to_string() == field.to_string()) {
                fields.push(field.clone());
            }
        };
        match &self.test {
            Test::Constant(_) => {}
            Test::All(parts) | Test::Any(parts) => parts.iter().for_each(|part| part.fields(fields)),
            Test::Not(part) => part.fields(fields),
            Test::Type { .. } => note(&Field::Attribute(AttributeName::EmittedType)),
            Test::IsNull(amount) => amount.each_field(&mut note),
            Test::Equal(left, right) | Test::Order(left, _, right) | Test::Search(_, left, right) => {
                left.each_field(&mut note);
                right.each_field(&mut note);
            }
            Test::IsDefined(field) => note(field),
            Test::Changed(steps) => {
                for side in [Side::Old, Side::New] {
                    note(&Field::Document { side, steps: steps.clone() });
                }
            }
        }
    }
}

impl Amount {
    pub(super) fn each_field(&self, visit: &mut impl FnMut(&Field)) {
        match self {
            Self::Null | Self::Boolean(_) | Self::Number(_) | Self::Text(_) => {}
            Self::Field(field) => visit(field),
            Self::Absolute(amount) => amount.each_field(visit),
            Self::Sum(terms) => terms.iter().for_each(|(_, term)| term.each_field(visit)),
            Self::Product(factors) => factors.iter().for_each(|(_, factor)| factor.each_field(visit)),
        }
    }
}

/// The value, cut off where it is long.
fn shown(field: &Field, candidate: &Candidate<'_>) -> String {
    let Some(value) = candidate.shown(field) else { return "not there".to_owned() };
    match value.char_indices().nth(VALUE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.into_owned(),
    }
}
