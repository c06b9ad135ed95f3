//! Relationships through real Cypher, each event byte for byte at Kafka, MQTT and Kusto.

use anyhow::Result;

use crate::{
    exact::{Told, told},
    plain::plain,
};

/// The twins of a scenario: a create each, with nothing but the id.
fn twin(time: &str, id: &str) -> (Told, Told) {
    let data = r#"{"twinId":"ID","action":"Create","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
    let notice = told(time, "Twin.Create", id, &format!(r#"{{"$dtId": "{id}"}}"#));
    (notice, told(time, "Twin.Lifecycle", id, &data.replace("ID", id)))
}

fn lifecycle(time: &str, action: &str, (source, id, target): (&str, &str, &str)) -> Told {
    let data = format!(
        r#"{{"relationshipId":"{id}","name":"feeds","action":"{action}","timeStamp":"TIME","serviceId":"SOURCE","source":"{source}","target":"{target}"}}"#
    );
    told(time, "Relationship.Lifecycle", &format!("{source}/relationships/{id}"), &data)
}

#[test]
fn a_relationship_is_created_changed_and_deleted() -> Result<()> {
    plain(async |plain| {
        // Given two twins
        let given = plain.cypher("CREATE (:Twin {`$dtId`: 'tank1'}), (:Twin {`$dtId`: 'tank2'})").await?;
        // When a relationship is created, changed and deleted
        let created = plain
            .cypher(
                "MATCH (a:Twin {`$dtId`: 'tank1'}), (b:Twin {`$dtId`: 'tank2'}) CREATE (a)-[:feeds {
                    `$relationshipId`: 'pipe1', `$sourceId`: 'tank1', `$targetId`: 'tank2',
                    `$relationshipName`: 'feeds', `$etag`: 'W/\"1\"', open: true}]->(b)",
            )
            .await?;
        let updated = plain
            .cypher(
                "MATCH ()-[r:feeds {`$relationshipId`: 'pipe1'}]->() SET r = {
                    `$relationshipId`: 'pipe1', `$sourceId`: 'tank1', `$targetId`: 'tank2',
                    `$relationshipName`: 'feeds', `$etag`: 'W/\"2\"', open: false}",
            )
            .await?;
        let deleted = plain.cypher("MATCH ()-[r:feeds {`$relationshipId`: 'pipe1'}]->() DELETE r").await?;
        // Then all that is of the source's key, and nothing is of the target's
        let subject = "tank1/relationships/pipe1";
        let document = r#"{"open": true, "$etag": "W/\"1\"", "$sourceId": "tank1", "$targetId": "tank2", "$relationshipId": "pipe1", "$relationshipName": "feeds"}"#;
        let last = r#"{"open": false, "$etag": "W/\"2\"", "$sourceId": "tank1", "$targetId": "tank2", "$relationshipId": "pipe1", "$relationshipName": "feeds"}"#;
        let patch = r#"{"modelId":null,"patch":[{"op":"replace","path":"/open","value":false}]}"#;
        let (twin_notice, twin_history) = twin(&given, "tank1");
        let notices = [
            twin_notice,
            told(&created, "Relationship.Create", subject, document),
            told(&updated, "Relationship.Update", subject, patch),
            told(&deleted, "Relationship.Delete", subject, last),
        ];
        let property = |time: &str, value: &str, operation: &str| {
            let data = format!(
                r#"{{"twinId":"tank1","propertyName":"open","propertyValue":{value},"propertyType":"boolean","operation":"{operation}","timeStamp":"TIME","serviceId":"SOURCE","modelId":null,"relationshipId":"pipe1","relationshipName":"feeds","relationshipTarget":"tank2"}}"#
            );
            told(time, "Property.Event", subject, &data)
        };
        let pipe = ("tank1", "pipe1", "tank2");
        let history = [
            twin_history,
            lifecycle(&created, "Create", pipe),
            property(&created, "true", "Add"),
            property(&updated, "false", "Replace"),
            lifecycle(&deleted, "Delete", pipe),
        ];
        plain.arrives("tank1", &notices, &history).await?;
        let (target_notice, target_history) = twin(&given, "tank2");
        plain.arrives("tank2", &[target_notice], &[target_history]).await
    })
}

#[test]
fn a_twin_deleted_with_its_relationships_gives_a_delete_of_each() -> Result<()> {
    plain(async |plain| {
        // Given a twin with a relationship from it and one to it
        let given = plain
            .cypher(
                "CREATE (a:Twin {`$dtId`: 'hub1'}), (b:Twin {`$dtId`: 'rim1'}),
                    (a)-[:feeds {`$relationshipId`: 'out', `$sourceId`: 'hub1', `$targetId`: 'rim1', `$relationshipName`: 'feeds'}]->(b),
                    (b)-[:feeds {`$relationshipId`: 'back', `$sourceId`: 'rim1', `$targetId`: 'hub1', `$relationshipName`: 'feeds'}]->(a)",
            )
            .await?;
        // When it is deleted with them
        let deleted = plain.cypher("MATCH (t:Twin {`$dtId`: 'hub1'}) DETACH DELETE t").await?;
        // Then the twin's delete comes first, then that of its relationship
        let out = r#"{"$sourceId": "hub1", "$targetId": "rim1", "$relationshipId": "out", "$relationshipName": "feeds"}"#;
        let back = r#"{"$sourceId": "rim1", "$targetId": "hub1", "$relationshipId": "back", "$relationshipName": "feeds"}"#;
        let (created, created_history) = twin(&given, "hub1");
        let notices = [
            created,
            told(&given, "Relationship.Create", "hub1/relationships/out", out),
            told(&deleted, "Twin.Delete", "hub1", r#"{"$dtId": "hub1"}"#),
            told(&deleted, "Relationship.Delete", "hub1/relationships/out", out),
        ];
        let gone =
            r#"{"twinId":"hub1","action":"Delete","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
        let edge = ("hub1", "out", "rim1");
        let history = [
            created_history,
            lifecycle(&given, "Create", edge),
            told(&deleted, "Twin.Lifecycle", "hub1", gone),
            lifecycle(&deleted, "Delete", edge),
        ];
        plain.arrives("hub1", &notices, &history).await?;
        // And that of the other is of the other twin's key
        let (created, created_history) = twin(&given, "rim1");
        let subject = "rim1/relationships/back";
        let notices = [
            created,
            told(&given, "Relationship.Create", subject, back),
            told(&deleted, "Relationship.Delete", subject, back),
        ];
        let edge = ("rim1", "back", "hub1");
        let history =
            [created_history, lifecycle(&given, "Create", edge), lifecycle(&deleted, "Delete", edge)];
        plain.arrives("rim1", &notices, &history).await
    })
}
