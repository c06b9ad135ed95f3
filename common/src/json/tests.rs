//! Tests of reading and comparing documents.

mod numbers;
mod reading;

use super::{Document, Finder, ParseError, Text};

/// Whether two JSON texts are the same value.
fn same(left: &str, right: &str) -> bool {
    let (left, right) =
        (Document::parse(left.as_bytes()).unwrap(), Document::parse(right.as_bytes()).unwrap());
    let same = left.root().same(right.root());
    assert_eq!(same, right.root().same(left.root()), "equality has no direction");
    same
}

#[test]
fn values_keep_the_text_they_were_written_with() {
    let text = br#" {"a" : 1.50, "b":[ 1e+2 , "x\/y" ], "c":{ } } "#;
    let document = Document::parse(text).unwrap();
    let members: Vec<_> = document.root().children().map(|it| (it.name().raw(), it.raw())).collect();
    assert_eq!(members, [("a", "1.50"), ("b", r#"[ 1e+2 , "x\/y" ]"#), ("c", "{ }")]);
    let elements: Vec<_> =
        document.root().get("b").unwrap().children().map(|it| it.raw().to_owned()).collect();
    assert_eq!(elements, ["1e+2", r#""x\/y""#]);
}

#[test]
fn of_members_with_the_same_name_the_last_one_counts() {
    let document = Document::parse(br#"{"b":1,"a":{"x":1},"\u0062":2,"c":3,"a":4}"#).unwrap();
    let members: Vec<_> = document.root().children().map(|it| (it.name().unescaped(), it.raw())).collect();
    assert_eq!(members, [("b".into(), "2"), ("c".into(), "3"), ("a".into(), "4")]);
    assert_eq!(document.root().get("b").unwrap().raw(), "2");
    assert!(same(r#"{"a":1,"a":2}"#, r#"{"a":2}"#));
}

#[test]
fn strings_are_compared_by_content() {
    for (left, right) in [
        (r#""a""#, r#""\u0061""#),
        (r#""/""#, r#""\/""#),
        (r#""🚀""#, r#""\uD83D\ude80""#),
        (r#""\n\t\b\f\r\"\\""#, r#""\u000a\u0009\u0008\u000C\u000D\u0022\u005c""#),
    ] {
        assert!(same(left, right), "{left} {right}");
    }
    assert!(!same(r#""a""#, r#""A""#));
    assert!(!same(r#""\\u0061""#, r#""a""#));
}

#[test]
fn objects_are_compared_whatever_their_order_and_arrays_in_order() {
    assert!(same(r#"{"a":1,"b":[1,{"c":null}]}"#, r#"{"b":[1.0,{"c":null}],"a":1}"#));
    for (left, right) in [
        (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
        (r#"{"a":1}"#, r#"{"b":1}"#),
        ("[1,2]", "[2,1]"),
        ("[1,2]", "[1]"),
        ("[]", "{}"),
        ("null", "false"),
        ("true", "false"),
        (r#""1""#, "1"),
    ] {
        assert!(!same(left, right), "{left} {right}");
    }
}

#[test]
fn members_are_found_in_small_and_large_objects_in_any_order() {
    for count in [0, 1, 5, 32, 33, 1000] {
        let members: Vec<_> = (0..count).map(|it| format!(r#""m{it}":{{"v":{it}}}"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let document = Document::parse(text.as_bytes()).unwrap();
        let mut finder = Finder::new(document.root());
        let up_and_down = (0..count).chain((0..count).rev()).chain((0..count).step_by(7));
        for it in up_and_down {
            let found = finder.find(Text::new(&format!("m{it}"), false)).unwrap();
            assert_eq!(found.raw(), format!(r#"{{"v":{it}}}"#));
            assert!(finder.find(Text::new("m", false)).is_none());
        }
    }
    let array = Document::parse(b"[1]").unwrap();
    assert!(Finder::new(array.root()).find(Text::new("", false)).is_none(), "elements have no names");
    assert!(array.root().get("").is_none());
}

#[test]
fn large_objects_are_equal_whatever_their_order() {
    let member = |it: i32| format!(r#""m{it}":{it}"#);
    let forward: Vec<_> = (0..500).map(member).collect();
    let backward: Vec<_> = (0..500).rev().map(member).collect();
    let object = |members: &[String]| format!("{{{}}}", members.join(","));
    assert!(same(&object(&forward), &object(&backward)));
    assert!(!same(&object(&forward[1..]), &object(&backward[1..])));
}

#[test]
fn nesting_is_read_up_to_the_bound() {
    let nested = |depth: usize| format!("{}{}", r#"{"a":["#.repeat(depth / 2), "]}".repeat(depth / 2));
    assert!(Document::parse(nested(128).as_bytes()).is_ok());
    let refused = Document::parse(nested(130).as_bytes()).err();
    assert_eq!(refused, Some(ParseError::TooDeep { offset: 64 * 6 }));
    let endless = "[".repeat(1_000_000);
    assert_eq!(Document::parse(endless.as_bytes()).err(), Some(ParseError::TooDeep { offset: 128 }));
}
