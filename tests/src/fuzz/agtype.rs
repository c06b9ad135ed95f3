//! The agtype converter on any text: what it accepts is JSON for every later reader, and JSON stays as it is.

use bytes::Bytes;
use twinroute_capture::decode::document::{Document, Notation};
use twinroute_common::json;

/// # Panics
/// When an accepted text is not JSON for the renderers, when JSON is changed or refused, or when the entity's id is not
/// the one that the document has.
pub fn agtype(data: &[u8]) {
    let text = Bytes::copy_from_slice(data);
    let as_json = Document::read(&text, Notation::Json);
    let as_agtype = Document::read(&text, Notation::Agtype);
    assert_eq!(
        as_json.is_ok(),
        json::Document::parse(data).is_ok(),
        "capture and the renderers agree on JSON"
    );
    if let Ok(document) = &as_json {
        assert_eq!(document.json, text, "JSON is kept as it stands");
        assert_eq!(as_agtype.as_ref().ok(), Some(document), "JSON is agtype too");
    }
    let Ok(document) = as_agtype else { return };
    let read = json::Document::parse(&document.json);
    assert!(read.is_ok(), "an accepted text is JSON: {read:?}");
    let Ok(read) = read else { return };
    let id =
        read.root().get("$dtId").and_then(json::Value::as_text).map(|text| text.unescaped().into_owned());
    let mark = document.marks.twin_id.as_ref().and_then(|mark| mark.as_str().map(str::to_owned));
    assert_eq!(mark, id, "the twin is known by its $dtId");
}
