//! One pass over agtype or JSON text: checks it (RFC 8259, nesting up to 128), turns agtype's own notation into JSON,
//! and notes the members that name an entity.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::WHOLE_BYTES_MAX;
use super::document::{Mark, Marks, Notation};
use super::json_string::{self, StringError};

/// Deepest nesting of objects and arrays.
pub(super) const DEPTH_MAX: u32 = 128;

/// A text that is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct Unreadable {
    /// What is wrong.
    pub reason: &'static str,
    /// Where, in bytes from the start.
    pub offset: usize,
    /// What names the entity, as far as it was found before.
    pub marks: Box<Marks>,
}

/// The outcome of a pass.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    /// The text itself where it is JSON as it stands.
    pub(super) json: Cow<'a, [u8]>,
    /// What names the entity.
    pub(super) marks: Marks,
}

/// Reads the whole text.
pub(super) fn scan(text: &Bytes, notation: Notation) -> Result<Scan<'_>, Unreadable> {
    let mut scanner = Scanner { text, at: 0, notation, marks: Marks::default(), json: Vec::new(), copied: 0 };
    let outcome = match std::str::from_utf8(text) {
        Ok(_) => scanner.document(),
        Err(error) => Err(Fault { reason: "not UTF-8", offset: error.valid_up_to() }),
    };
    match outcome {
        Ok(()) => Ok(Scan { json: scanner.json(), marks: scanner.marks }),
        Err(Fault { reason, offset }) => Err(Unreadable { reason, offset, marks: Box::new(scanner.marks) }),
    }
}

struct Fault {
    reason: &'static str,
    offset: usize,
}

struct Scanner<'a> {
    text: &'a Bytes,
    at: usize,
    notation: Notation,
    marks: Marks,
    /// The JSON of the text in front of `copied`, once something had to be replaced.
    json: Vec<u8>,
    copied: usize,
}

/// The open containers, one bit each: set for an object.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: u32,
}

impl Nesting {
    fn open(&mut self, object: bool) -> bool {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        self.depth <= DEPTH_MAX
    }

    fn close(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Result<(), Fault> {
        let mut nesting = Nesting::default();
        loop {
            self.blanks();
            let opened = self.value(&mut nesting)?;
            if opened {
                continue;
            }
            if !self.after_value(&mut nesting)? {
                self.blanks();
                return if self.at == self.text.len() {
                    Ok(())
                } else {
                    self.fault("text after the document")
                };
            }
        }
    }

    /// Reads a scalar, an empty container, or the opening of a container with its first key.
    /// True when the next thing to read is a value inside a container that was just opened.
    fn value(&mut self, nesting: &mut Nesting) -> Result<bool, Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| false),
            Some(b'{') => {
                self.open(nesting, true)?;
                if self.peek() == Some(b'}') {
                    self.close(nesting)?;
                    return Ok(false);
                }
                self.key(nesting).map(|()| true)
            }
            Some(b'[') => {
                self.open(nesting, false)?;
                if self.peek() == Some(b']') {
                    self.close(nesting)?;
                    return Ok(false);
                }
                Ok(true)
            }
            Some(b't') => self.word(b"true").map(|()| false),
            Some(b'f') => self.word(b"false").map(|()| false),
            Some(b'n') => self.word(b"null").map(|()| false),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => self.number().map(|()| false),
            Some(_) => self.fault("a value was expected"),
            None => self.fault("the text ends early"),
        }
    }

    /// Reads what follows a value, up to the next value. False at the end of the document.
    fn after_value(&mut self, nesting: &mut Nesting) -> Result<bool, Fault> {
        loop {
            if nesting.depth == 0 {
                return Ok(false);
            }
            self.blanks();
            match (self.peek(), nesting.in_object()) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.blanks();
                    return self.key(nesting).map(|()| true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => self.close(nesting)?,
                (Some(_), true) => return self.fault("`,` or `}` was expected"),
                (Some(_), false) => return self.fault("`,` or `]` was expected"),
                (None, _) => return self.fault("the text ends early"),
            }
        }
    }

    fn open(&mut self, nesting: &mut Nesting, object: bool) -> Result<(), Fault> {
        if !nesting.open(object) {
            return self.fault("nesting deeper than 128");
        }
        self.at += 1;
        self.blanks();
        Ok(())
    }

    fn close(&mut self, nesting: &mut Nesting) -> Result<(), Fault> {
        let suffixes: &[&'static [u8]] =
            if nesting.in_object() { &[b"::vertex", b"::edge"] } else { &[b"::path"] };
        self.at += 1;
        nesting.close();
        self.suffix(suffixes);
        Ok(())
    }

    /// Reads `"key":` and, at the top level, notes the value if it names the entity.
    fn key(&mut self, nesting: &Nesting) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return self.fault("a member's name was expected");
        }
        let (name, escaped) = self.string()?;
        self.blanks();
        if self.peek() != Some(b':') {
            return self.fault("`:` was expected");
        }
        self.at += 1;
        self.blanks();
        if nesting.depth == 1 {
            self.mark(name, escaped)?;
        }
        Ok(())
    }

    fn mark(&mut self, name: Range<usize>, escaped: bool) -> Result<(), Fault> {
        let raw = self.text.get(name).unwrap_or_default();
        let unescaped;
        let name = if escaped {
            unescaped = json_string::unescape(raw).unwrap_or_default();
            unescaped.as_bytes()
        } else {
            raw
        };
        match name {
            b"$dtId" => self.marks.twin_id = Some(self.peek_mark()?),
            b"$relationshipId" => self.marks.relationship_id = Some(self.peek_mark()?),
            b"$sourceId" => self.marks.source_id = Some(self.peek_mark()?),
            b"id" => self.marks.id = Some(self.peek_mark()?),
            b"$metadata" => self.marks.has_metadata = true,
            b"model" => self.marks.has_model = true,
            _ => {}
        }
        Ok(())
    }

    /// The value that starts here, without moving on.
    fn peek_mark(&mut self) -> Result<Mark, Fault> {
        if self.peek() != Some(b'"') {
            return Ok(Mark::NoString);
        }
        let start = self.at;
        let (range, escaped) = self.string()?;
        self.at = start;
        let text = self.text.slice(range);
        Ok(match escaped.then(|| json_string::unescape(&text)).flatten() {
            Some(unescaped) => Mark::Owned(unescaped),
            None => Mark::Plain(text),
        })
    }

    /// Reads a string; gives its content's range, and whether it has escapes.
    fn string(&mut self) -> Result<(Range<usize>, bool), Fault> {
        let start = self.at + 1;
        match json_string::end(self.text, start) {
            Ok((end, escaped)) => {
                self.at = end + 1;
                Ok((start..end, escaped))
            }
            Err(StringError { reason, offset }) => Err(Fault { reason, offset }),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.rest().starts_with(word) {
            return self.fault("a value was expected");
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        for (word, replacement) in
            [(&b"NaN"[..], "\"NaN\""), (b"Infinity", "\"Infinity\""), (b"-Infinity", "\"-Infinity\"")]
        {
            if self.notation == Notation::Agtype && self.rest().starts_with(word) {
                self.replace(word.len(), replacement);
                self.suffix(&[b"::numeric"]);
                return Ok(());
            }
        }
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
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
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.suffix(&[b"::numeric"]);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.fault("a digit was expected") } else { Ok(()) }
    }

    /// Cuts off one of agtype's type suffixes, if one stands here.
    fn suffix(&mut self, suffixes: &[&'static [u8]]) {
        if self.notation != Notation::Agtype || self.peek() != Some(b':') {
            return;
        }
        let found = suffixes.iter().find(|suffix| self.rest().starts_with(suffix));
        if let Some(suffix) = found {
            self.replace(suffix.len(), "");
        }
    }

    /// Passes over the next bytes, which become something else in JSON. The room is taken once: nearly all that is replaced
    /// is a suffix, which is cut off.
    fn replace(&mut self, length: usize, replacement: &str) {
        if self.json.capacity() == 0 {
            self.json.reserve_exact(self.text.len());
        }
        self.json.extend_from_slice(self.text.get(self.copied..self.at).unwrap_or_default());
        self.json.extend_from_slice(replacement.as_bytes());
        self.at += length;
        self.copied = self.at;
    }

    /// The whole text as JSON.
    fn json(&mut self) -> Cow<'a, [u8]> {
        if self.copied == 0 {
            return Cow::Borrowed(self.text);
        }
        self.json.extend_from_slice(self.text.get(self.copied..).unwrap_or_default());
        let mut json = std::mem::take(&mut self.json);
        // A document that is not copied again must not hold room that nobody counts.
        if json.len() > WHOLE_BYTES_MAX {
            json.shrink_to_fit();
        }
        Cow::Owned(json)
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault<T>(&self, reason: &'static str) -> Result<T, Fault> {
        Err(Fault { reason, offset: self.at })
    }
}

#[cfg(test)]
mod tests;
