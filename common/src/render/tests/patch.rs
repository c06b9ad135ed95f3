//! The patch: which operations, in which order, at which paths.

use serde_json::json;

use super::patch;

#[test]
fn removes_come_first_in_the_old_order_then_the_rest_in_the_new_order() {
    assert_eq!(
        patch("{'b':1,'z':1,'k':1,'a':1}", "{'n':1,'k':2,'m':1,'a':1}"),
        json!([
            {"op": "remove", "path": "/b"},
            {"op": "remove", "path": "/z"},
            {"op": "add", "path": "/n", "value": 1},
            {"op": "replace", "path": "/k", "value": 2},
            {"op": "add", "path": "/m", "value": 1},
        ])
    );
}

#[test]
fn removes_come_first_in_each_object_not_in_the_whole_patch() {
    assert_eq!(
        patch("{'v':1,'o':{'a':1,'b':1},'w':1}", "{'v':2,'o':{'c':1,'b':2}}"),
        json!([
            {"op": "remove", "path": "/w"},
            {"op": "replace", "path": "/v", "value": 2},
            {"op": "remove", "path": "/o/a"},
            {"op": "add", "path": "/o/c", "value": 1},
            {"op": "replace", "path": "/o/b", "value": 2},
        ])
    );
}

#[test]
fn arrays_scalars_and_other_types_are_replaced_whole() {
    assert_eq!(
        patch(
            "{'a':[1,{'x':1}],'b':{'x':1},'c':1,'d':null,'e':[1]}",
            "{'a':[1,{'x':2}],'b':[1],'c':{'x':1},'d':false,'e':[1.0]}"
        ),
        json!([
            {"op": "replace", "path": "/a", "value": [1, {"x": 2}]},
            {"op": "replace", "path": "/b", "value": [1]},
            {"op": "replace", "path": "/c", "value": {"x": 1}},
            {"op": "replace", "path": "/d", "value": false},
        ])
    );
}

#[test]
fn numbers_are_compared_exactly_by_value() {
    assert_eq!(patch("{'a':150,'b':1e2,'c':{'x':-0}}", "{'a':150.0,'b':100,'c':{'x':0}}"), json!([]));
    assert_eq!(
        patch("{'a':9007199254740992}", "{'a':9007199254740993}"),
        json!([{"op": "replace", "path": "/a", "value": 9_007_199_254_740_993_u64}])
    );
}

#[test]
fn names_in_paths_are_escaped_as_json_pointers_do() {
    assert_eq!(
        patch(
            "{'a/b':{'m~n':1},'':1}",
            r"{'a\/b':{'m\u007en':2},'':2,'q\'~\n':1,'é\u00e9':1}".replace(r"\'", "\\\"").as_str()
        ),
        json!([
            {"op": "replace", "path": "/a~1b/m~0n", "value": 2},
            {"op": "replace", "path": "/", "value": 2},
            {"op": "add", "path": "/q\"~0\n", "value": 1},
            {"op": "add", "path": "/éé", "value": 1},
        ])
    );
}

#[test]
fn the_model_and_source_times_stay() {
    assert_eq!(
        patch(
            "{'v':1,'$metadata':{'$model':'m;1','v':{'sourceTime':'1','lastUpdateTime':'1','lastUpdatedBy':'a'}}}",
            "{'v':1,'$metadata':{'$model':'m;2','v':{'sourceTime':'2','lastUpdateTime':'1','lastUpdatedBy':'b'}}}"
        ),
        json!([
            {"op": "replace", "path": "/$metadata/$model", "value": "m;2"},
            {"op": "replace", "path": "/$metadata/v/sourceTime", "value": "2"},
        ])
    );
}

#[test]
fn an_entry_with_nothing_but_bookkeeping_is_as_absent() {
    // given: entries that come, go and change, with stamps alone or none
    assert_eq!(
        patch(
            "{'$metadata':{'v':{'lastUpdateTime':'1'},'w':{}}}",
            "{'$metadata':{'x':{'lastUpdatedBy':'a'},'y':{}}}"
        ),
        json!([])
    );
    // a first write is the add of the property alone
    assert_eq!(
        patch("{'$metadata':{}}", "{'v':1,'$metadata':{'v':{'lastUpdateTime':'1','lastUpdatedBy':'a'}}}"),
        json!([{"op": "add", "path": "/v", "value": 1}])
    );
    // a first sourceTime adds the entry, although there was one
    assert_eq!(
        patch(
            "{'v':1,'$metadata':{'v':{'lastUpdateTime':'1'}}}",
            "{'v':2,'$metadata':{'v':{'lastUpdateTime':'2','sourceTime':'s','lastUpdatedBy':'a'}}}"
        ),
        json!([
            {"op": "replace", "path": "/v", "value": 2},
            {"op": "add", "path": "/$metadata/v", "value": {"sourceTime": "s"}},
        ])
    );
    // the last sourceTime removes it, although one stays
    assert_eq!(
        patch(
            "{'$metadata':{'v':{'lastUpdateTime':'1','sourceTime':'s'}}}",
            "{'$metadata':{'v':{'lastUpdateTime':'2'}}}"
        ),
        json!([{"op": "remove", "path": "/$metadata/v"}])
    );
}

#[test]
fn stamps_directly_in_metadata_are_bookkeeping_unless_they_are_entries() {
    assert_eq!(
        patch(
            "{'$metadata':{'lastUpdateTime':'1','lastUpdatedBy':'a'}}",
            "{'$metadata':{'lastUpdateTime':'2','lastUpdatedBy':['b']}}"
        ),
        json!([])
    );
    // a property may be called lastUpdateTime
    assert_eq!(
        patch(
            "{'lastUpdateTime':1,'$metadata':{'lastUpdateTime':{'lastUpdateTime':'1','sourceTime':'1'}}}",
            "{'lastUpdateTime':1,'$metadata':{'lastUpdateTime':{'lastUpdateTime':'2','sourceTime':'2'}}}"
        ),
        json!([
            {"op": "replace", "path": "/lastUpdateTime", "value": 1},
            {"op": "replace", "path": "/$metadata/lastUpdateTime/sourceTime", "value": "2"},
        ])
    );
    assert_eq!(
        patch(
            "{'$metadata':{'lastUpdateTime':'1'}}",
            "{'$metadata':{'lastUpdateTime':{'lastUpdateTime':'2','sourceTime':'2'}}}"
        ),
        json!([{"op": "add", "path": "/$metadata/lastUpdateTime", "value": {"sourceTime": "2"}}])
    );
}

#[test]
fn what_is_bookkeeping_in_metadata_is_data_elsewhere() {
    assert_eq!(
        patch(
            "{'lastUpdateTime':1,'o':{'$etag':'1','lastUpdateTime':1},'c':{'$etag':'1','$metadata':{}}}",
            "{'lastUpdateTime':2,'o':{'$etag':'2','lastUpdateTime':2},'c':{'$etag':'2','$metadata':{}}}"
        ),
        json!([
            {"op": "replace", "path": "/lastUpdateTime", "value": 2},
            {"op": "replace", "path": "/o/$etag", "value": "2"},
            {"op": "replace", "path": "/o/lastUpdateTime", "value": 2},
            {"op": "replace", "path": "/c/$etag", "value": "2"},
        ])
    );
}

#[test]
fn components_nest_and_their_bookkeeping_is_left_out() {
    let document = |stamp: &str, v: &str| {
        format!(
            "{{'c':{{'d':{{'v':{v},'$metadata':{{'$lastUpdateTime':'{stamp}','$model':'m',\
             'x':{{'lastUpdateTime':'{stamp}'}}}}}},'$metadata':{{'lastUpdateTime':'{stamp}'}}}}}}"
        )
    };
    assert_eq!(patch(&document("1", "1"), &document("2", "1")), json!([]));
    assert_eq!(
        patch(&document("1", "1"), &document("2", "2")),
        json!([{"op": "replace", "path": "/c/d/v", "value": 2}])
    );
    // a component that is added, or takes a scalar's place, comes without bookkeeping, its $metadata stays
    let value = json!({"d": {"v": 1, "$metadata": {"$model": "m"}}, "$metadata": {}});
    assert_eq!(patch("{}", &document("1", "1")), json!([{"op": "add", "path": "/c", "value": value}]));
    assert_eq!(
        patch("{'c':1}", &document("1", "1")),
        json!([{"op": "replace", "path": "/c", "value": value}])
    );
    assert_eq!(patch(&document("1", "1"), "{}"), json!([{"op": "remove", "path": "/c"}]));
}

#[test]
fn an_object_with_metadata_inside_a_plain_object_or_an_array_is_plain_data() {
    let document = |stamp: &str| {
        let component = format!("{{'v':1,'$metadata':{{'$lastUpdateTime':'{stamp}'}}}}");
        format!("{{'o':{{'c':{component}}},'a':[{component}]}}")
    };
    assert_eq!(
        patch(&document("1"), &document("2")),
        json!([
            {"op": "replace", "path": "/o/c/$metadata/$lastUpdateTime", "value": "2"},
            {"op": "replace", "path": "/a", "value": [{"v": 1, "$metadata": {"$lastUpdateTime": "2"}}]},
        ])
    );
}

#[test]
fn an_object_becomes_a_component_member_by_member() {
    assert_eq!(
        patch("{'c':{'v':1}}", "{'c':{'v':1,'$metadata':{'$lastUpdateTime':'1'}}}"),
        json!([{"op": "add", "path": "/c/$metadata", "value": {}}])
    );
    assert_eq!(
        patch("{'c':{'v':1,'$metadata':{'$lastUpdateTime':'1'}}}", "{'c':{'v':2}}"),
        json!([{"op": "remove", "path": "/c/$metadata"}, {"op": "replace", "path": "/c/v", "value": 2}])
    );
}

#[test]
fn what_was_bookkeeping_and_now_is_data_is_replaced_whole() {
    // given: d is a component while c is one; a copy that was built from patches lacks its stamp
    let d = "{'$metadata':{'$lastUpdateTime':'1'}}";
    assert_eq!(
        patch(&format!("{{'c':{{'$metadata':{{}},'d':{d}}}}}"), &format!("{{'c':{{'d':{d}}}}}")),
        json!([
            {"op": "remove", "path": "/c/$metadata"},
            {"op": "replace", "path": "/c/d", "value": {"$metadata": {"$lastUpdateTime": "1"}}},
        ])
    );
}
