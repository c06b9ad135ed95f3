//! What is refused, where, and with which remedy. What is accepted is told by the fixtures.

use super::*;

/// Place and suggestion of the one complaint.
fn refused(text: &str) -> (u32, u32, String) {
    match parse(text) {
        Err(told) => (told.column, told.length, told.suggestion),
        Ok(condition) => panic!("{text} is accepted as {condition:?}"),
    }
}

#[test]
fn slips_from_other_languages_are_refused_with_what_was_meant() {
    for (text, column, length, suggestion) in [
        ("type == 'x'", 6, 2, "="),
        ("type <> 'x'", 6, 2, "!="),
        ("$body.a => 5", 9, 2, ">="),
        ("$body.a =< 5", 9, 2, "<="),
        ("type = \"x\"", 8, 3, "'x'"),
        ("type = \"it's", 8, 5, "'it''s'"),
        ("START_WITH(type, 'x')", 1, 10, "STARTS_WITH"),
        ("$body.a = 1 && true", 13, 2, "AND"),
        ("true || true", 6, 2, "OR"),
        ("!true", 1, 1, "NOT"),
        ("NOT NOT true", 5, 3, "NOT (NOT …)"),
        ("$body.poweredOn", 1, 15, "$body.poweredOn = true"),
        ("$body.poweredOn AND true", 1, 15, "$body.poweredOn = true"),
        ("$new.größe > 1", 6, 5, "['größe']"),
        ("$body.patch[0].value > 10", 12, 1, "CHANGED($new.<path>)"),
        ("  ", 3, 0, "true"),
    ] {
        assert_eq!(refused(text), (column, length, suggestion.to_owned()), "{text}");
    }
}

#[test]
fn what_was_expected_is_told_where_it_is_missing() {
    for (text, column, expected) in [
        ("type =", 7, "the filter ends where a value"),
        ("type = 'x", 8, "no closing `'`"),
        ("(true", 6, "`AND`, `OR` or `)`"),
        ("true)", 5, "`AND`, `OR` or the end"),
        ("this is not a filter", 6, "a comparison: `=`"),
        ("type IN []", 10, "a value was expected, and not `]`"),
        ("type IN ['a' 'b']", 14, "`,` or `]`"),
        ("type IN 'a'", 9, "`[` and a list"),
        ("CONTAINS(type)", 14, "a second argument"),
        ("IS_DEFINED('a')", 12, "a path such as"),
        ("CHANGED(ABS(1))", 9, "a path such as"),
        ("STARTS_WITH(type, 'x') = true", 24, "`AND`, `OR` or the end"),
        ("ABS(CONTAINS(a, b)) = 1", 5, "CONTAINS is a condition"),
        ("$body.a = - 5", 11, "a value"),
        ("1 + (2) = 3", 5, "a value"),
        ("true -- all", 7, "a value"),
        ("$body. = 1", 6, "a name was expected behind `.`"),
        ("a ? b", 3, "`?` is no part of the language"),
        ("5", 2, "a comparison: `=`"),
    ] {
        let told = parse(text).err().map(|told| (told.column, told.message));
        let is_told = told.as_ref().is_some_and(|(at, message)| *at == column && message.contains(expected));
        assert!(is_told, "{text}: {told:?}");
    }
}

#[test]
fn every_bound_holds_and_is_named() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(PARENTHESES_MAX)).is_ok());
    assert!(refusal(&nested(PARENTHESES_MAX + 1)).contains("64 parentheses"));
    let calls = |depth: usize| format!("{}1{} = 1", "ABS(".repeat(depth), ")".repeat(depth));
    assert!(parse(&calls(PARENTHESES_MAX)).is_ok());
    assert!(refusal(&calls(PARENTHESES_MAX + 1)).contains("64 parentheses"));
    let many = |count: usize| vec!["true"; count].join(" AND ");
    assert!(parse(&many(CONDITIONS_MAX)).is_ok());
    assert!(refusal(&many(CONDITIONS_MAX + 1)).contains("256 conditions"));
    let long = |characters: usize| format!("true{}", " ".repeat(characters - 4));
    assert!(parse(&long(CHARACTERS_MAX)).is_ok());
    assert!(refusal(&long(CHARACTERS_MAX + 1)).contains("4096 are allowed"));
}

fn refusal(text: &str) -> String {
    parse(text).err().map(|told| told.message).unwrap_or_default()
}

#[test]
fn a_condition_knows_its_own_text() {
    let text = " type = 'a'  AND ( NOT CHANGED($new.b) OR true)";
    let spans = |condition: &Condition| match &condition.kind {
        ConditionKind::And(parts) => parts.iter().map(|part| text[part.span.clone()].to_owned()).collect(),
        other => vec![format!("{other:?}")],
    };
    let parsed = parse(text).unwrap();
    assert_eq!(spans(&parsed), ["type = 'a'", "NOT CHANGED($new.b) OR true"]);
}
