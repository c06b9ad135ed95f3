//! Quoting for statements that take no parameters (PostgreSQL manual, section "Lexical Structure").

/// `name` as a quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as a string constant, whatever `standard_conforming_strings` is.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// `text` as a dollar-quoted string constant, with a tag that is not in it.
pub(super) fn dollar_quoted(text: &str) -> String {
    let mut tag = "$twinroute$".to_owned();
    while text.contains(&tag) {
        tag = format!("{}_$", tag.trim_end_matches('$'));
    }
    format!("{tag}{text}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(identifier("My \"graph\""), r#""My ""graph""""#);
    }

    #[test]
    fn a_constant_ends_where_it_should() {
        assert_eq!(literal("Tom's"), "'Tom''s'");
        assert_eq!(literal(r"a\'"), r" E'a\\'''");
        assert_eq!(dollar_quoted("a"), "$twinroute$a$twinroute$");
        assert_eq!(dollar_quoted("a$twinroute$b"), "$twinroute_$a$twinroute$b$twinroute_$");
    }
}
