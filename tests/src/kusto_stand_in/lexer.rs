//! Words, strings and symbols of a Kusto control command.

use super::error::Refusal;

/// One token of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword, a bare name, a type: letters, digits, `_`, `-` and `.`.
    Word(String),
    /// A string literal, unescaped.
    Text(String),
    /// Anything else that is not white space.
    Symbol(char),
}

/// Splits `command` into tokens. String literals: `'…'` and `"…"` with `\` escapes, `@'…'` verbatim,
/// `` ```…``` `` over several lines, `h` before one of them (obfuscated in logs).
pub(super) fn tokens(command: &str) -> Result<Vec<Token>, Refusal> {
    let mut rest = command.trim_start();
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, after) = literal(rest)?.unwrap_or_else(|| word_or_symbol(rest, first));
        found.push(token);
        rest = after.trim_start();
    }
    Ok(found)
}

fn word_or_symbol(text: &str, first: char) -> (Token, &str) {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((word, after)) if !word.is_empty() => (Token::Word(word.to_owned()), after),
        _ => (Token::Symbol(first), text.strip_prefix(first).unwrap_or_default()),
    }
}

fn literal(text: &str) -> Result<Option<(Token, &str)>, Refusal> {
    let text =
        text.strip_prefix(['h', 'H']).filter(|after| after.starts_with(['\'', '"', '@'])).unwrap_or(text);
    let read = if let Some(body) = text.strip_prefix("```") {
        body.split_once("```").map(|(inner, after)| (inner.to_owned(), after))
    } else if let Some(body) = text.strip_prefix('@') {
        let Some(quote) = body.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Ok(None);
        };
        verbatim(body.strip_prefix(quote).unwrap_or_default(), quote)
    } else if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        escaped(text.strip_prefix(quote).unwrap_or_default(), quote)
    } else {
        return Ok(None);
    };
    let (inner, after) = read.ok_or_else(|| Refusal::syntax("a string literal does not end"))?;
    Ok(Some((Token::Text(inner), after)))
}

/// In a verbatim literal only the quote itself is doubled.
fn verbatim(mut body: &str, quote: char) -> Option<(String, &str)> {
    let mut inner = String::new();
    loop {
        let (part, after) = body.split_once(quote)?;
        inner.push_str(part);
        let Some(next) = after.strip_prefix(quote) else {
            return Some((inner, after));
        };
        inner.push(quote);
        body = next;
    }
}

fn escaped(body: &str, quote: char) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut chars = body.chars();
    loop {
        match chars.next()? {
            c if c == quote => return Some((inner, chars.as_str())),
            '\\' => inner.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits = chars.as_str().get(..4)?;
                    chars.nth(3)?;
                    char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                }
                other => other,
            }),
            c => inner.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_every_kind_are_unescaped() -> Result<(), Refusal> {
        let text = r#"'a\'b\n' "c\u0041" @'d''e' h'f' ```g
'h'```"#;
        let expected = ["a'b\n", "cA", "d'e", "f", "g\n'h'"];
        assert_eq!(tokens(text)?, expected.map(|t| Token::Text(t.to_owned())));
        Ok(())
    }

    #[test]
    fn a_name_that_begins_like_a_hidden_literal_is_a_word() -> Result<(), Refusal> {
        let word = |w: &str| Token::Word(w.to_owned());
        assert_eq!(tokens("hello h")?, [word("hello"), word("h")]);
        Ok(())
    }

    #[test]
    fn an_open_literal_is_refused() {
        assert!(tokens("'abc").is_err());
    }
}
