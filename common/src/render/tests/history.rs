//! `DataHistory`: lifecycle and property events.

use serde_json::json;

use super::{SOURCE, TIME, data, history, history_of, model, relationship, render, twin};
use crate::event::{EventData, Operation};
use crate::format::EventFormat;

#[test]
fn a_new_twin_has_a_lifecycle_event_and_one_add_per_property() {
    let document =
        "{'$dtId':'room1','t':21.5,'$metadata':{'$model':'m;1'},'on':true,'c':{'$metadata':{},'x':'é'}}";
    assert_eq!(
        history_of(&twin(None, Some(document))),
        ["Create", "Add t 21.5 double", "Add on true boolean", r#"Add c.x "é" string"#]
    );
    let lifecycle = &render(&twin(None, Some(document)), EventFormat::DataHistory)[0];
    assert_eq!(&*lifecycle.event_type, "Konnektr.DigitalTwins.Twin.Lifecycle");
    assert_eq!(
        data(lifecycle),
        json!({"twinId": "room1", "action": "Create", "timeStamp": TIME, "serviceId": SOURCE, "modelId": "m;1"})
    );
}

#[test]
fn a_deleted_twin_has_a_lifecycle_event_alone() {
    let event = twin(Some("{'v':1,'$metadata':{'$model':'m;1'}}"), None);
    assert_eq!(history_of(&event), ["Delete"]);
    assert_eq!(data(&render(&event, EventFormat::DataHistory)[0])["modelId"], json!("m;1"));
}

#[test]
fn a_twin_that_changes_its_model_has_a_lifecycle_event_first() {
    let of = |model: &str, v: i32| format!("{{'v':{v},'$metadata':{{{model}}}}}");
    let (a, b) = ("'$model':'m;1'", "'$model':'m;2'");
    assert_eq!(history(&of(a, 1), &of(b, 2)), ["Update", "Replace v 2 integer"]);
    assert_eq!(history(&of(a, 1), &of("", 1)), ["Update"]);
    assert_eq!(history(&of("", 1), &of(a, 1)), ["Update"]);
    assert!(history(&of(a, 1), &of("'$model':'\\u006d;1'", 1)).is_empty());
    let relationship = relationship(Some(&of(a, 1)), Some(&of(b, 1)));
    assert!(history_of(&relationship).is_empty(), "relationships have no such event");
}

#[test]
fn a_relationship_tells_its_name_and_ends() {
    let document =
        "{'$relationshipId':'r1','$sourceId':'room1','$targetId':'fan','$relationshipName':'feeds','v':1}";
    let events = render(&relationship(None, Some(document)), EventFormat::DataHistory);
    assert_eq!(&*events[0].event_type, "Konnektr.DigitalTwins.Relationship.Lifecycle");
    assert_eq!(
        data(&events[0]),
        json!({"relationshipId": "r1", "name": "feeds", "action": "Create", "timeStamp": TIME, "serviceId": SOURCE,
               "source": "room1", "target": "fan"})
    );
    assert_eq!(events[1].subject.as_deref(), Some("room1/relationships/r1"));
    assert_eq!(
        data(&events[1]),
        json!({"twinId": "room1", "propertyName": "v", "propertyValue": 1, "propertyType": "integer",
               "operation": "Add", "timeStamp": TIME, "serviceId": SOURCE, "modelId": null, "relationshipId": "r1",
               "relationshipName": "feeds", "relationshipTarget": "fan"})
    );
    assert_eq!(history_of(&relationship(Some(document), None)), ["Delete"]);
}

#[test]
fn what_is_not_there_is_null_and_not_left_out() {
    let twin = render(&twin(None, Some("{'v':1}")), EventFormat::DataHistory);
    let edge = render(&relationship(None, Some("{'v':1}")), EventFormat::DataHistory);
    for (event, names) in [
        (&twin[0], &["modelId"][..]),
        (&twin[1], &["modelId"]),
        (&edge[0], &["name", "target"]),
        (&edge[1], &["modelId", "relationshipName", "relationshipTarget"]),
    ] {
        let data = data(event);
        for name in names {
            assert_eq!(data.get(name), Some(&json!(null)), "{name} of {data}");
        }
        assert!(data.get("sourceTimeStamp").is_none() && data.get("updatedBy").is_none());
    }
}

#[test]
fn models_have_no_history() {
    let (a, b) = (Some("{'v':1}"), Some("{'v':2}"));
    for event in [model(None, a), model(a, b), model(a, None)] {
        assert!(history_of(&event).is_empty());
    }
}

#[test]
fn the_type_is_that_of_the_value() {
    for (value, expected) in [
        ("1.0", "double"),
        ("1e2", "double"),
        ("1E2", "double"),
        ("2147483647", "integer"),
        ("-2147483648", "integer"),
        ("-0", "integer"),
        ("2147483648", "long"),
        ("-2147483649", "long"),
        ("123456789012345678901234567890", "long"),
        ("'NaN'", "string"),
        ("'1.5'", "string"),
        ("false", "boolean"),
        ("{}", "object"),
        ("[1.5]", "array"),
        ("null", "null"),
    ] {
        let events = render(&twin(Some("{}"), Some(&format!("{{'v':{value}}}"))), EventFormat::DataHistory);
        assert_eq!(data(&events[0])["propertyType"], json!(expected), "{value}");
    }
}

#[test]
fn removed_properties_come_first_in_each_object_then_the_new_order() {
    assert_eq!(
        history(
            "{'z':1,'a':1,'c':{'y':1,'x':1,'$metadata':{}},'g':{'q':1,'p':1,'$metadata':{}},'k':1}",
            "{'n':1,'c':{'w':1,'x':2,'$metadata':{}},'k':2,'h':{'s':1,'r':1,'$metadata':{}}}"
        ),
        [
            "Remove z null null",
            "Remove a null null",
            "Remove g.q null null",
            "Remove g.p null null",
            "Add n 1 integer",
            "Remove c.y null null",
            "Add c.w 1 integer",
            "Replace c.x 2 integer",
            "Replace k 2 integer",
            "Add h.s 1 integer",
            "Add h.r 1 integer",
        ]
    );
}

#[test]
fn components_nest_and_plain_objects_do_not() {
    assert_eq!(
        history("{}", "{'c':{'$metadata':{},'d':{'$metadata':{},'v':1},'o':{'p':{'$metadata':{},'v':1}}}}"),
        ["Add c.d.v 1 integer", r#"Add c.o {"p":{"$metadata":{},"v":1}} object"#]
    );
}

#[test]
fn a_property_that_becomes_a_component_is_removed_and_the_other_way_round() {
    let (component, plain) = ("{'c':{'$metadata':{},'v':1,'w':2}}", "{'c':{'v':1}}");
    assert_eq!(
        history(component, plain),
        ["Remove c.v null null", "Remove c.w null null", r#"Add c {"v":1} object"#]
    );
    assert_eq!(history(plain, component), ["Remove c null null", "Add c.v 1 integer", "Add c.w 2 integer"]);
}

#[test]
fn members_that_start_with_a_dollar_are_no_properties_and_names_are_not_escaped() {
    assert_eq!(
        history("{}", "{'$x':1,'\\u0024y':1,'c':{'$z':1,'$metadata':{},'a.b':1},'m~n/o':1}"),
        ["Add c.a.b 1 integer", "Add m~n/o 1 integer"]
    );
}

#[test]
fn what_the_entry_says_is_told_when_anything_in_it_is_new() {
    let of = |entry: &str, v: i32| format!("{{'v':{v},'$metadata':{{{entry}}}}}");
    let (old, stamped) = (
        "'v':{'sourceTime':'s1','lastUpdatedBy':'ann','lastUpdateTime':'1'}",
        "'v':{'sourceTime':'s1','lastUpdatedBy':'ann','lastUpdateTime':'2'}",
    );
    assert_eq!(history(&of(old, 1), &of(stamped, 1)), ["Replace v 1 integer s1 ann"]);
    assert_eq!(history(&of(old, 1), &of(old, 2)), ["Replace v 2 integer"]);
    assert_eq!(history(&of("", 1), &of(old, 2)), ["Replace v 2 integer s1 ann"]);
    assert_eq!(history("{}", &of(old, 1)), ["Add v 1 integer s1 ann"]);
    // an entry that stays behind, stamped, tells of the removal
    let removed = history(&of(old, 1), &format!("{{'$metadata':{{{stamped}}}}}"));
    assert_eq!(removed, ["Remove v null null s1 ann"]);
    // a component's property has its entry in the component's own $metadata
    let component = |entry: &str| format!("{{'c':{},'$metadata':{{}}}}", of(entry, 1));
    assert_eq!(history(&component(old), &component(stamped)), ["Replace c.v 1 integer s1 ann"]);
    assert_eq!(history("{}", &component(old)), ["Add c.v 1 integer s1 ann"]);
}

#[test]
fn without_the_old_document_each_property_is_replaced_and_entries_are_new() {
    let new = "{'v':1,'c':{'w':2,'$metadata':{}},'$metadata':{'$model':'m','v':{'sourceTime':'s1'}}}";
    for event in [twin(None, Some(new)), relationship(None, Some(new))] {
        let event = EventData { operation: Operation::Update, ..event };
        assert_eq!(history_of(&event), ["Replace v 1 integer s1", "Replace c.w 2 integer"]);
    }
}
