//! The documents of twins, relationships and models, as Azure Digital Twins shapes them. Pure.

use serde_json::{Map, Value, json};

/// A JSON object.
pub type Object = Map<String, Value>;

/// A twin that is to be written.
#[derive(Clone, Debug)]
pub struct Twin {
    /// `$dtId`
    pub id: String,
    /// `$metadata.$model`: a DTMI.
    pub model: String,
    /// Its properties; a component is an object with a `$metadata` of its own.
    pub properties: Object,
}

/// A relationship that is to be written.
#[derive(Clone, Debug)]
pub struct Relationship {
    /// `$relationshipId`
    pub id: String,
    /// `$relationshipName`: the label of the edge.
    pub name: String,
    /// `$sourceId`
    pub source: String,
    /// `$targetId`
    pub target: String,
    /// Its properties.
    pub properties: Object,
}

impl Twin {
    /// A twin with these properties; `properties` must be a JSON object.
    #[must_use]
    pub fn new(id: &str, model: &str, properties: Value) -> Self {
        Self { id: id.to_owned(), model: model.to_owned(), properties: object(properties) }
    }

    /// Its document when it is written at `now`.
    #[must_use]
    pub fn document(&self, now: jiff::Timestamp) -> Object {
        let mut document = object(json!({
            "$dtId": self.id,
            "$metadata": {"$model": self.model},
        }));
        set(&mut document, &self.properties, now);
        document
    }
}

impl Relationship {
    /// A relationship with these properties; `properties` must be a JSON object.
    #[must_use]
    pub fn new(id: &str, name: &str, (source, target): (&str, &str), properties: Value) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            properties: object(properties),
        }
    }

    /// Its document.
    #[must_use]
    pub fn document(&self) -> Object {
        let mut document = object(json!({
            "$relationshipId": self.id,
            "$sourceId": self.source,
            "$targetId": self.target,
            "$relationshipName": self.name,
            "$etag": etag(),
        }));
        document.extend(self.properties.clone());
        document
    }
}

/// Sets properties of a twin's document with all the bookkeeping of a write at `now`.
pub fn set(document: &mut Object, properties: &Object, now: jiff::Timestamp) {
    document.insert("$etag".to_owned(), etag());
    let mut metadata = document.remove("$metadata").map(object).unwrap_or_default();
    metadata.insert("$lastUpdateTime".to_owned(), json!(now));
    for (name, value) in properties {
        document.insert(name.clone(), value.clone());
        metadata.insert(name.clone(), json!({"lastUpdateTime": now}));
    }
    document.insert("$metadata".to_owned(), Value::Object(metadata));
}

/// A new entity tag, as Azure Digital Twins writes them.
#[must_use]
pub fn etag() -> Value {
    format!("W/\"{}\"", uuid::Uuid::new_v4()).into()
}

/// The members of an object; anything else has none.
#[must_use]
pub fn object(value: Value) -> Object {
    match value {
        Value::Object(members) => members,
        _ => Object::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_changes_the_property_its_metadata_and_the_etag() -> Result<(), jiff::Error> {
        // Given a twin's document
        let twin = Twin::new("room1", "dtmi:example:Room;1", json!({"t": 21.5, "h": 40}));
        let before = twin.document("2026-01-01T11:00:00Z".parse()?);
        // When one property is written
        let mut after = before.clone();
        set(&mut after, &object(json!({"t": 22.0})), "2026-01-01T12:00:00Z".parse()?);
        // Then it and its bookkeeping have changed
        assert_ne!(before.get("$etag"), after.remove("$etag").as_ref());
        let expected = json!({
            "$dtId": "room1",
            "$metadata": {
                "$model": "dtmi:example:Room;1",
                "$lastUpdateTime": "2026-01-01T12:00:00Z",
                "t": {"lastUpdateTime": "2026-01-01T12:00:00Z"},
                "h": {"lastUpdateTime": "2026-01-01T11:00:00Z"},
            },
            "t": 22.0,
            "h": 40,
        });
        assert_eq!(Value::Object(after), expected);
        Ok(())
    }
}
