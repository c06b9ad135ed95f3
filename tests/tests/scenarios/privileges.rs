//! Roles for capture with no more rights than they need: the SQL of docs/postgres.md, run as it stands there.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use twinroute_tests::{
    checkout,
    servers::postgres::Postgres,
    services::{Program, Service},
    wait,
};

use crate::{
    decision::{PARTITIONS, capture_status, consumer, first_of_each_partition, only_events_come},
    raw::{RawConsumer, events},
    scene::{self, DEADLINE},
};

/// Name of the subscription.
const SUBSCRIPTION: &str = "delivery";

/// The graph that the document speaks of, as plain tables of its owner.
const GRAPH: &str = r#"
CREATE ROLE graph_owner;
CREATE SCHEMA digitaltwins AUTHORIZATION graph_owner;
SET ROLE graph_owner;
CREATE TABLE digitaltwins."Twin" (id bigint, properties jsonb);
"#;

/// A server, and what connects to it as the role that the document makes.
struct Site {
    postgres: Postgres,
    dir: PathBuf,
}

impl Site {
    /// A server whose database `twins` was prepared by the document's block under `heading`.
    async fn start(name: &str, heading: &str) -> Result<Self> {
        let dir = scene::dir(name)?;
        let postgres = Postgres::start(&dir.join("postgres")).await?;
        postgres.create_database("twins").await?;
        let site = Self { postgres, dir };
        site.run(GRAPH).await?;
        site.run(&documented(heading)?).await?;
        Ok(site)
    }

    fn capture(&self, subscription: &str) -> Result<Service> {
        let url = format!("postgresql://capture@127.0.0.1:{}/twins", self.postgres.port());
        let settings = json!({ "postgres": { "url": url, "reconnect_wait_max_ms": 500 },
            "source": { "subscription": subscription, "labels_poll_ms": 100, "lock_timeout_ms": 8_000 } });
        Service::start(Program::Capture, &format!("capture-{subscription}"), settings, &self.dir)
    }

    /// Runs statements as a superuser.
    async fn run(&self, statements: &str) -> Result<()> {
        Ok(self.postgres.connect("twins").await?.batch_execute(statements).await?)
    }

    /// Runs statements as the tables' owner, all in one transaction.
    async fn run_as_owner(&self, statements: &str) -> Result<()> {
        let client = self.postgres.connect("twins").await?;
        client.batch_execute("SET ROLE graph_owner").await?;
        Ok(client.batch_execute(statements).await?)
    }
}

/// The SQL of the document that follows on a heading.
fn documented(heading: &str) -> Result<String> {
    let text = std::fs::read_to_string(checkout::root().join("docs/postgres.md"))?;
    let (_, behind) =
        text.split_once(heading).with_context(|| format!("no {heading} in docs/postgres.md"))?;
    let (_, sql) = behind.split_once("```sql\n").context("no SQL follows")?;
    let (sql, _) = sql.split_once("```").context("the SQL does not end")?;
    Ok(sql.to_owned())
}

/// A twin of a label.
fn insert(label: &str, id: &str) -> String {
    format!(r#"INSERT INTO digitaltwins."{label}" VALUES (1, '{{"$dtId": "{id}"}}');"#)
}

/// A new label's table.
fn create(label: &str) -> String {
    format!(r#"CREATE TABLE digitaltwins."{label}" (id bigint, properties jsonb);"#)
}

/// The next item is the event of this entity, and is acknowledged.
async fn until_comes(consumer: &mut RawConsumer, id: &str) -> Result<()> {
    let new = only_events_come(consumer, 1).await?;
    ensure!(events(&new).all(|event| event.entity_id == id), "{id}: {new:?}");
    consumer.ack(&new).await
}

/// Each partition's next item says that this label's first rows are missing; acknowledged.
async fn until_told_of(consumer: &mut RawConsumer, label: &str) -> Result<()> {
    let told = consumer.batches(PARTITIONS).await?;
    let gap = first_of_each_partition(&told)?;
    let words = format!("digitaltwins.{label} was written to before it was in the publication");
    ensure!(gap.reason.contains(&words), "{gap:?}");
    consumer.ack(&told).await
}

/// Waits until capture names so many statements.
async fn required(capture: &Service, count: usize) -> Result<Vec<String>> {
    wait::until(DEADLINE, "the required statements", async || {
        let statements = capture_status(capture).await?.required_statements;
        ensure!(statements.len() == count, "{statements:?}");
        Ok(statements)
    })
    .await
}

#[test]
fn with_least_privilege_events_flow_and_capture_names_what_the_owner_must_run() -> Result<()> {
    scene::run(async {
        // Given the database as a superuser prepares it once
        let site = Site::start("least-privilege", "**Least privilege.**").await?;
        let mut capture = site.capture(SUBSCRIPTION)?;
        capture.until_ready().await?;
        let mut consumer = consumer(&capture, SUBSCRIPTION).await?;
        // Then events arrive, also of a label that is new, from its first row
        site.run_as_owner(&insert("Twin", "room1")).await?;
        until_comes(&mut consumer, "room1").await?;
        site.run_as_owner(&(create("Sensor") + &insert("Sensor", "sensor1"))).await?;
        until_comes(&mut consumer, "sensor1").await?;
        // And capture says what it may not do, and goes on
        let statements = required(&capture, 1).await?;
        ensure!(statements == [r#"ALTER TABLE ONLY "digitaltwins"."Sensor" REPLICA IDENTITY FULL"#]);
        capture.until_ready().await?;
        // And plain SQL cannot update the label so far
        let update = r#"UPDATE digitaltwins."Sensor" SET properties = '{"$dtId": "sensor1", "n": 1}'"#;
        let refused = site.run_as_owner(update).await.err().map(|error| format!("{error:?}"));
        ensure!(refused.as_ref().is_some_and(|text| text.contains("replica identity")), "{refused:?}");
        // When the owner has run it, then nothing is required, and updates have what was before
        for statement in statements {
            site.run_as_owner(&statement).await?;
        }
        required(&capture, 0).await?;
        site.run_as_owner(update).await?;
        let new = only_events_come(&mut consumer, 1).await?;
        let old = events(&new).next().and_then(|event| event.old.as_deref());
        ensure!(old == Some(&br#"{"$dtId": "sensor1"}"#[..]), "{new:?}");
        Ok(())
    })
}

#[test]
fn beside_the_owner_capture_follows_labels_and_tells_what_is_missing() -> Result<()> {
    scene::run(async {
        // Given a role that shares the owner's rights
        let site = Site::start("beside-owner", "**A role beside the graphs' owner**").await?;
        let mut capture = site.capture(SUBSCRIPTION)?;
        capture.until_ready().await?;
        let mut first = consumer(&capture, SUBSCRIPTION).await?;
        site.run_as_owner(&insert("Twin", "room1")).await?;
        until_comes(&mut first, "room1").await?;
        // When a label is made with a row in it, then that is told to be missing, and the next one arrives
        site.run_as_owner(&(create("Sensor") + &insert("Sensor", "missing"))).await?;
        until_told_of(&mut first, "Sensor").await?;
        site.run_as_owner(&insert("Sensor", "sensor2")).await?;
        until_comes(&mut first, "sensor2").await?;
        // When one is made empty, then nothing is missing
        site.run_as_owner(&create("Empty")).await?;
        wait::until(DEADLINE, "the label to be in the list", async || {
            let client = site.postgres.connect("twins").await?;
            let sql = "SELECT FROM pg_publication_tables WHERE pubname = 'twinroute' AND tablename = 'Empty'";
            ensure!(client.query(sql, &[]).await?.len() == 1, "it is not");
            Ok(())
        })
        .await?;
        site.run_as_owner(&insert("Empty", "empty1")).await?;
        until_comes(&mut first, "empty1").await?;
        // When a label is somebody else's, at a start
        capture.terminate().await?;
        site.run(&(create("Foreign") + &insert("Foreign", "missing"))).await?;
        capture.start_again()?;
        // Then capture is not ready, and says what must be run
        let says =
            |status: u16, text: &str| status == 503 && text.contains("somebody with the right must run");
        capture.until_page(DEADLINE, "/readyz", says).await?;
        let statements = required(&capture, 1).await?;
        // When that is run, then it goes on, and what is missing is told
        for statement in statements {
            site.run(&statement).await?;
        }
        capture.until_ready().await?;
        let mut second = consumer(&capture, SUBSCRIPTION).await?;
        until_told_of(&mut second, "Foreign").await?;
        site.run(&insert("Foreign", "foreign2")).await?;
        until_comes(&mut second, "foreign2").await
    })
}

#[test]
fn two_captures_that_publish_one_label_at_once_both_go_on() -> Result<()> {
    scene::run(async {
        // Given two captures with subscriptions of their own and one publication, and a label with a row
        let site = Site::start("two-captures", "**A role beside the graphs' owner**").await?;
        let mut captures = [site.capture(SUBSCRIPTION)?, site.capture("other")?];
        let mut consumers = Vec::new();
        for (capture, subscription) in captures.iter_mut().zip([SUBSCRIPTION, "other"]) {
            capture.until_ready().await?;
            consumers.push(consumer(capture, subscription).await?);
        }
        site.run_as_owner(&insert("Twin", "room1")).await?;
        for consumer in &mut consumers {
            until_comes(consumer, "room1").await?;
        }
        // When somebody takes it out of the publication, and both wait for the same lock to take it in again
        let client = site.postgres.connect("twins").await?;
        client.batch_execute(r#"BEGIN; LOCK TABLE digitaltwins."Twin" IN ROW EXCLUSIVE MODE"#).await?;
        site.run(r#"ALTER PUBLICATION twinroute DROP TABLE digitaltwins."Twin""#).await?;
        wait::until(DEADLINE, "both to wait", async || {
            let sql = "SELECT FROM pg_stat_activity WHERE usename = 'capture' AND wait_event_type = 'Lock'";
            let waiting = client.query(sql, &[]).await?.len();
            ensure!(waiting == 2, "{waiting} wait");
            Ok(())
        })
        .await?;
        client.batch_execute("COMMIT").await?;
        // Then both go on with the streams that they have, and tell once what may be missing
        for consumer in &mut consumers {
            until_told_of(consumer, "Twin").await?;
        }
        site.run_as_owner(&insert("Twin", "room2")).await?;
        for consumer in &mut consumers {
            until_comes(consumer, "room2").await?;
        }
        Ok(())
    })
}
