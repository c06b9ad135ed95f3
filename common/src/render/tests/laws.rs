//! What holds for all documents: patches applied by another implementation, histories replayed, nothing panics.
//!
//! What "bookkeeping aside" means is written here a second time, on `serde_json`'s values, from the design.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{data, notifications, patch_of, render, twin};
use crate::event::EventData;
use crate::format::{EventFormat, TypeMappings};
use crate::render::Renderer;

type Object = Map<String, Value>;

/// A document or component without bookkeeping.
fn aside(properties: &Object, is_document: bool) -> Object {
    let mut seen = Object::new();
    for (name, value) in properties {
        if is_document && name == "$etag" {
            continue;
        }
        let value = match value.as_object() {
            Some(metadata) if name == "$metadata" => Value::Object(metadata_aside(metadata)),
            Some(component) if component.contains_key("$metadata") => Value::Object(aside(component, false)),
            _ => value.clone(),
        };
        seen.insert(name.clone(), value);
    }
    seen
}

fn metadata_aside(metadata: &Object) -> Object {
    let stamps = ["lastUpdateTime", "lastUpdatedBy"];
    let mut seen = Object::new();
    for (name, value) in metadata {
        match value {
            _ if ["$lastUpdateTime", "$lastUpdatedBy"].contains(&name.as_str()) => {}
            Value::Object(entry) => {
                let mut entry = entry.clone();
                entry.retain(|name, _| !stamps.contains(&name.as_str()));
                if !entry.is_empty() {
                    seen.insert(name.clone(), Value::Object(entry));
                }
            }
            _ if stamps.contains(&name.as_str()) => {}
            other => {
                seen.insert(name.clone(), other.clone());
            }
        }
    }
    seen
}

fn document_aside(document: &Value) -> Value {
    Value::Object(aside(document.as_object().unwrap(), true))
}

/// All properties by name, those of components after their component's.
fn properties(prefix: &str, object: &Object, into: &mut BTreeMap<String, Value>) {
    for (name, value) in object.iter().filter(|(name, _)| !name.starts_with('$')) {
        let name = format!("{prefix}{name}");
        match value.as_object() {
            Some(component) if component.contains_key("$metadata") => {
                properties(&format!("{name}."), component, into);
            }
            _ => {
                into.insert(name, value.clone());
            }
        }
    }
}

/// Few names and values, so that two documents have much in common.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!(2)), Just(json!(1.5)), Just(json!("é\"\\\n"))]
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["p", "q", "a/b", "m~1n", "é\"", "lastUpdateTime", "", "$x"])
        .prop_map(str::to_owned)
}

fn entry() -> impl Strategy<Value = Value> {
    let member = prop::sample::select(vec!["lastUpdateTime", "lastUpdatedBy", "sourceTime", "more"]);
    let object = prop::collection::btree_map(member.prop_map(str::to_owned), scalar(), 0..4);
    prop_oneof![8 => object.prop_map(|entry| json!(entry)), 1 => scalar()]
}

fn metadata() -> impl Strategy<Value = Value> {
    let own = prop::sample::select(vec!["$model", "$lastUpdateTime", "$lastUpdatedBy", "lastUpdatedBy"]);
    let own = prop::collection::btree_map(own.prop_map(str::to_owned), scalar(), 0..4);
    let entries = prop::collection::btree_map(name(), entry(), 0..4);
    let object = (own, entries)
        .prop_map(|(own, entries)| json!(own.into_iter().chain(entries).collect::<BTreeMap<_, _>>()));
    prop_oneof![12 => object, 1 => scalar()]
}

fn with_metadata(members: impl Strategy<Value = BTreeMap<String, Value>>) -> impl Strategy<Value = Value> {
    (members, prop::option::weighted(0.7, metadata())).prop_map(|(mut members, metadata)| {
        members.extend(metadata.map(|metadata| ("$metadata".to_owned(), metadata)));
        json!(members)
    })
}

fn document() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(3, 24, 4, |inner| {
        let members = prop::collection::btree_map(name(), inner.clone(), 0..4);
        prop_oneof![prop::collection::vec(inner, 0..3).prop_map(Value::Array), with_metadata(members),]
    });
    let members = prop::collection::btree_map(name(), value, 0..6);
    (with_metadata(members), prop::option::of(scalar())).prop_map(|(mut document, etag)| {
        if let (Some(etag), Some(members)) = (etag, document.as_object_mut()) {
            members.insert("$etag".to_owned(), etag);
        }
        document
    })
}

/// A document and what may have become of it: another document, of which some members are taken over.
fn change() -> impl Strategy<Value = (Value, Value)> {
    (document(), document(), any::<u32>()).prop_map(|(old, mut new, kept)| {
        keep(&old, &mut new, kept);
        (old, new)
    })
}

fn keep(old: &Value, new: &mut Value, kept: u32) {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object_mut()) else { return };
    for (index, (name, value)) in old.iter().enumerate() {
        match kept.rotate_right(u32::try_from(index).unwrap_or(0) * 3) % 8 {
            0..3 => {
                new.insert(name.clone(), value.clone());
            }
            3..6 => {
                if let Some(other) = new.get_mut(name) {
                    keep(value, other, kept.rotate_right(11));
                }
            }
            _ => {}
        }
    }
}

fn update(old: &Value, new: &Value) -> EventData {
    EventData {
        old: Some(old.to_string().into()),
        new: Some(new.to_string().into()),
        ..twin(Some(""), Some(""))
    }
}

fn patched(document: &Value, patch: &Value) -> Value {
    let mut document = document.clone();
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).unwrap();
    json_patch::patch(&mut document, &patch).unwrap_or_else(|error| panic!("{error}: {patch} on {document}"));
    document
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_patch_makes_the_new_document_of_the_old_one((old, new) in change()) {
        let patch = patch_of(&update(&old, &new));
        prop_assert_eq!(document_aside(&patched(&old, &patch)), document_aside(&new), "{}", patch);
        // a copy that was built from a create and patches has no bookkeeping
        prop_assert_eq!(patched(&document_aside(&old), &patch), document_aside(&new), "{}", patch);
    }

    #[test]
    fn the_same_document_written_again_is_no_event(document in document()) {
        let event = update(&document, &document);
        prop_assert!(notifications(&event).is_empty());
        prop_assert!(render(&event, EventFormat::DataHistory).is_empty());
    }

    #[test]
    fn a_history_replayed_makes_the_new_properties_of_the_old_ones((old, new) in change()) {
        let (mut replayed, mut expected) = (BTreeMap::new(), BTreeMap::new());
        properties("", old.as_object().unwrap(), &mut replayed);
        properties("", new.as_object().unwrap(), &mut expected);
        let event = update(&old, &new);
        for event in render(&event, EventFormat::DataHistory) {
            let mut data = data(&event);
            let Some(name) = data["propertyName"].as_str().map(str::to_owned) else { continue };
            let value = data["propertyValue"].take();
            let (operation, before) = (data["operation"].as_str(), replayed.contains_key(&name));
            prop_assert_eq!(operation != Some("Add"), before, "{}", data);
            if operation == Some("Remove") { replayed.remove(&name) } else { replayed.insert(name, value) };
        }
        prop_assert_eq!(replayed, expected);
    }

    #[test]
    fn a_history_tells_of_properties_in_the_order_of_the_patch((old, new) in change()) {
        // given: the paths of the patch that lie in properties, and the names of the history
        let event = update(&old, &new);
        let history = render(&event, EventFormat::DataHistory);
        let first_step = |path: &str| path.split('/').nth(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
        let mut in_patch: Vec<_> = patch_of(&event).as_array().unwrap().iter()
            .filter_map(|operation| first_step(operation["path"].as_str()?))
            .filter(|step| !step.starts_with('$'))
            .collect();
        in_patch.dedup();
        let mut in_history: Vec<_> = history.iter()
            .filter_map(|event| data(event)["propertyName"].as_str().map(|name| name.split('.').next().unwrap_or("").to_owned()))
            .collect();
        in_history.dedup();
        // then: the patch tells of each of them too, in the same order
        let mut rest = in_patch.iter();
        prop_assert!(in_history.iter().all(|name| rest.any(|step| step == name)), "{:?} {:?}", in_history, in_patch);
    }

    #[test]
    fn no_documents_make_it_panic(old in "\\{[\"$a-c\\\\:,0-9eE.{}\\[\\]u-]{0,12}\\}", new in document()) {
        let event = EventData { old: Some(old.into()), ..update(&new, &new) };
        for format in [EventFormat::EventNotification, EventFormat::DataHistory] {
            let renderer = Renderer::new("{graph}", "");
            let _ = renderer.render(&event, format, &TypeMappings::default());
        }
    }
}
