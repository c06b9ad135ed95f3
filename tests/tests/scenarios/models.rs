//! Models through real Cypher: notifications, and nothing in the history.

use anyhow::Result;

use crate::{exact::told, plain::plain};

#[test]
fn a_model_is_created_changed_and_deleted() -> Result<()> {
    plain(async |plain| {
        let id = "dtmi:example:Valve;1";
        // When a model is written as the twins' API does, decommissioned and deleted
        let created = plain
            .cypher(
                "MERGE (m:Model {id: 'dtmi:example:Valve;1'}) SET m = {id: 'dtmi:example:Valve;1', bases: [],
                    model: {`@id`: 'dtmi:example:Valve;1', `@type`: 'Interface'}, decommissioned: false,
                    uploadTime: '2026-01-01T11:00:00Z'}",
            )
            .await?;
        let updated =
            plain.cypher("MATCH (m:Model {id: 'dtmi:example:Valve;1'}) SET m.decommissioned = true").await?;
        let deleted = plain.cypher("MATCH (m:Model {id: 'dtmi:example:Valve;1'}) DELETE m").await?;
        // Then
        let document = r#"{"id": "dtmi:example:Valve;1", "bases": [], "model": {"@id": "dtmi:example:Valve;1", "@type": "Interface"}, "uploadTime": "2026-01-01T11:00:00Z", "decommissioned": STATE}"#;
        let patch = r#"{"modelId":"dtmi:example:Valve;1","patch":[{"op":"replace","path":"/decommissioned","value":true}]}"#;
        let notices = [
            told(&created, "Model.Create", id, &document.replace("STATE", "false")),
            told(&updated, "Model.Update", id, patch),
            told(&deleted, "Model.Delete", id, &document.replace("STATE", "true")),
        ];
        plain.arrives(id, &notices, &[]).await
    })
}
