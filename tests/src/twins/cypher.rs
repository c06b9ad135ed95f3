//! Cypher text for AGE: literals, names, and the SQL around a query. Pure.

use serde_json::{Map, Value};

/// A name, of a label or property, in backticks.
#[must_use]
pub fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A string literal.
#[must_use]
pub fn string(text: &str) -> String {
    let mut literal = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => literal.push_str("\\'"),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c if c.is_control() => literal.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

/// A map literal.
#[must_use]
pub fn map(members: &Map<String, Value>) -> String {
    let members: Vec<String> =
        members.iter().map(|(key, value)| format!("{}: {}", name(key), literal(value))).collect();
    format!("{{{}}}", members.join(", "))
}

/// The literal of any JSON value.
#[must_use]
pub fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(literal).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Object(members) => map(members),
        scalar => scalar.to_string(),
    }
}

/// The SQL statement that runs a Cypher query which gives back at most one column.
#[must_use]
pub fn statement(graph: &str, query: &str) -> String {
    // A dollar quote that the query does not hold.
    let quote = (0..)
        .map(|number| format!("$cypher{number}$"))
        .find(|quote| !query.contains(quote))
        .unwrap_or_default();
    let graph = graph.replace('\'', "''");
    format!("SELECT * FROM cypher('{graph}', {quote} {query} {quote}) AS (value agtype)")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_could_end_a_literal_is_escaped() {
        let value = json!({"a`b": ["it's \\ \n\u{1}", 1.5, true, null]});
        let expected = "{`a``b`: ['it\\'s \\\\ \\n\\u0001', 1.5, true, null]}";
        assert_eq!(literal(&value), expected);
    }

    #[test]
    fn the_dollar_quote_does_not_occur_in_the_query() {
        let sql = statement("g", "RETURN '$cypher0$'");
        assert!(sql.contains("$cypher1$ RETURN '$cypher0$' $cypher1$"), "{sql}");
    }
}
