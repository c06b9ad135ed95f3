//! Endpoints and routes as rows: reading all of them, and writing one.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use secrecy::ExposeSecret as _;
use tokio_postgres::{Error, Row, Transaction};
use twinroute_common::route::wire::secret_fields;
use twinroute_common::route::{Endpoint, EventRoute};
use twinroute_proto::routes::v1 as proto;
use twinroute_proto::routes::v1::secret::Secret;

use super::error::SessionError;
use super::job_rows;
use crate::catalog::{Entry, Moment, Origin, Stored, Write};
use crate::decide::redact;
use crate::seal::{Sealed, SealingKey};

/// Encrypted secrets by endpoint and field.
type SealedSecrets = BTreeMap<(String, String), Sealed>;

/// Reads everything at one version.
pub(super) async fn load(
    transaction: &Transaction<'_>,
    key: Option<&SealingKey>,
) -> Result<Stored, SessionError> {
    let refused = |error| SessionError::Postgres("read endpoints and routes", error);
    let version = transaction.query_one("SELECT version FROM twinroute_routes.version", &[]);
    let version: i64 = version.await.map_err(refused)?.try_get(0).map_err(refused)?;
    let sealed = load_secrets(transaction).await.map_err(refused)?;
    let mut stored = Stored { version: unsigned(version), ..Stored::default() };
    for row in transaction.query(ENDPOINTS, &[]).await.map_err(refused)? {
        let (name, definition) = named(&row).map_err(refused)?;
        let endpoint = read_endpoint(&name, definition, &sealed, key)
            .map_err(|reason| SessionError::Unreadable { what: "endpoint", name: name.clone(), reason })?;
        stored.endpoints.insert(name, entry(&row, endpoint).map_err(refused)?);
    }
    for row in transaction.query(ROUTES, &[]).await.map_err(refused)? {
        let (name, definition) = named(&row).map_err(refused)?;
        let route = read_route(definition).map_err(|reason| SessionError::Unreadable {
            what: "event route",
            name: name.clone(),
            reason,
        })?;
        stored.routes.insert(name, entry(&row, route).map_err(refused)?);
    }
    Ok(stored)
}

const ENDPOINTS: &str =
    "SELECT name, definition, version, create_time, update_time FROM twinroute_routes.endpoint ORDER BY name";
const ROUTES: &str = "SELECT name, definition, version, create_time, update_time FROM twinroute_routes.event_route ORDER BY name";

async fn load_secrets(transaction: &Transaction<'_>) -> Result<SealedSecrets, Error> {
    let query = "SELECT endpoint_name, field, key_id, sealed FROM twinroute_routes.endpoint_secret";
    let rows = transaction.query(query, &[]).await?;
    let read = |row: Row| {
        let sealed = Sealed { key_id: row.try_get(2)?, content: row.try_get(3)? };
        Ok(((row.try_get(0)?, row.try_get(1)?), sealed))
    };
    rows.into_iter().map(read).collect()
}

fn named(row: &Row) -> Result<(String, Vec<u8>), Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn entry<T>(row: &Row, resource: T) -> Result<Entry<T>, Error> {
    let version: i64 = row.try_get(2)?;
    Ok(Entry {
        resource,
        version: unsigned(version),
        create_time: row.try_get(3)?,
        update_time: row.try_get(4)?,
        origin: Origin::Stored,
    })
}

fn read_endpoint(
    name: &str,
    definition: Vec<u8>,
    sealed: &SealedSecrets,
    key: Option<&SealingKey>,
) -> Result<Endpoint, String> {
    let mut endpoint = proto::Endpoint::decode(Bytes::from(definition)).map_err(|error| error.to_string())?;
    for (field, secret) in secret_fields(&mut endpoint) {
        let Some(proto::Secret { secret: secret @ Some(Secret::Redacted(true)) }) = secret else { continue };
        let sealed = sealed
            .get(&(name.to_owned(), field.to_owned()))
            .ok_or_else(|| format!("the secret of {field} is missing"))?;
        let key = key.ok_or_else(|| {
            format!("the secret of {field} is encrypted, and no secrets.key is configured; configure the one it was made with")
        })?;
        let opened =
            key.open(name, field, sealed).map_err(|error| format!("the secret of {field}: {error}"))?;
        *secret = Some(Secret::Value(opened.expose_secret().to_owned()));
    }
    Endpoint::try_from(endpoint).map_err(|violations| violations.to_string())
}

fn read_route(definition: Vec<u8>) -> Result<EventRoute, String> {
    let route = proto::EventRoute::decode(Bytes::from(definition)).map_err(|error| error.to_string())?;
    EventRoute::try_from(route).map_err(|violations| violations.to_string())
}

/// Makes one write, and the version that it makes.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    write: &Write,
    moment: Moment,
    key: Option<&SealingKey>,
) -> Result<(), SessionError> {
    let refused = |error| SessionError::Postgres("write endpoints and routes", error);
    match write {
        Write::PutEndpoint(endpoint) => put_endpoint(transaction, endpoint, moment, key).await?,
        Write::DeleteEndpoint(name) => {
            let delete = "DELETE FROM twinroute_routes.endpoint WHERE name = $1";
            transaction.execute(delete, &[name]).await.map_err(refused)?;
            job_rows::fail_of_endpoint(transaction, name).await?;
        }
        Write::PutRoute(route) => put_route(transaction, route, moment).await.map_err(refused)?,
        Write::DeleteRoute(name) => {
            let delete = "DELETE FROM twinroute_routes.event_route WHERE name = $1";
            transaction.execute(delete, &[name]).await.map_err(refused)?;
        }
    }
    let update = "UPDATE twinroute_routes.version SET version = $1";
    transaction.execute(update, &[&signed(moment.version)]).await.map_err(refused)?;
    Ok(())
}

async fn put_endpoint(
    transaction: &Transaction<'_>,
    endpoint: &Endpoint,
    moment: Moment,
    key: Option<&SealingKey>,
) -> Result<(), SessionError> {
    let name = &endpoint.name;
    let refused = |error| SessionError::Postgres("write the endpoint", error);
    let unsealable =
        |reason: String| SessionError::Unreadable { what: "endpoint", name: name.clone(), reason };
    let mut wire = proto::Endpoint::from(endpoint);
    let mut sealed = Vec::new();
    for (field, secret) in secret_fields(&mut wire) {
        if let Some(proto::Secret { secret: Some(Secret::Value(value)) }) = secret {
            let key = key.ok_or_else(|| unsealable("no secrets.key is configured".to_owned()))?;
            sealed
                .push((field, key.seal(name, field, value).map_err(|error| unsealable(error.to_string()))?));
        }
    }
    redact(&mut wire);
    let upsert = "INSERT INTO twinroute_routes.endpoint (name, definition, version, create_time, update_time)
        VALUES ($1, $2, $3, $4, $4)
        ON CONFLICT (name) DO UPDATE SET (definition, version, update_time) = ($2, $3, $4)";
    let version = signed(moment.version);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [name, &wire.encode_to_vec(), &version, &moment.time];
    transaction.execute(upsert, &parameters).await.map_err(refused)?;
    let delete = "DELETE FROM twinroute_routes.endpoint_secret WHERE endpoint_name = $1";
    transaction.execute(delete, &[name]).await.map_err(refused)?;
    let insert = "INSERT INTO twinroute_routes.endpoint_secret (endpoint_name, field, key_id, sealed)
        VALUES ($1, $2, $3, $4)";
    for (field, Sealed { key_id, content }) in sealed {
        transaction.execute(insert, &[name, &field, &key_id, &content]).await.map_err(refused)?;
    }
    Ok(())
}

async fn put_route(transaction: &Transaction<'_>, route: &EventRoute, moment: Moment) -> Result<(), Error> {
    let definition = proto::EventRoute::from(route).encode_to_vec();
    let upsert = "INSERT INTO twinroute_routes.event_route
            (name, endpoint_name, definition, version, create_time, update_time)
        VALUES ($1, $2, $3, $4, $5, $5)
        ON CONFLICT (name) DO UPDATE SET (endpoint_name, definition, version, update_time) = ($2, $3, $4, $5)";
    let version = signed(moment.version);
    transaction
        .execute(upsert, &[&route.name, &route.endpoint_name, &definition, &version, &moment.time])
        .await
        .map(drop)
}

/// What is next: one more than what is stored, or the Unix time in milliseconds where that is greater, so that no version
/// repeats even when the database went back. Locks the version until the transaction ends.
pub(super) async fn lock_version(transaction: &Transaction<'_>) -> Result<(u64, Moment), Error> {
    let query =
        "SELECT version, GREATEST(version + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint), now()
        FROM twinroute_routes.version FOR UPDATE";
    let row = transaction.query_one(query, &[]).await?;
    let (present, next): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let time: Timestamp = row.try_get(2)?;
    Ok((unsigned(present), Moment { version: unsigned(next), time }))
}

/// Versions and counts are stored as `bigint` and never negative.
pub(super) fn unsigned(version: i64) -> u64 {
    u64::try_from(version).unwrap_or(0)
}

pub(super) fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
