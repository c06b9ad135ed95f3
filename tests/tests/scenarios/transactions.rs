//! What a transaction does to many twins, or does not do at all.

use anyhow::Result;

use crate::{
    exact::{Told, told},
    plain::plain,
};

/// A twin without model whose one property is `n`.
fn created(time: &str, id: &str, n: u32) -> (Told, [Told; 2]) {
    let lifecycle = format!(
        r#"{{"twinId":"{id}","action":"Create","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}}"#
    );
    let property = format!(
        r#"{{"twinId":"{id}","propertyName":"n","propertyValue":{n},"propertyType":"integer","operation":"Add","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}}"#
    );
    let notice = told(time, "Twin.Create", id, &format!(r#"{{"n": {n}, "$dtId": "{id}"}}"#));
    (notice, [told(time, "Twin.Lifecycle", id, &lifecycle), told(time, "Property.Event", id, &property)])
}

#[test]
fn one_transaction_over_many_twins_gives_one_event_of_each_at_its_commit_time() -> Result<()> {
    plain(async |plain| {
        // When fifty twins are created in one statement
        let time = plain
            .cypher("UNWIND range(10, 59) AS n CREATE (:Twin {`$dtId`: 'crowd-' + toString(n), n: n})")
            .await?;
        // Then each has its event, all at one time
        let arrivals = (10..60).map(async |n| {
            let id = format!("crowd-{n}");
            let (notice, history) = created(&time, &id, n);
            plain.arrives(&id, &[notice], &history).await
        });
        futures_util::future::try_join_all(arrivals).await?;
        Ok(())
    })
}

#[test]
fn a_transaction_has_one_net_effect_per_twin() -> Result<()> {
    plain(async |plain| {
        // Given a twin
        let given = plain.cypher("CREATE (:Twin {`$dtId`: 'net1', n: 1})").await?;
        // When one transaction changes it twice, and creates and deletes another between
        let changed = plain
            .commit(async |change| {
                change.cypher("MATCH (t:Twin {`$dtId`: 'net1'}) SET t.n = 2").await?;
                change.cypher("CREATE (:Twin {`$dtId`: 'net2', n: 1})").await?;
                change.cypher("MATCH (t:Twin {`$dtId`: 'net2'}) DELETE t").await?;
                change.cypher("MATCH (t:Twin {`$dtId`: 'net1'}) SET t.n = 3").await?;
                Ok(())
            })
            .await?;
        // Then the twin has one update, and of the other there is nothing
        let (notice, [lifecycle, property]) = created(&given, "net1", 1);
        let patch = r#"{"modelId":null,"patch":[{"op":"replace","path":"/n","value":3}]}"#;
        let replaced = r#"{"twinId":"net1","propertyName":"n","propertyValue":3,"propertyType":"integer","operation":"Replace","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
        let notices = [notice, told(&changed, "Twin.Update", "net1", patch)];
        let history = [lifecycle, property, told(&changed, "Property.Event", "net1", replaced)];
        plain.arrives("net1", &notices, &history).await?;
        plain.arrives("net2", &[], &[]).await
    })
}

#[test]
fn a_twin_written_as_stub_and_document_is_one_create() -> Result<()> {
    plain(async |plain| {
        // When two twins are merged and set in one statement: stub, stub, document, document
        let time = plain
            .cypher(
                "MERGE (a:Twin {`$dtId`: 'stub1'}) MERGE (b:Twin {`$dtId`: 'stub2'})
                 SET a = {`$dtId`: 'stub1', n: 1} SET b = {`$dtId`: 'stub2', n: 2}",
            )
            .await?;
        // Then each is created once, whole
        for (id, n) in [("stub1", 1), ("stub2", 2)] {
            let (notice, history) = created(&time, id, n);
            plain.arrives(id, &[notice], &history).await?;
        }
        Ok(())
    })
}

#[test]
fn a_transaction_that_is_rolled_back_gives_nothing() -> Result<()> {
    plain(async |plain| {
        // Given a twin
        let given = plain.cypher("CREATE (:Twin {`$dtId`: 'undone1', n: 1})").await?;
        // When a transaction changes it and creates another, and is rolled back
        let mut graph = plain.graph().await?;
        let change = graph.change().await?;
        change.cypher("MATCH (t:Twin {`$dtId`: 'undone1'}) SET t.n = 2").await?;
        change.cypher("CREATE (:Twin {`$dtId`: 'undone2', n: 1})").await?;
        change.rollback().await?;
        // Then nothing of it arrives
        let (notice, history) = created(&given, "undone1", 1);
        plain.arrives("undone1", &[notice], &history).await?;
        plain.arrives("undone2", &[], &[]).await
    })
}
