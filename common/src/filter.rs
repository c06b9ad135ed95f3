//! The filter of an event route: whether an event is routed.
//!
//! The filters of this version are `true` and `false`.

use crate::cloud_event::CloudEvent;

/// Longest filter, in characters: longer ones are refused, so that reading one takes bounded time and memory.
pub const CHARACTERS_MAX: usize = 4096;

/// A filter that was read and can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    text: String,
    routes: bool,
}

/// What a filter answers. Only [`Verdict::True`] routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event is routed.
    True,
    /// The event is not routed.
    False,
    /// The filter asks for something that the event does not have; the event is not routed.
    Undefined,
}

/// What a filter may ask: a rendered event, and the entity's documents.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The attributes as they are emitted, the default type, and the data that `$body` stands for.
    pub event: &'a CloudEvent,
    /// The document before the change, JSON text in UTF-8; `None` when there is none.
    pub old: Option<&'a [u8]>,
    /// The document after the change, JSON text in UTF-8; `None` when there is none.
    pub new: Option<&'a [u8]>,
}

/// One thing to say of a filter's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters; 0 at the end of the text.
    pub length: u32,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to write instead; empty when nothing is near.
    pub suggestion: String,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in the order of the text; never empty.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let characters = text.chars().count();
        if characters > CHARACTERS_MAX {
            let message =
                format!("the filter has {characters} characters; at most {CHARACTERS_MAX} are allowed");
            return Err(vec![diagnose(text, text, message, "")]);
        }
        let expression = text.trim_matches(is_blank);
        let routes = match expression.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            "" => {
                let message = "the filter is empty; `true` selects every event".to_owned();
                return Err(vec![diagnose(text, expression, message, "true")]);
            }
            _ => {
                let message = format!(
                    "`{expression}` is no filter that this version knows; it knows `true` and `false`"
                );
                return Err(vec![diagnose(text, expression, message, "")]);
            }
        };
        Ok(Self { text: text.to_owned(), routes })
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the event is routed.
    #[must_use]
    pub fn verdict(&self, _candidate: &Candidate<'_>) -> Verdict {
        if self.routes { Verdict::True } else { Verdict::False }
    }
}

/// Space, tab, carriage return and line feed stand between words.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// A diagnostic about `part`, which must be a slice of `text`; an empty part stands at the end of the text.
fn diagnose(text: &str, part: &str, message: String, suggestion: &str) -> Diagnostic {
    let start = if part.is_empty() { text.len() } else { text.find(part).unwrap_or(0) };
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Diagnostic {
        line: count(before.matches('\n').count()) + 1,
        column: count(before.get(line_start..).unwrap_or_default().chars().count()) + 1,
        length: count(part.chars().count()),
        message,
        suggestion: suggestion.to_owned(),
    }
}

fn count(characters: usize) -> u32 {
    u32::try_from(characters).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_and_false_are_known_in_any_case_and_between_blanks() {
        for (text, routes) in [("true", true), (" \tTRUE\r\n", true), ("False", false)] {
            let filter = Filter::parse(text);
            assert_eq!(filter.as_ref().map(|filter| filter.routes), Ok(routes), "{text:?}");
            assert_eq!(filter.as_ref().map(Filter::text), Ok(text));
        }
    }

    #[test]
    fn other_text_is_refused_at_its_place() {
        let refused = Filter::parse("\n  ñ = 1").err().unwrap_or_default();
        let places: Vec<_> = refused.iter().map(|it| (it.line, it.column, it.length)).collect();
        assert_eq!(places, [(2, 3, 5)]);
        let empty = Filter::parse("  ").err().unwrap_or_default();
        let places: Vec<_> = empty.iter().map(|it| (it.line, it.column, it.length)).collect();
        assert_eq!(places, [(1, 3, 0)]);
    }

    #[test]
    fn a_filter_above_the_bound_is_refused_with_the_bound() {
        let refused = Filter::parse(&format!("true{}", " ".repeat(CHARACTERS_MAX))).err().unwrap_or_default();
        assert!(refused.iter().all(|it| it.message.contains("4096")), "{refused:?}");
        assert_eq!(refused.len(), 1);
    }
}
