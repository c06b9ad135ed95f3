//! Labels and graphs that appear while events flow: what arrives of them, and what consumers are told of the rest.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_proto::{capture::v1::item::Item, event::v1::Operation};

use crate::{
    alone::{SUBSCRIPTION, alone},
    decision::{PARTITIONS, consumer, first_of_each_partition, only_events_come},
    raw::events,
    source::source,
};

/// Before Cypher, in each session.
const SESSION: &str = "LOAD 'age'; SET search_path = ag_catalog, public; ";

/// A Cypher query in plain SQL.
fn cypher(graph: &str, query: &str) -> String {
    format!("SELECT * FROM cypher('{graph}', $$ {query} $$) AS (ignored agtype); ")
}

#[test]
fn a_graph_that_fits_the_pattern_is_taken_in_with_word_of_what_it_had() -> Result<()> {
    let settings = json!({ "graphs": ["twins_*"], "labels_poll_ms": 100 });
    alone("pattern", settings, async |it| {
        // Given a pattern that no graph fits yet
        let mut consumer = consumer(&it.capture, SUBSCRIPTION).await?;
        // When a graph that does is made, with a twin in the same transaction
        let before = it.postgres.wal_end().await?;
        let create = cypher("twins_a", "CREATE (:Room {`$dtId`: 'first'})");
        it.run(&format!("{SESSION} SELECT create_graph('twins_a'); {create}")).await?;
        // Then consumers hear that its changes from before are missing, and between which positions
        let told = consumer.batches(PARTITIONS).await?;
        let after = it.postgres.wal_end().await?;
        let gap = first_of_each_partition(&told)?;
        ensure!(
            gap.reason.contains("twins_a.Room was written to before it was in the publication"),
            "{gap:?}"
        );
        let (known, new) = (gap.last_known.context("no last_known")?, gap.first_new.context("no first_new")?);
        ensure!(gap.first_new == gap.position, "{gap:?}");
        ensure!(known.commit_lsn <= new.commit_lsn && new.commit_lsn > before, "{before:X} {gap:?}");
        ensure!(new.commit_lsn <= after, "{gap:?} {after:X}");
        consumer.ack(&told).await?;
        // When more is written, also to a label that is new, then it arrives from its first row
        for (label, id) in [("Room", "second"), ("Sensor", "third")] {
            let query = format!("CREATE (:{label} {{`$dtId`: '{id}'}})");
            it.run(&format!("{SESSION} {}", cypher("twins_a", &query))).await?;
            let new = only_events_come(&mut consumer, 1).await?;
            let event = events(&new).next().context("no event")?;
            let found = (event.graph.as_str(), event.label.as_str(), event.entity_id.as_str());
            ensure!(found == ("twins_a", label, id), "{event:?}");
            consumer.ack(&new).await?;
        }
        // When a graph that does not fit is in the publication, by somebody's hand, then it is skipped
        it.run("ALTER PUBLICATION twinroute ADD TABLES IN SCHEMA digitaltwins").await?;
        it.create("skipped", 1).await?;
        it.run(&format!("{SESSION} {}", cypher("twins_a", "CREATE (:Room {`$dtId`: 'last'})"))).await?;
        let new = only_events_come(&mut consumer, 1).await?;
        ensure!(events(&new).all(|event| event.entity_id == "last"), "{new:?}");
        Ok(())
    })
}

#[test]
fn what_is_done_to_a_label_before_it_is_altered_comes_without_what_is_not_known() -> Result<()> {
    source("window", json!({}), async |source| {
        // Given a capture that is down, so that nobody alters a new label
        source.capture.terminate().await?;
        // When twins of a new label are made, changed and deleted, in transactions of their own
        let client = source.graph().await?;
        let write = async |query: &str| {
            client.client().batch_execute(&cypher(client.name(), query)).await.context("it is refused")
        };
        write("CREATE (:Late {`$dtId`: 'kept', n: 1})").await?;
        write("CREATE (:Late {`$dtId`: 'gone', n: 1})").await?;
        write("MATCH (t:Late {`$dtId`: 'kept'}) SET t.n = 2").await?;
        write("MATCH (t:Late {`$dtId`: 'gone'}) DELETE t").await?;
        // And capture is started, and one is changed again
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        write("MATCH (t:Late {`$dtId`: 'kept'}) SET t.n = 3").await?;
        // Then the changes arrive; the first without `old`, and of the delete PostgreSQL has kept nothing
        let mut consumer = consumer(&source.capture, source.subscription()).await?;
        let new = only_events_come(&mut consumer, 4).await?;
        let text = |document: Option<&[u8]>| document.map(|json| String::from_utf8_lossy(json).into_owned());
        let mut seen: Vec<_> = events(&new)
            .map(|event| {
                let id = event.entity_id.clone();
                (id, event.operation(), text(event.old.as_deref()), text(event.new.as_deref()))
            })
            .collect();
        seen.sort_by(|one, other| one.0.cmp(&other.0));
        let document = |id: &str, n: u32| Some(format!(r#"{{"n": {n}, "$dtId": "{id}"}}"#));
        let expected = [
            ("gone".to_owned(), Operation::Create, None, document("gone", 1)),
            ("kept".to_owned(), Operation::Create, None, document("kept", 1)),
            ("kept".to_owned(), Operation::Update, None, document("kept", 2)),
            ("kept".to_owned(), Operation::Update, document("kept", 2), document("kept", 3)),
        ];
        ensure!(seen == expected, "{seen:#?}");
        consumer.ack(&new).await?;
        consumer.is_quiet().await
    })
}

#[test]
fn a_label_that_nobody_could_see_when_its_graph_was_taken_in_is_told_of_too() -> Result<()> {
    let settings = json!({ "graphs": ["twins_*"], "labels_poll_ms": 100 });
    alone("unseen", settings, async |it| {
        // Given a new graph of plain tables, and an open transaction that has made one and written to it. (A label of AGE
        // locks those it inherits from, so its graph would be taken in later.)
        it.capture.terminate().await?;
        it.run("CREATE SCHEMA twins_b").await?;
        let writer = it.postgres.connect("postgres").await?;
        let create = |id: &str| format!(r#"INSERT INTO twins_b."Room" VALUES (1, '{{"$dtId": "{id}"}}');"#);
        let table = r#"BEGIN; CREATE TABLE twins_b."Room" (id bigint, properties jsonb);"#;
        writer.batch_execute(&format!("{table} {}", create("missing"))).await?;
        // When capture takes the graph in, and then the transaction goes on and ends
        it.capture.start_again()?;
        it.capture.until_ready().await?;
        let mut consumer = consumer(&it.capture, SUBSCRIPTION).await?;
        writer.batch_execute(&format!("{} COMMIT", create("after"))).await?;
        // Then consumers hear that something is missing
        loop {
            let told = consumer.batches(1).await?;
            let gaps = told.iter().flat_map(|batch| &batch.items).filter_map(|item| match &item.item {
                Some(Item::Discontinuity(gap)) => Some(gap.reason.clone()),
                _ => None,
            });
            let gaps: Vec<_> = gaps.collect();
            if !gaps.is_empty() {
                ensure!(gaps.iter().all(|reason| reason.contains("twins_b.Room was written to")), "{gaps:?}");
                return Ok(());
            }
        }
    })
}
