//! What is said of a filter that cannot be read: what stands where something else was expected, and what was
//! probably meant.

use std::ops::Range;

use super::diagnostic::Diagnostic;
use super::syntax::Path;
use super::token::{Token, TokenKind};
use crate::spelling;

/// What may stand behind the first value of a condition.
pub(super) const OPERATOR: &str = "a comparison: `=`, `!=`, `<`, `<=`, `>`, `>=`, `IN` or `NOT IN`";

/// The functions of the language.
const FUNCTIONS: [&str; 6] = ["STARTS_WITH", "ENDS_WITH", "CONTAINS", "IS_DEFINED", "CHANGED", "ABS"];

/// What stands where something else was expected.
pub(super) struct Found<'t> {
    /// The word; `None` where there is none: at the end, or at something that is no word.
    pub(super) token: Option<&'t Token>,
    /// The word before it.
    pub(super) previous: Option<&'t Token>,
    /// Its place; without a word, up to the end of the text.
    pub(super) span: Range<usize>,
}

/// A filter without words.
pub(super) fn empty(text: &str) -> Diagnostic {
    Diagnostic::new(text, text.len()..text.len(), "the filter is empty; `true` selects every event")
        .suggesting("true")
}

/// Something stands where `expected` should.
pub(super) fn expected(text: &str, found: &Found<'_>, expected: &str) -> Diagnostic {
    let Some(token) = found.token else {
        return if found.span.is_empty() {
            let message = format!("the filter ends where {expected} was expected");
            Diagnostic::new(text, found.span.clone(), message)
        } else {
            stray(text, found.span.start)
        };
    };
    if let Some(diagnostic) = known_slip(text, found, token) {
        return diagnostic;
    }
    let word = text.get(token.span.clone()).unwrap_or_default();
    Diagnostic::new(text, token.span.clone(), format!("{expected} was expected, and not `{word}`"))
}

/// A path stands where a condition should.
pub(super) fn no_condition(text: &str, path: &Path, found: Found<'_>) -> Diagnostic {
    let next = found.token.map(|token| &token.kind);
    if next.is_none() && !found.span.is_empty() {
        return stray(text, found.span.start);
    }
    if let Some(TokenKind::Path(_) | TokenKind::Text(_) | TokenKind::Number(_) | TokenKind::Symbol("[")) =
        next
    {
        return expected(text, &found, OPERATOR);
    }
    let word = text.get(path.span.clone()).unwrap_or_default();
    let message = format!("`{word}` alone is no condition: {OPERATOR} was expected behind it");
    Diagnostic::new(text, path.span.clone(), message).suggesting(format!("{word} = true"))
}

/// A function that there is not.
pub(super) fn unknown_function(text: &str, span: Range<usize>, name: &str) -> Diagnostic {
    let message = format!("there is no function `{name}`; there are {}", FUNCTIONS.join(", "));
    let diagnostic = Diagnostic::new(text, span, message);
    match spelling::nearest(name, FUNCTIONS) {
        Some(nearest) => diagnostic.suggesting(nearest),
        None => diagnostic,
    }
}

/// A function that is a condition stands where a value should.
pub(super) fn no_value(text: &str, span: Range<usize>, name: &str) -> Diagnostic {
    if !FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return unknown_function(text, span, name);
    }
    let name = name.to_ascii_uppercase();
    let message = format!("{name} is a condition of its own and has no value that could be compared");
    Diagnostic::new(text, span, message)
}

/// Mistakes that come from other languages.
fn known_slip(text: &str, found: &Found<'_>, token: &Token) -> Option<Diagnostic> {
    let previous = found.previous.filter(|previous| previous.span.end == token.span.start);
    let symbol = |token: &Token| match token.kind {
        TokenKind::Symbol(symbol) => symbol,
        _ => "",
    };
    let both = |message: &str, suggestion: &str| {
        let start = previous.map_or(token.span.start, |previous| previous.span.start);
        Some(Diagnostic::new(text, start..token.span.end, message).suggesting(suggestion))
    };
    match (previous.map(symbol).unwrap_or_default(), symbol(token)) {
        ("=", "=") => both("equality is one `=`", "="),
        ("<", ">") => both("inequality is `!=`", "!="),
        ("=", ">") => both("`=>` is no comparison", ">="),
        ("=", "<") => both("`=<` is no comparison", "<="),
        (_, "[") if matches!(found.previous, Some(Token { kind: TokenKind::Path(_), .. })) => {
            let message = "array steps are not in the language: what a patch changed is asked with \
                CHANGED($new.<path>); a member with an unusual name is ['name']";
            Some(Diagnostic::new(text, token.span.clone(), message).suggesting("CHANGED($new.<path>)"))
        }
        _ => None,
    }
}

/// Something that is no word of the language stands at `start`.
fn stray(text: &str, start: usize) -> Diagnostic {
    let rest = text.get(start..).unwrap_or_default();
    let first = rest.chars().next().unwrap_or_default();
    let about = |length: usize, message: String| Diagnostic::new(text, start..start + length, message);
    match first {
        '\'' => about(rest.len(), "the string has no closing `'`".to_owned()),
        '"' => {
            let content = rest.get(1..).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            let length = (content.len() + 2).min(rest.len());
            about(length, "strings have single quotes".to_owned())
                .suggesting(format!("'{}'", content.replace('\'', "''")))
        }
        '!' => about(1, "`!` is no operator".to_owned()).suggesting("NOT"),
        '&' => about(rest.len() - rest.trim_start_matches('&').len(), "`&` is no operator".to_owned())
            .suggesting("AND"),
        '|' => about(rest.len() - rest.trim_start_matches('|').len(), "`|` is no operator".to_owned())
            .suggesting("OR"),
        '.' => about(1, "a name was expected behind `.`; unusual ones are quoted: `.['my name']`".to_owned()),
        letter if letter.is_alphabetic() => unquoted_name(text, start),
        other => about(other.len_utf8(), format!("`{other}` is no part of the language")),
    }
}

/// A name with a letter that names do not have: the whole name, quoted.
fn unquoted_name(text: &str, at: usize) -> Diagnostic {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$' | '-');
    let start = text.get(..at).map_or(at, |before| before.trim_end_matches(is_part).len());
    let name: String = text.get(start..).unwrap_or_default().chars().take_while(|it| is_part(*it)).collect();
    let message = "names have the letters A to Z only; others are quoted";
    Diagnostic::new(text, start..start + name.len(), message).suggesting(format!("['{name}']"))
}
