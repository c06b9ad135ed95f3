//! The filter of an event route: whether an event is routed. The language is described in docs/filters.md.
//!
//! From the text to an answer: words → syntax tree → predicate, which is asked about candidates.

mod diagnostic;
mod token;
pub mod syntax;
mod complaint;
mod parser;

mod field;
mod operand;
mod verdict;
mod candidate;
mod predicate;
mod selectivity;

pub use candidate::Candidate;
pub use diagnostic::Diagnostic;
pub use parser::{CHARACTERS_MAX, CONDITIONS_MAX, PARENTHESES_MAX};
pub use verdict::Verdict;

pub(crate) use field::Field;
pub(crate) use selectivity::Key;

use predicate::Predicate;
use syntax::{Condition, ConditionKind, Path};

use crate::spelling;

/// A filter that was read and can be asked.
#[derive(Clone, Debug)]
pub struct Filter {
    text: Box<str>,
    predicate: Predicate,
    warnings: Vec<Diagnostic>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with the text: the first mistake.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let condition = parser::parse(text)?;
        Ok(Self {
            text: text.into(),
            predicate: Predicate::compile(&condition),
            warnings: warnings(text, &condition),
        })
    }

    /// Reads a filter's text as a syntax tree, for those who want to look at it.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn syntax(text: &str) -> Result<Condition, Diagnostic> {
        parser::parse(text)
    }

    /// What is accepted, and probably not what was meant; in the order of the text.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Whether the event is routed. Never fails; allocates only where texts with escapes are searched, and to read the
    /// event's data once if a filter asks for it.
    #[must_use]
    pub fn verdict(&self, candidate: &Candidate<'_>) -> Verdict {
        self.predicate.verdict(candidate)
    }

    /// Why the event is not routed: the conditions that were false or undefined, and the values that they looked at.
    /// Empty when it is routed.
    #[must_use]
    pub fn explain(&self, candidate: &Candidate<'_>) -> String {
        match self.verdict(candidate) {
            Verdict::True => String::new(),
            Verdict::False | Verdict::Undefined => self.predicate.explain(&self.text, candidate),
        }
    }
}

fn warnings(text: &str, condition: &Condition) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    condition.each_path(&mut |path| {
        if field::is_never_defined(path) {
            warnings.push(never_defined(text, path));
        }
    });
    changed_elsewhere(text, condition, &mut warnings);
    warnings.sort_by_key(|warning| (warning.line, warning.column));
    warnings
}

/// A name that no event has.
fn never_defined(text: &str, path: &Path) -> Diagnostic {
    let word = text.get(path.span.clone()).unwrap_or_default();
    let message = format!("`{word}` is never defined: no event has it");
    let diagnostic = Diagnostic::new(text, path.span.clone(), message);
    match spelling::nearest(&path.first, field::OPERANDS) {
        Some(operand) if operand != path.first => {
            let steps = word.get(path.first.len()..).unwrap_or_default();
            diagnostic.suggesting(format!("{operand}{steps}"))
        }
        Some(_) => diagnostic,
        None => diagnostic.suggesting(format!("'{}'", word.replace('\'', "''"))),
    }
}

/// Only the entity's documents are compared with what was before.
fn changed_elsewhere(text: &str, condition: &Condition, warnings: &mut Vec<Diagnostic>) {
    match &condition.kind {
        ConditionKind::Or(parts) | ConditionKind::And(parts) => {
            parts.iter().for_each(|part| changed_elsewhere(text, part, warnings));
        }
        ConditionKind::Not(part) => changed_elsewhere(text, part, warnings),
        ConditionKind::Changed(path) if !matches!(path.first.as_str(), "$new" | "$old") => {
            let message = "CHANGED compares the entity's documents, and is never defined for anything else";
            let word = text.get(path.span.clone()).unwrap_or_default();
            let steps = word.get(path.first.len()..).unwrap_or_default();
            let diagnostic = Diagnostic::new(text, path.span.clone(), message);
            warnings.push(diagnostic.suggesting(format!("$new{steps}")));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
