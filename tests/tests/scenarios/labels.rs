//! Labels that appear while events flow.

use anyhow::Result;

use crate::{exact::told, plain::plain};

#[test]
fn a_label_made_at_runtime_is_captured_from_its_first_row() -> Result<()> {
    plain(async |plain| {
        // When the first twin of a new label is written, which makes the label
        let created = plain.cypher("CREATE (:Sensor {`$dtId`: 'sensor1', n: 1})").await?;
        // And a moment later it is changed and deleted
        plain.until_followed("Sensor").await?;
        let updated = plain.cypher("MATCH (t:Sensor {`$dtId`: 'sensor1'}) SET t.n = 2").await?;
        let deleted = plain.cypher("MATCH (t:Sensor {`$dtId`: 'sensor1'}) DELETE t").await?;
        // Then all arrives, with what was there before
        let notices = [
            told(&created, "Twin.Create", "sensor1", r#"{"n": 1, "$dtId": "sensor1"}"#),
            told(
                &updated,
                "Twin.Update",
                "sensor1",
                r#"{"modelId":null,"patch":[{"op":"replace","path":"/n","value":2}]}"#,
            ),
            told(&deleted, "Twin.Delete", "sensor1", r#"{"n": 2, "$dtId": "sensor1"}"#),
        ];
        let lifecycle = |time: &str, action: &str| {
            let data = r#"{"twinId":"sensor1","action":"ACTION","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
            told(time, "Twin.Lifecycle", "sensor1", &data.replace("ACTION", action))
        };
        let property = |time: &str, n: u32, operation: &str| {
            let data = format!(
                r#"{{"twinId":"sensor1","propertyName":"n","propertyValue":{n},"propertyType":"integer","operation":"{operation}","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}}"#
            );
            told(time, "Property.Event", "sensor1", &data)
        };
        let history = [
            lifecycle(&created, "Create"),
            property(&created, 1, "Add"),
            property(&updated, 2, "Replace"),
            lifecycle(&deleted, "Delete"),
        ];
        plain.arrives("sensor1", &notices, &history).await
    })
}

#[test]
fn a_relationship_name_used_for_the_first_time_is_captured_from_its_first_row() -> Result<()> {
    plain(async |plain| {
        // Given a twin
        let given = plain.cypher("CREATE (:Twin {`$dtId`: 'lamp1'})").await?;
        // When a relationship with a new name is written, and a moment later deleted
        let created = plain
            .cypher(
                "MATCH (a:Twin {`$dtId`: 'lamp1'}) CREATE (a)-[:lights {`$relationshipId`: 'r1',
                    `$sourceId`: 'lamp1', `$targetId`: 'lamp1', `$relationshipName`: 'lights'}]->(a)",
            )
            .await?;
        plain.until_followed("lights").await?;
        let deleted = plain.cypher("MATCH ()-[r:lights {`$relationshipId`: 'r1'}]->() DELETE r").await?;
        // Then
        let subject = "lamp1/relationships/r1";
        let document = r#"{"$sourceId": "lamp1", "$targetId": "lamp1", "$relationshipId": "r1", "$relationshipName": "lights"}"#;
        let notices = [
            told(&given, "Twin.Create", "lamp1", r#"{"$dtId": "lamp1"}"#),
            told(&created, "Relationship.Create", subject, document),
            told(&deleted, "Relationship.Delete", subject, document),
        ];
        let twin =
            r#"{"twinId":"lamp1","action":"Create","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
        let lifecycle = |time: &str, action: &str| {
            let data = r#"{"relationshipId":"r1","name":"lights","action":"ACTION","timeStamp":"TIME","serviceId":"SOURCE","source":"lamp1","target":"lamp1"}"#;
            told(time, "Relationship.Lifecycle", subject, &data.replace("ACTION", action))
        };
        let history = [
            told(&given, "Twin.Lifecycle", "lamp1", twin),
            lifecycle(&created, "Create"),
            lifecycle(&deleted, "Delete"),
        ];
        plain.arrives("lamp1", &notices, &history).await
    })
}
