//! The schema's migrations: numbered files, applied once each, in one transaction, by one replica at a time.

use tokio_postgres::{Client, Error};

use super::error::SessionError;

/// Every migration; its number is its place, from 1.
const MIGRATIONS: [&str; 2] = [
    include_str!("../../migrations/0001_endpoints_and_routes.sql"),
    include_str!("../../migrations/0002_redrive_jobs.sql"),
];

/// Key of the advisory lock that migrating holds: "twroutes" in ASCII.
const LOCK: i64 = 0x7477_726f_7574_6573;

/// PostgreSQL asks for the right to create a schema even where IF NOT EXISTS finds it.
const PREPARE: &str = "
    DO $$ BEGIN
        IF to_regnamespace('twinroute_routes') IS NULL THEN CREATE SCHEMA twinroute_routes; END IF;
    END $$;
    CREATE TABLE IF NOT EXISTS twinroute_routes.migration (
        number     integer     PRIMARY KEY,
        apply_time timestamptz NOT NULL DEFAULT now()
    );";

/// Brings the schema to the form that this build knows. Without anything to do, no right to create is needed.
pub(super) async fn migrate(client: &mut Client) -> Result<(), SessionError> {
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let refused = |error| SessionError::Postgres("bring the schema twinroute_routes up to date", error);
    let present = match exists(client).await.map_err(refused)? {
        true => applied(client).await.map_err(refused)?,
        false => 0,
    };
    if present > known {
        return Err(SessionError::Newer { present, known });
    }
    if present < known {
        apply(client).await.map_err(refused)?;
    }
    Ok(())
}

async fn exists(client: &Client) -> Result<bool, Error> {
    let row = client.query_one("SELECT to_regclass('twinroute_routes.migration') IS NOT NULL", &[]).await?;
    row.try_get(0)
}

async fn applied(client: &Client) -> Result<i32, Error> {
    let row =
        client.query_one("SELECT COALESCE(max(number), 0) FROM twinroute_routes.migration", &[]).await?;
    row.try_get(0)
}

async fn apply(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute(PREPARE).await?;
    let row =
        transaction.query_one("SELECT COALESCE(max(number), 0) FROM twinroute_routes.migration", &[]).await?;
    let present: i32 = row.try_get(0)?;
    for (number, migration) in (1_i32..).zip(MIGRATIONS).filter(|(number, _)| *number > present) {
        transaction.batch_execute(migration).await?;
        transaction
            .execute("INSERT INTO twinroute_routes.migration (number) VALUES ($1)", &[&number])
            .await?;
        tracing::info!(number, "migrated the schema twinroute_routes");
    }
    transaction.commit().await
}
