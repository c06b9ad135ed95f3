//! Checks of single values; each gives the problem, or nothing. Collect them with `into_iter().flatten()`.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::Problem;

/// The value is within `range`.
pub fn range<T: PartialOrd + Display>(key: &str, value: &T, range: &RangeInclusive<T>) -> Option<Problem> {
    let message = || format!("{value} is outside {} to {}", range.start(), range.end());
    (!range.contains(value)).then(|| Problem::new(key, message()))
}

/// The number is not zero.
pub fn non_zero<T: Default + PartialEq>(key: &str, value: &T) -> Option<Problem> {
    (*value == T::default()).then(|| Problem::new(key, "must not be zero; remove the key for its default"))
}

/// The text is not empty; `remedy` says what to write.
pub fn not_empty(key: &str, value: &str, remedy: &str) -> Option<Problem> {
    value.trim().is_empty().then(|| Problem::new(key, format!("is empty; {remedy}")))
}

/// The text is one of `words`.
pub fn one_of(key: &str, value: &str, words: &[&str]) -> Option<Problem> {
    (!words.contains(&value)).then(|| Problem::new(key, format!("must be one of {}", words.join(", "))))
}

/// The text is a URL `scheme://host…` with one of the schemes. The value is not repeated: it may hold a password.
pub fn url(key: &str, value: &str, schemes: &[&str]) -> Option<Problem> {
    let known = value.split_once("://").is_some_and(|(scheme, rest)| {
        schemes.contains(&scheme) && !rest.is_empty() && !rest.starts_with('/')
    });
    (!known).then(|| {
        let forms: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://host:port")).collect();
        Problem::new(key, format!("is not a URL of the form {}", forms.join(" or ")))
    })
}

/// The text is one or more `host:port` or `http://host:port`, separated by commas.
pub fn addresses(key: &str, value: &str) -> Option<Problem> {
    let fits = |address: &str| {
        let bare = address.trim().strip_prefix("http://").unwrap_or(address.trim());
        bare.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    (!value.split(',').all(fits))
        .then(|| Problem::new(key, "is not a list of http://host:port separated by commas"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_values_pass() {
        assert_eq!(range("a", &5, &(1..=10)), None);
        assert_eq!(non_zero("a", &1_u64), None);
        assert_eq!(not_empty("a", "x", "write x"), None);
        assert_eq!(one_of("a", "x", &["x", "y"]), None);
        assert_eq!(url("a", "postgres://u:p@h/db", &["postgres", "postgresql"]), None);
        assert_eq!(addresses("a", "http://one:1, two:2,[::1]:3"), None);
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        let found: Vec<String> = [
            range("a", &0, &(1..=10)),
            non_zero("b", &0_u64),
            not_empty("c", " ", "write the topic's name"),
            one_of("d", "z", &["x", "y"]),
            url("e", "postgres:secret", &["postgres"]),
            addresses("f", "http://one"),
            addresses("g", ""),
        ]
        .into_iter()
        .flatten()
        .map(|problem| problem.to_string())
        .collect();
        assert_eq!(
            found,
            [
                "a: 0 is outside 1 to 10",
                "b: must not be zero; remove the key for its default",
                "c: is empty; write the topic's name",
                "d: must be one of x, y",
                "e: is not a URL of the form postgres://host:port",
                "f: is not a list of http://host:port separated by commas",
                "g: is not a list of http://host:port separated by commas",
            ]
        );
    }
}
