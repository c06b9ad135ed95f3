//! Tests of the scan.

use super::super::document::Document;
use super::*;

fn json(text: &str) -> Result<String, String> {
    Document::read(&Bytes::copy_from_slice(text.as_bytes()), Notation::Agtype)
        .map(|document| String::from_utf8_lossy(&document.json).into_owned())
        .map_err(|unreadable| unreadable.to_string())
}

#[test]
fn agtypes_own_notation_becomes_json_and_all_else_stays() {
    for (agtype, expected) in [
        (r#"{"a": 150.0, "b": 5.972e+24}"#, r#"{"a": 150.0, "b": 5.972e+24}"#),
        (r#"{"a": 1.5::numeric}"#, r#"{"a": 1.5}"#),
        (r#"[NaN, Infinity, -Infinity, NaN::numeric]"#, r#"["NaN", "Infinity", "-Infinity", "NaN"]"#),
        (r#"{"v": {"id": 1, "properties": {}}::vertex}"#, r#"{"v": {"id": 1, "properties": {}}}"#),
        (r#"[{}::vertex, {"a": {}}::edge]::path"#, r#"[{}, {"a": {}}]"#),
        (r#"{"text": "1.5::numeric NaN"}"#, r#"{"text": "1.5::numeric NaN"}"#),
    ] {
        assert_eq!(json(agtype).as_deref(), Ok(expected));
    }
}

#[test]
fn text_that_is_not_json_says_why_and_where() {
    for (text, reason) in [
        ("", "the text ends early at byte 0"),
        ("{", "a member's name was expected at byte 1"),
        (r#"{"a" 1}"#, "`:` was expected at byte 5"),
        (r#"{"a": 01}"#, "`,` or `}` was expected at byte 7"),
        (r#"{"a": 1.}"#, "a digit was expected at byte 8"),
        (r#"[1 2]"#, "`,` or `]` was expected at byte 3"),
        (r#"[1]]"#, "text after the document at byte 3"),
        (r#"[1,]"#, "a value was expected at byte 3"),
        (r#"{"a": nul}"#, "a value was expected at byte 6"),
        (r#"[1::text]"#, "`,` or `]` was expected at byte 2"),
    ] {
        assert_eq!(json(text), Err(reason.to_owned()), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(json(&nested(128)).is_ok());
    assert_eq!(json(&nested(129)), Err("nesting deeper than 128 at byte 128".to_owned()));
    assert_eq!(json(&nested(1000)), Err("nesting deeper than 128 at byte 128".to_owned()));
}

#[test]
fn naming_members_are_found_at_the_top_only() {
    let text = r#"{"$dtId": "r\u006fom", "nested": {"$sourceId": "no"}, "id": 7, "$metadata": {}}"#;
    let document = Document::read(&Bytes::from_static(text.as_bytes()), Notation::Json);
    let marks = document.map(|document| document.marks);
    assert_eq!(
        marks,
        Ok(Marks {
            twin_id: Some(Mark::Owned("room".to_owned())),
            id: Some(Mark::NoString),
            has_metadata: true,
            ..Marks::default()
        })
    );
}

#[test]
fn json_columns_know_no_suffixes() {
    for text in ["[NaN]", "[1::numeric]", "[-Infinity]"] {
        let read = Document::read(&Bytes::from_static(text.as_bytes()), Notation::Json);
        assert!(read.is_err(), "{text}");
    }
}
