//! Same-value writes: a stamp tells that a property was written with the value it had.

use serde_json::json;

use super::{history, patch, twin};
use super::{history_of, patch_of};

#[test]
fn a_new_or_changed_stamp_replaces_the_property_at_its_place() {
    let old = "{'a':1,'b':null,'c':{'x':1},'d':4,'$metadata':{'a':{'lastUpdateTime':'1'},'d':{'lastUpdateTime':'1'}}}";
    let new = "{'a':1,'b':null,'c':{'x':1},'d':5,'$metadata':{'a':{'lastUpdateTime':'2'},\
               'b':{'lastUpdateTime':'2'},'c':{'lastUpdateTime':'2'},'d':{'lastUpdateTime':'2'}}}";
    assert_eq!(
        patch(old, new),
        json!([
            {"op": "replace", "path": "/a", "value": 1},
            {"op": "replace", "path": "/b", "value": null},
            {"op": "replace", "path": "/c", "value": {"x": 1}},
            {"op": "replace", "path": "/d", "value": 5},
        ])
    );
    assert_eq!(
        history(old, new),
        ["Replace a 1 integer", "Replace b null null", r#"Replace c {"x":1} object"#, "Replace d 5 integer"]
    );
}

#[test]
fn a_stamp_that_is_gone_or_the_same_tells_nothing() {
    let old = "{'a':1,'b':1,'c':1,'$metadata':{'a':{'lastUpdateTime':'1'},'b':{'lastUpdateTime':'1'},'c':{'lastUpdateTime':'1'}}}";
    let new = "{'a':1,'b':1,'c':1,'$metadata':{'a':{'lastUpdateTime':'\\u0031'},'b':{},'c':'1'}}";
    assert_eq!(patch(old, new), json!([{"op": "add", "path": "/$metadata/c", "value": "1"}]));
    assert!(history(old, new).is_empty());
}

#[test]
fn a_change_inside_the_property_is_told_as_such_alone() {
    let old = "{'o':{'x':1,'y':1},'$metadata':{'o':{'lastUpdateTime':'1'}}}";
    let new = "{'o':{'x':2,'y':1},'$metadata':{'o':{'lastUpdateTime':'2'}}}";
    assert_eq!(patch(old, new), json!([{"op": "replace", "path": "/o/x", "value": 2}]));
    assert_eq!(history(old, new), [r#"Replace o {"x":2,"y":1} object"#]);
}

#[test]
fn a_stamp_of_what_is_no_property_of_the_new_document_tells_nothing() {
    let old = "{'$dtId':'room1','gone':1,'$metadata':{}}";
    let new = "{'$dtId':'room1','$metadata':{'gone':{'lastUpdateTime':'1'},'never':{'lastUpdateTime':'1'},\
               '$dtId':{'lastUpdateTime':'1'},'$metadata':{'lastUpdateTime':'1'}}}";
    assert_eq!(patch(old, new), json!([{"op": "remove", "path": "/gone"}]));
    assert_eq!(history(old, new), ["Remove gone null null"]);
}

#[test]
fn a_components_properties_are_stamped_in_its_own_metadata() {
    let document = |stamp: &str| {
        format!(
            "{{'c':{{'v':1,'w':2,'$metadata':{{'v':{{'lastUpdateTime':'{stamp}'}}}}}},'$metadata':{{'c':{{'lastUpdateTime':'{stamp}'}}}}}}"
        )
    };
    let (old, new) = (document("1"), document("2"));
    assert_eq!(patch(&old, &new), json!([{"op": "replace", "path": "/c/v", "value": 1}]));
    assert_eq!(history(&old, &new), ["Replace c.v 1 integer"]);
}

#[test]
fn a_component_that_is_stamped_as_a_whole_is_replaced_as_a_whole() {
    let document = |stamp: &str| {
        format!(
            "{{'c':{{'v':1,'d':{{'w':2,'$metadata':{{'$lastUpdateTime':'{stamp}'}}}},'$metadata':{{'lastUpdateTime':'{stamp}'}}}},'$metadata':{{'c':{{'lastUpdateTime':'{stamp}'}}}}}}"
        )
    };
    let (old, new) = (document("1"), document("2"));
    let value = json!({"v": 1, "d": {"w": 2, "$metadata": {}}, "$metadata": {}});
    assert_eq!(patch(&old, &new), json!([{"op": "replace", "path": "/c", "value": value}]));
    assert_eq!(history(&old, &new), ["Replace c.v 1 integer", "Replace c.d.w 2 integer"]);
}

#[test]
fn a_component_with_an_operation_inside_is_not_replaced_as_a_whole() {
    // given: in the component only its model changes, which is no property
    let document = |stamp: &str| {
        format!(
            "{{'c':{{'v':1,'$metadata':{{'$model':'m;{stamp}'}}}},'$metadata':{{'c':{{'lastUpdateTime':'{stamp}'}}}}}}"
        )
    };
    let (old, new) = (document("1"), document("2"));
    assert_eq!(patch(&old, &new), json!([{"op": "replace", "path": "/c/$metadata/$model", "value": "m;2"}]));
    assert!(history(&old, &new).is_empty());
}

#[test]
fn a_relationship_is_stamped_like_a_twin() {
    let old = "{'$sourceId':'room1','v':1,'$metadata':{'v':{'lastUpdateTime':'1'}}}";
    let new = "{'$sourceId':'room1','v':1.0,'$metadata':{'v':{'lastUpdateTime':'2'}}}";
    let event = super::relationship(Some(old), Some(new));
    assert_eq!(patch_of(&event), json!([{"op": "replace", "path": "/v", "value": 1.0}]));
    assert_eq!(history_of(&event), ["Replace v 1.0 double"]);
    assert_eq!(patch_of(&twin(Some(old), Some(new))), patch_of(&event));
}
