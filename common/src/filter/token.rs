//! The words of a filter: names and paths, strings, numbers, symbols, keywords.

use std::ops::Range;

use winnow::ascii::digit1;
use winnow::combinator::{alt, delimited, opt, preceded, repeat};
use winnow::stream::LocatingSlice;
use winnow::token::{any, none_of, one_of, take_while};
use winnow::{Parser as _, Result};

use super::syntax::Path;

/// A word and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A path that is no keyword; a function's name before `(` is one too.
    Path(Path),
    /// One of the words that are kept for the language.
    Keyword(Keyword),
    /// A string, escapes resolved.
    Text(String),
    /// A number without sign, as it is written.
    Number(String),
    /// Anything else.
    Symbol(&'static str),
}

/// A word that is kept for the language, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    In,
    True,
    False,
    Null,
}

/// The longer of two that start alike comes first.
const SYMBOLS: [&str; 15] = ["<=", ">=", "!=", "=", "<", ">", "(", ")", "[", "]", ",", "+", "-", "*", "/"];

type Input<'t> = LocatingSlice<&'t str>;

impl Keyword {
    fn from_name(name: &str) -> Option<Self> {
        const ALL: [(&str, Keyword); 7] = [
            ("AND", Keyword::And),
            ("OR", Keyword::Or),
            ("NOT", Keyword::Not),
            ("IN", Keyword::In),
            ("TRUE", Keyword::True),
            ("FALSE", Keyword::False),
            ("NULL", Keyword::Null),
        ];
        ALL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, keyword)| keyword)
    }
}

/// The words of the text, as far as there are any; then where something stands that is no word.
pub(super) fn tokens(text: &str) -> (Vec<Token>, Option<usize>) {
    let mut input = LocatingSlice::new(text);
    let mut tokens = Vec::new();
    loop {
        let _ = blanks(&mut input);
        if input.is_empty() {
            return (tokens, None);
        }
        let at = text.len() - input.len();
        match token.with_span().parse_next(&mut input) {
            Ok((kind, span)) => tokens.push(Token { kind: place(kind, &span), span }),
            Err(_) => return (tokens, Some(at)),
        }
    }
}

/// A path knows where it stands.
fn place(kind: TokenKind, span: &Range<usize>) -> TokenKind {
    match kind {
        TokenKind::Path(path) => TokenKind::Path(Path { span: span.clone(), ..path }),
        other => other,
    }
}

/// Space, tab, carriage return and line feed stand between words.
fn blanks<'t>(input: &mut Input<'t>) -> Result<&'t str> {
    take_while(0.., [' ', '\t', '\r', '\n']).parse_next(input)
}

fn token(input: &mut Input<'_>) -> Result<TokenKind> {
    alt((
        word,
        text.map(TokenKind::Text),
        number.map(|digits: &str| TokenKind::Number(digits.to_owned())),
        symbol.map(TokenKind::Symbol),
    ))
    .parse_next(input)
}

/// A keyword or a path. A keyword directly before `[` stays one, so that `IN['a']` is a list.
fn word(input: &mut Input<'_>) -> Result<TokenKind> {
    let first = name.parse_next(input)?;
    let keyword = Keyword::from_name(first);
    if let Some(keyword) = keyword
        && !input.starts_with('.')
    {
        return Ok(TokenKind::Keyword(keyword));
    }
    let steps = repeat(0.., step).parse_next(input)?;
    Ok(TokenKind::Path(Path { first: first.to_owned(), steps, span: 0..0 }))
}

/// `.name`, `['any text']` or `.['any text']`.
fn step(input: &mut Input<'_>) -> Result<String> {
    alt((
        preceded('.', name).map(|name: &str| name.to_owned()),
        preceded(opt('.'), delimited('[', text, ']')),
    ))
    .parse_next(input)
}

fn name<'t>(input: &mut Input<'t>) -> Result<&'t str> {
    (
        one_of(('A'..='Z', 'a'..='z', '_', '$')),
        take_while(0.., ('A'..='Z', 'a'..='z', '0'..='9', '_', '$', '-')),
    )
        .take()
        .parse_next(input)
}

/// `''` and `\'` stand for a quote, `\c` for any character c.
fn text(input: &mut Input<'_>) -> Result<String> {
    let character = alt((none_of(['\'', '\\']), "''".value('\''), preceded('\\', any)));
    let content = repeat(0.., character).fold(String::new, |mut text, character| {
        text.push(character);
        text
    });
    delimited('\'', content, '\'').parse_next(input)
}

fn number<'t>(input: &mut Input<'t>) -> Result<&'t str> {
    (digit1, opt(('.', digit1)), opt((one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1)))
        .take()
        .parse_next(input)
}

fn symbol(input: &mut Input<'_>) -> Result<&'static str> {
    alt(SYMBOLS.map(|symbol| symbol.value(symbol))).parse_next(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let (tokens, stray) = tokens(text);
        assert_eq!(stray, None, "{text}");
        tokens.iter().map(|token| text.get(token.span.clone()).unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn words_need_no_blanks_between_them() {
        assert_eq!(words("a=1"), ["a", "=", "1"]);
        assert_eq!(words("x IN['a','b']"), ["x", "IN", "[", "'a'", ",", "'b'", "]"]);
        assert_eq!(words("a<=-5\r\n\tAND(b)"), ["a", "<=", "-", "5", "AND", "(", "b", ")"]);
        assert_eq!(words("1.5e+3and 2e x"), ["1.5e+3", "and", "2", "e", "x"]);
    }

    #[test]
    fn a_minus_is_a_part_of_names() {
        assert_eq!(words("a-5"), ["a-5"]);
        assert_eq!(words("a -5"), ["a", "-", "5"]);
        assert_eq!(words("5-a"), ["5", "-", "a"]);
    }

    #[test]
    fn a_path_has_names_and_quoted_steps() {
        let (tokens, _) = tokens(r"$new.a['b c'].['it''s'].d-e");
        let steps = tokens.into_iter().find_map(|token| match token.kind {
            TokenKind::Path(path) => Some((path.first, path.steps)),
            _ => None,
        });
        let expected = ["a", "b c", "it's", "d-e"].map(str::to_owned).to_vec();
        assert_eq!(steps, Some(("$new".to_owned(), expected)));
    }

    #[test]
    fn a_keyword_may_be_a_step_and_begin_a_path() {
        for text in ["$body.null", "in.x", "True.y"] {
            assert!(matches!(tokens(text).0.as_slice(), [Token { kind: TokenKind::Path(_), .. }]), "{text}");
        }
        assert_eq!(
            tokens("nuLL").0.first().map(|it| it.kind.clone()),
            Some(TokenKind::Keyword(Keyword::Null))
        );
    }

    #[test]
    fn escapes_stand_for_the_character_behind_them() {
        let content = |text: &str| match tokens(text).0.first().map(|token| token.kind.clone()) {
            Some(TokenKind::Text(content)) => content,
            other => format!("{other:?}"),
        };
        assert_eq!(content(r"'a''b'"), "a'b");
        assert_eq!(content(r"'a\'b\\c\nd'"), r"a'b\cnd");
        assert_eq!(content("''"), "");
        assert_eq!(content("'é\n'"), "é\n");
    }

    #[test]
    fn what_is_no_word_is_told_by_its_place() {
        for (text, place) in [("a = \"x\"", 4), ("a = 'x", 4), ("a ! b", 2), ("größe = 1", 2), ("a .b", 2)]
        {
            assert_eq!(tokens(text).1, Some(place), "{text}");
        }
    }
}
