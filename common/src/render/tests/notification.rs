//! `EventNotification`: types, subjects, and data but for the patch.

use serde_json::json;

use super::{data, model, notifications, patch_of, relationship, twin};
use crate::event::{EventData, Operation};

fn only_type_and_subject(event: &EventData) -> (String, String) {
    let events = notifications(event);
    assert_eq!(events.len(), 1);
    (events[0].event_type.to_string(), events[0].subject.as_deref().unwrap().to_owned())
}

#[test]
fn each_kind_and_operation_has_its_type_and_subject() {
    let (a, b) = (Some("{'v':1}"), Some("{'v':2}"));
    for (event, expected_type, subject) in [
        (twin(None, a), "Twin.Create", "room1"),
        (twin(a, b), "Twin.Update", "room1"),
        (twin(a, None), "Twin.Delete", "room1"),
        (relationship(None, a), "Relationship.Create", "room1/relationships/r1"),
        (relationship(a, b), "Relationship.Update", "room1/relationships/r1"),
        (relationship(a, None), "Relationship.Delete", "room1/relationships/r1"),
        (model(None, a), "Model.Create", "dtmi:a;1"),
        (model(a, b), "Model.Update", "dtmi:a;1"),
        (model(a, None), "Model.Delete", "dtmi:a;1"),
    ] {
        let expected = (format!("Konnektr.DigitalTwins.{expected_type}"), subject.to_owned());
        assert_eq!(only_type_and_subject(&event), expected);
    }
}

#[test]
fn a_create_or_delete_carries_the_document_as_it_stands() {
    let document = "{'$etag': 'e',  'v': 150.0, '$metadata': {'$lastUpdateTime': 't'}}";
    for event in [twin(None, Some(document)), twin(Some(document), None)] {
        let expected = document.replace('\'', "\"");
        assert_eq!(notifications(&event)[0].data, expected);
    }
}

#[test]
fn an_update_tells_the_new_model_or_null() {
    let old = Some("{'v':1,'$metadata':{'$model':'dtmi:a;1'}}");
    let new = "{'v':2,'$metadata':{'$model':'dtmi:a;2'}}";
    assert_eq!(data(&notifications(&twin(old, Some(new)))[0])["modelId"], json!("dtmi:a;2"));
    assert_eq!(data(&notifications(&relationship(old, Some(new)))[0])["modelId"], json!("dtmi:a;2"));
    assert_eq!(data(&notifications(&model(old, Some(new)))[0])["modelId"], json!("dtmi:a;1"));
    let without = data(&notifications(&relationship(old, Some("{'v':2}")))[0]);
    assert!(without.as_object().unwrap().contains_key("modelId"));
    assert!(without["modelId"].is_null());
}

#[test]
fn values_in_a_patch_keep_their_text() {
    let event = twin(Some("{}"), Some("{'v':1.50e+2,'o':{'x':150.0}}"));
    let text = String::from_utf8(notifications(&event)[0].data.to_vec()).unwrap();
    assert_eq!(
        text,
        r#"{"modelId":null,"patch":[{"op":"add","path":"/v","value":1.50e+2},{"op":"add","path":"/o","value":{"x":150.0}}]}"#
    );
}

#[test]
fn without_the_old_document_the_patch_replaces_the_whole_with_its_bookkeeping() {
    let new = "{'v':1,'$etag':'e','$metadata':{'$model':'m','v':{'lastUpdateTime':'t'}}}";
    for event in [twin(None, Some(new)), relationship(None, Some(new)), model(None, Some(new))] {
        let event = EventData { operation: Operation::Update, ..event };
        let value = json!({"v": 1, "$etag": "e", "$metadata": {"$model": "m", "v": {"lastUpdateTime": "t"}}});
        assert_eq!(patch_of(&event), json!([{"op": "replace", "path": "", "value": value}]));
    }
}

#[test]
fn an_update_of_bookkeeping_alone_is_no_event() {
    let old = "{'$etag':'1','v':1,'$metadata':{'$model':'m','$lastUpdateTime':'1','$lastUpdatedBy':'a'}}";
    let new = "{'$etag':'2','v':1.0,'$metadata':{'$model':'m','$lastUpdateTime':'2','$lastUpdatedBy':'b'}}";
    assert!(notifications(&twin(Some(old), Some(new))).is_empty());
    assert!(notifications(&relationship(Some("{'$etag':'1'}"), Some("{'$etag':'2'}"))).is_empty());
}
