//! A string of a document, still as it is written there.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The characters between a string's quotes. Equality and order are those of the content: `"a"` is `"\u0061"`.
#[derive(Clone, Copy, Debug)]
pub struct Text<'t> {
    raw: &'t str,
    escaped: bool,
}

impl<'t> Text<'t> {
    /// The text of what has none.
    pub(super) const EMPTY: Text<'static> = Text { raw: "", escaped: false };

    /// A checked string's text; `escaped` says whether a backslash is in it.
    pub(super) const fn new(raw: &'t str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// Content to compare with; it was not read from JSON, so [`Text::raw`] must not be copied into any.
    pub(crate) const fn plain(content: &'t str) -> Self {
        Self { raw: content, escaped: false }
    }

    /// As it is written, without quotes: can be copied between the quotes of another JSON string.
    #[must_use]
    pub const fn raw(self) -> &'t str {
        self.raw
    }

    /// Whether a backslash is in it.
    pub(super) const fn is_escaped(self) -> bool {
        self.escaped
    }

    /// Whether the content is `plain`.
    #[must_use]
    pub fn is(self, plain: &str) -> bool {
        if self.escaped { self.chars().eq(plain.chars()) } else { self.raw == plain }
    }

    /// Whether the content starts with that character.
    #[must_use]
    pub fn starts_with(self, first: char) -> bool {
        if self.escaped { self.chars().next() == Some(first) } else { self.raw.starts_with(first) }
    }

    /// The content.
    #[must_use]
    pub fn unescaped(self) -> Cow<'t, str> {
        if self.escaped { Cow::Owned(self.chars().collect()) } else { Cow::Borrowed(self.raw) }
    }

    fn chars(self) -> impl Iterator<Item = char> {
        let mut rest = self.raw.chars();
        let escaped = self.escaped;
        std::iter::from_fn(move || match rest.next()? {
            '\\' if escaped => unescape(&mut rest),
            other => Some(other),
        })
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.escaped || other.escaped { self.chars().eq(other.chars()) } else { self.raw == other.raw }
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.escaped || other.escaped { self.chars().cmp(other.chars()) } else { self.raw.cmp(other.raw) }
    }
}

/// What the escape stands for whose backslash was just read; `None` where it stands for no character.
pub(super) fn unescape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let unit = code_unit(rest)?;
            match unit {
                0xD800..0xDC00 => {
                    let low = (rest.next() == Some('\\') && rest.next() == Some('u'))
                        .then(|| code_unit(rest))
                        .flatten()
                        .filter(|low| (0xDC00..0xE000).contains(low))?;
                    char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))?
                }
                _ => char::from_u32(unit)?,
            }
        }
        same @ ('"' | '\\' | '/') => same,
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn code_unit(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | rest.next()?.to_digit(16)?))
}
