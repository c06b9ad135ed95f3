//! Pages of a list by name, with opaque tokens.

use std::collections::BTreeMap;
use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::refusal::{Kind, Refusal};

/// Entries of a page when the request names no number.
const SIZE_DEFAULT: usize = 100;
/// Most entries of a page.
const SIZE_MAX: usize = 1_000;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<'e, T> {
    /// Its entries, by name.
    pub entries: Vec<(&'e String, &'e T)>,
    /// Token of the next page; empty on the last.
    pub next_token: String,
}

/// The page that a token leads to; the first one when it is empty.
///
/// # Errors
/// When the token is not one that was given out for this kind of list.
pub fn page<'e, T>(
    entries: &'e BTreeMap<String, T>,
    kind: Kind,
    size: u32,
    token: &str,
) -> Result<Page<'e, T>, Refusal> {
    let after = position(kind, token)?.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = entries.range((after, Bound::Unbounded));
    let entries: Vec<_> = rest.by_ref().take(self::size(size)).collect();
    let next_token = match (rest.next(), entries.last()) {
        (Some(_), Some((last, _))) => self::token(kind, last),
        _ => String::new(),
    };
    Ok(Page { entries, next_token })
}

/// The number of entries that a page has at most, when the request asks for so many.
#[must_use]
pub fn size(asked: u32) -> usize {
    match usize::try_from(asked).unwrap_or(SIZE_MAX) {
        0 => SIZE_DEFAULT,
        size => size.min(SIZE_MAX),
    }
}

/// The token of the page behind an entry.
#[must_use]
pub fn token(kind: Kind, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}\0{last}"))
}

/// The name of the entry that a page begins behind; `None` for the first page.
///
/// # Errors
/// When the token is not one that was given out for this kind of list.
pub fn position(kind: Kind, token: &str) -> Result<Option<String>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name =
        text.as_deref().and_then(|text| text.split_once('\0')).filter(|(of, _)| *of == kind.to_string());
    name.map(|(_, name)| Some(name.to_owned())).ok_or_else(foreign_token)
}

/// A token that was not given out for the list.
#[must_use]
pub fn foreign_token() -> Refusal {
    Refusal::field("page_token", "is not a next_page_token of this list; begin anew without one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_everything_once_and_in_order() {
        let entries: BTreeMap<String, u8> = ["a", "b", "c", "d", "e"].map(|name| (name.to_owned(), 0)).into();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let shown = page(&entries, Kind::Endpoint, 2, &token).unwrap();
            seen.push(shown.entries.iter().map(|(name, _)| name.as_str()).collect::<String>());
            if shown.next_token.is_empty() {
                break;
            }
            token = shown.next_token;
        }
        assert_eq!(seen, ["ab", "cd", "e"]);
        let exact = page(&entries, Kind::Endpoint, 5, "").unwrap();
        assert_eq!(exact.next_token, "");
    }

    #[test]
    fn foreign_tokens_are_refused() {
        let entries: BTreeMap<String, u8> = ["a", "b"].map(|name| (name.to_owned(), 0)).into();
        let routes_token = page(&entries, Kind::EventRoute, 1, "").unwrap().next_token;
        for token in ["x", "////", &routes_token] {
            assert!(page(&entries, Kind::Endpoint, 1, token).is_err(), "{token}");
        }
    }
}
