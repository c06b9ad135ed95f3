//! Reads a JSON text (RFC 8259) into nodes, once and without copying it.

use super::DEPTH_MAX;
use super::error::ParseError;
use super::text::{Text, unescape};
use super::value::{Kind, Node};

/// The node of the whole text, then all that are below it.
pub(super) fn nodes_of(text: &str) -> Result<Vec<Node<'_>>, ParseError> {
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError::TooLong { bytes: text.len() });
    }
    // A short guess makes the array grow, a long one is memory for nothing: twins have a value every 20 to 30 bytes.
    let mut parser = Parser { text, at: 0, nodes: Vec::with_capacity(text.len() / 24 + 4) };
    parser.blanks();
    parser.value(Text::EMPTY, 0)?;
    parser.blanks();
    if parser.at < text.len() {
        return Err(parser.expected("the end of the text"));
    }
    Ok(parser.nodes)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    nodes: Vec<Node<'t>>,
}

impl<'t> Parser<'t> {
    /// A value, inside of `depth` arrays and objects.
    fn value(&mut self, name: Text<'t>, depth: usize) -> Result<(), ParseError> {
        let start = self.at;
        let mut escaped = false;
        let kind = match self.peek() {
            Some(b'"') => {
                escaped = self.string()?.is_escaped();
                Kind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Number
            }
            Some(b'{') => return self.nested(name, Kind::Object, depth),
            Some(b'[') => return self.nested(name, Kind::Array, depth),
            Some(b't') => self.word("true", Kind::Boolean)?,
            Some(b'f') => self.word("false", Kind::Boolean)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return Err(self.expected("a value")),
        };
        self.nodes.push(Node::new(name, kind, self.text_from(start), escaped));
        Ok(())
    }

    /// An array or object; its node stands before those of what is in it.
    fn nested(&mut self, name: Text<'t>, kind: Kind, depth: usize) -> Result<(), ParseError> {
        if depth == DEPTH_MAX {
            return Err(ParseError::TooDeep { offset: self.at });
        }
        let (start, place) = (self.at, self.nodes.len());
        self.nodes.push(Node::new(name, kind, "", false));
        self.at += 1;
        self.blanks();
        if kind == Kind::Object { self.members(depth + 1) } else { self.elements(depth + 1) }?;
        let raw = self.text_from(start);
        let below = u32::try_from(self.nodes.len() - place - 1).unwrap_or(u32::MAX);
        if let Some(node) = self.nodes.get_mut(place) {
            *node = Node { raw, below, ..*node };
        }
        Ok(())
    }

    fn members(&mut self, depth: usize) -> Result<(), ParseError> {
        let first = self.nodes.len();
        let mut previous = Text::EMPTY;
        let mut ascending = true;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member's name"));
            }
            let name = self.string()?;
            let is_first = self.nodes.len() == first;
            ascending = ascending && !name.is_escaped() && (is_first || precedes(previous, name));
            previous = name;
            self.blanks();
            self.token(b':', "`:`")?;
            self.value(name, depth)?;
            if self.closes(b'}') {
                break;
            }
            self.token(b',', "`,` or `}`")?;
        }
        if !ascending {
            self.shadow_repeated_names(first);
        }
        Ok(())
    }

    fn elements(&mut self, depth: usize) -> Result<(), ParseError> {
        if self.closes(b']') {
            return Ok(());
        }
        loop {
            self.value(Text::EMPTY, depth)?;
            if self.closes(b']') {
                return Ok(());
            }
            self.token(b',', "`,` or `]`")?;
        }
    }

    /// Steps over the closing bracket if it comes next, blanks aside.
    fn closes(&mut self, bracket: u8) -> bool {
        self.blanks();
        let closes = self.peek() == Some(bracket);
        self.at += usize::from(closes);
        closes
    }

    /// Marks members that a later one of the same name replaces, of the object whose members begin at `first`.
    fn shadow_repeated_names(&mut self, first: usize) {
        let mut names = Vec::new();
        let mut place = first;
        while let Some(node) = self.nodes.get(place) {
            names.push((node.name(), place));
            place += 1 + node.below as usize;
        }
        names.sort_unstable();
        for (earlier, later) in names.iter().zip(names.iter().skip(1)) {
            if earlier.0 == later.0
                && let Some(node) = self.nodes.get_mut(earlier.1)
            {
                node.shadowed = true;
            }
        }
    }

    fn string(&mut self) -> Result<Text<'t>, ParseError> {
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at += plain_length(self.rest());
            match self.peek() {
                Some(b'"') => {
                    let text = Text::new(self.text_from(start), escaped);
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("an escape instead of a control character")),
                None => return Err(self.expected("the string's closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ParseError> {
        let after = self.text.get(self.at + 1..).unwrap_or_default();
        let mut rest = after.chars();
        if unescape(&mut rest).is_some() {
            self.at += 1 + after.len() - rest.as_str().len();
            return Ok(());
        }
        let digits = after.strip_prefix('u').and_then(|digits| digits.get(..4)).unwrap_or_default();
        if digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ParseError::LoneSurrogate { offset: self.at });
        }
        Err(self.expected("an escape that JSON knows"))
    }

    fn number(&mut self) -> Result<(), ParseError> {
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.expected("a digit"));
        }
        self.at += digits;
        Ok(())
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<Kind, ParseError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn token(&mut self, token: u8, expected: &'static str) -> Result<(), ParseError> {
        if self.peek() != Some(token) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        self.blanks();
        Ok(())
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn text_from(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        ParseError::Syntax { offset: self.at, expected }
    }
}

/// Whether the names stand as PostgreSQL orders members (shorter ones first, then by bytes): such names do not repeat.
fn precedes(left: Text<'_>, right: Text<'_>) -> bool {
    (left.raw().len(), left.raw()) < (right.raw().len(), right.raw())
}

/// Number of bytes before the first quote, backslash or control character; eight at a time, since strings are most of a
/// document. The test for "a byte of the word is less than n" is exact for the lowest such byte.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let (words, tail) = bytes.as_chunks::<8>();
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = quote | backslash | below(word, 0x20);
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + tail.iter().take_while(is_plain).count()
}
