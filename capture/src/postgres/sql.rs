//! Quoting for statements that take no parameters (PostgreSQL manual, section "Lexical Structure").

/// `name` as a quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(identifier("My \"graph\""), r#""My ""graph""""#);
    }
}
