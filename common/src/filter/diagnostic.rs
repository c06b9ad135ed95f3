//! What there is to say of a filter's text: where, what was expected, and what to write instead.

use std::fmt;
use std::ops::Range;

/// One thing to say of a filter's text.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Diagnostic {
    /// About the bytes `range` of `text`.
    pub(super) fn new(text: &str, range: Range<usize>, message: impl Into<String>) -> Self {
        let before = text.get(..range.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let characters = |range: Range<usize>| {
            u32::try_from(text.get(range).unwrap_or_default().chars().count()).unwrap_or(u32::MAX)
        };
        Self {
            line: u32::try_from(before.matches('\n').count()).unwrap_or(u32::MAX).saturating_add(1),
            column: characters(line_start..before.len()).saturating_add(1),
            length: characters(range),
            message: message.into(),
            suggestion: String::new(),
        }
    }

    /// The same, and what to write instead.
    pub(super) fn suggesting(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: suggestion.into(), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        if !self.suggestion.is_empty() {
            write!(f, "; write `{}`", self.suggestion)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_in_lines_and_characters() {
        let text = "é = 1\n  ñu = 2";
        let start = text.find('ñ').unwrap_or_default();
        let told = Diagnostic::new(text, start..start + "ñu".len(), "is unknown").suggesting("nu");
        assert_eq!((told.line, told.column, told.length), (2, 3, 2));
        assert_eq!(told.to_string(), "line 2, column 3: is unknown; write `nu`");
        let end = Diagnostic::new(text, text.len()..text.len(), "ends early");
        assert_eq!((end.line, end.column, end.length), (2, 9, 0));
    }
}
