//! What a filter says beyond its verdict. Verdicts are told by the fixtures, and by the comparison with a naive
//! interpreter in the tests crate.

use super::*;

fn warned(text: &str) -> Vec<(u32, String)> {
    let filter = Filter::parse(text).unwrap();
    filter.warnings().iter().map(|it| (it.column, it.suggestion.clone())).collect()
}

#[test]
fn names_that_no_event_has_are_warned_of_with_what_was_meant() {
    for (text, column, suggestion) in [
        ("$eventType = 'x'", 1, "'$eventType'"),
        ("type = Microsoft.DigitalTwins.Twin.Create", 8, "'Microsoft.DigitalTwins.Twin.Create'"),
        ("Type = 'x'", 1, "type"),
        ("$Body.modelId = 'x'", 1, "$body.modelId"),
        ("subjct = 'x'", 1, "subject"),
        ("subject.x = 'x'", 1, ""),
        ("true AND CHANGED($body.x)", 18, "$new.x"),
    ] {
        assert_eq!(warned(text), [(column, suggestion.to_owned())], "{text}");
    }
    assert_eq!(warned("dataschema = 'x' OR $new.a['b'] > $old.a OR id = source"), []);
}
