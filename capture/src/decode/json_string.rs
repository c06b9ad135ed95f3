//! Strings inside JSON text (RFC 8259, section 7): where they end, and what they say.

/// A string that is not well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StringError {
    pub(super) reason: &'static str,
    pub(super) offset: usize,
}

/// Finds the closing quote of the string whose content starts at `start`. Also says whether there are escapes.
/// A surrogate escape must come in a pair.
pub(super) fn end(text: &[u8], start: usize) -> Result<(usize, bool), StringError> {
    let mut at = start;
    let mut escaped = false;
    loop {
        at = skip_plain(text, at);
        match text.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = skip_escape(text, at)?;
            }
            Some(_) => return Err(StringError { reason: "a control character in a string", offset: at }),
            None => return Err(StringError { reason: "a string without end", offset: at }),
        }
    }
}

/// Skips to the next quote, backslash or control character, eight bytes at a time.
fn skip_plain(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let stops = quote | backslash | control;
        if stops != 0 {
            // The lowest bit that is set is exact: borrows reach only the bytes above a true stop.
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let plain = |byte: &&u8| !matches!(**byte, b'"' | b'\\' | 0..=0x1F);
    at + text.get(at..).unwrap_or_default().iter().take_while(plain).count()
}

fn skip_escape(text: &[u8], at: usize) -> Result<usize, StringError> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match code_unit(text, at) {
            Some(0xD800..=0xDBFF) => match code_unit(text, at + 6) {
                Some(0xDC00..=0xDFFF) => Ok(at + 12),
                _ => Err(StringError { reason: "a lone surrogate in a string", offset: at }),
            },
            Some(0xDC00..=0xDFFF) => Err(StringError { reason: "a lone surrogate in a string", offset: at }),
            Some(_) => Ok(at + 6),
            None => Err(StringError { reason: "`\\u` without four hexadecimal digits", offset: at }),
        },
        _ => Err(StringError { reason: "an unknown escape in a string", offset: at }),
    }
}

/// The UTF-16 code unit of the escape `\uXXXX` at `at`.
fn code_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0_u16, |unit, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(value).ok()?)
    })
}

/// What the content of a string says, escapes resolved. `None` when it is not well formed.
pub(super) fn unescape(content: &[u8]) -> Option<String> {
    let quoted = [b"\"", content, b"\""].concat();
    serde_json::from_slice(&quoted).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_wherever_it_stands() {
        for length in 0..40 {
            let text = "ü".repeat(length / 2) + &"x".repeat(length % 2) + "\" rest of the text";
            let end = end(text.as_bytes(), 0);
            assert_eq!(end, Ok((text.find('"').unwrap_or_default(), false)), "{text}");
        }
    }

    #[test]
    fn every_stop_is_seen_at_every_offset() {
        for offset in 0..24 {
            for (stop, reason) in [
                ("\n", "a control character in a string"),
                ("\u{1f}", "a control character in a string"),
                ("\\x", "an unknown escape in a string"),
                ("\\u12g4", "`\\u` without four hexadecimal digits"),
                ("\\ud800", "a lone surrogate in a string"),
                ("\\ud800\\u0041", "a lone surrogate in a string"),
                ("\\udc00", "a lone surrogate in a string"),
                ("", "a string without end"),
            ] {
                let text = "a".repeat(offset) + stop;
                assert_eq!(end(text.as_bytes(), 0), Err(StringError { reason, offset }), "{text:?}");
            }
        }
    }

    #[test]
    fn escapes_are_passed_over_and_resolved() {
        let text = br#"a\"b\\\ud83d\ude00\n" tail"#;
        assert_eq!(end(text, 0), Ok((20, true)));
        assert_eq!(unescape(&text[..20]).as_deref(), Some("a\"b\\😀\n"));
    }
}
