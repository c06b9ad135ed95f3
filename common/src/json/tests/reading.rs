//! Tests of what is and what is not JSON.

use proptest::prelude::*;

use super::{Document, ParseError};

#[test]
fn texts_that_are_not_json_are_refused_with_the_place() {
    for (text, offset) in [
        ("", 0),
        (" ", 1),
        ("{", 1),
        ("[1,]", 3),
        (r#"{"a":1,}"#, 7),
        (r#"{"a" 1}"#, 5),
        (r#"{"a":1 "b":2}"#, 7),
        (r"{a:1}", 1),
        ("[1 2]", 3),
        ("01", 1),
        ("-", 1),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1e", 2),
        ("1e+", 3),
        ("NaN", 0),
        ("Infinity", 0),
        ("nul", 0),
        ("truex", 4),
        ("1.5::numeric", 3),
        ("\"a", 2),
        ("\"a\u{1}\"", 2),
        ("\"0123456\n\"", 8),
        (r#""\x""#, 1),
        (r#""\u12""#, 1),
        (r#""\u12g4""#, 1),
        (r#""\"#, 1),
        ("1 1", 2),
        ("\u{feff}1", 0),
    ] {
        match Document::parse(text.as_bytes()) {
            Err(ParseError::Syntax { offset: place, .. }) => assert_eq!(place, offset, "{text:?}"),
            other => panic!("{text:?} gives {other:?}"),
        }
    }
}

#[test]
fn half_of_a_surrogate_pair_is_refused() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\n""#,
        r#""\ud800\u0061""#,
        r#""\ud800\ud800""#,
        r#""\ude80\ud83d""#,
        r#"{"\ud800":1}"#,
    ] {
        let refused = Document::parse(text.as_bytes()).err();
        assert!(matches!(refused, Some(ParseError::LoneSurrogate { .. })), "{text} gives {refused:?}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let refused = Document::parse(b"\"ab\xff\"").err();
    assert_eq!(refused, Some(ParseError::Encoding { offset: 3 }));
}

/// Text of pieces that often make JSON, and often nearly so.
fn almost_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just("\"a\""),
        Just("\"b\\n\""),
        Just("\"\\u00e9\""),
        Just("\"\\ud83d\\ude80\""),
        Just("\"\\ud83d\""),
        Just("1"),
        Just("-0.5e2"),
        Just("0"),
        Just("null"),
        Just("true"),
        Just(" "),
        Just("\""),
        Just("\\"),
        Just("\u{7}"),
        Just("é"),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_number_that_no_double_holds_is_json() {
    for number in ["-0.5e2000", "1e400", "123456789012345678901234567890"] {
        assert!(Document::parse(number.as_bytes()).is_ok(), "{number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn json_is_what_serde_json_takes_for_json(text in almost_json()) {
        let ours = Document::parse(text.as_bytes());
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        // Numbers beyond a double are JSON, and serde_json has no value for them.
        prop_assume!(!theirs.as_ref().is_err_and(|refused| refused.to_string().starts_with("number out of range")));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} {:?}", text, ours.err(), theirs.err());
    }

    #[test]
    fn strings_have_the_content_that_serde_json_reads(content in any::<String>(), ascii in any::<bool>()) {
        let mut text = serde_json::to_string(&content)?;
        if ascii {
            let escape = |unit: u16| format!("\\u{unit:04x}");
            text = format!("\"{}\"", content.encode_utf16().map(escape).collect::<String>());
        }
        let document = Document::parse(text.as_bytes())?;
        prop_assert_eq!(document.root().as_text().map(|it| it.unescaped().into_owned()), Some(content));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Document::parse(&bytes);
    }
}
