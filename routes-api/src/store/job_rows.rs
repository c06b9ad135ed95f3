//! Redrive jobs as rows.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, GenericClient, Row, Transaction};
use twinroute_common::dead_letter::Selection;
use twinroute_proto::routes::v1 as proto;
use uuid::Uuid;

use super::error::SessionError;
use super::rows::{signed, unsigned};
use crate::redrive::{Failure, Job, NumberedFailure, State};

/// How long a job that has ended is kept, in days.
const ENDED_KEPT_DAYS: i32 = 30;
/// Most jobs that have ended and are kept.
const ENDED_KEPT_MAX: i64 = 1_000;

const COLUMNS: &str = "id, selection, events_per_second_max, state, delivered, failed, last_error, \
    finished_partitions, create_time, end_time";

fn refused(error: Error) -> SessionError {
    SessionError::Postgres("read or write redrive jobs", error)
}

/// The ids of the jobs that run.
pub(super) async fn running_ids(client: &impl GenericClient) -> Result<BTreeSet<Uuid>, SessionError> {
    let query = "SELECT id FROM twinroute_routes.redrive_job WHERE state = 'running'";
    let rows = client.query(query, &[]).await.map_err(refused)?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(refused)
}

/// The jobs that run.
pub(super) async fn running(client: &impl GenericClient) -> Result<Vec<Job>, SessionError> {
    let query = format!("SELECT {COLUMNS} FROM twinroute_routes.redrive_job WHERE state = 'running'");
    client.query(&query, &[]).await.map_err(refused)?.iter().map(read).collect()
}

/// Those of some jobs that are stored.
pub(super) async fn some(client: &impl GenericClient, ids: &[Uuid]) -> Result<Vec<Job>, SessionError> {
    let query = format!("SELECT {COLUMNS} FROM twinroute_routes.redrive_job WHERE id = ANY ($1)");
    client.query(&query, &[&ids]).await.map_err(refused)?.iter().map(read).collect()
}

/// One job, which nobody else changes until the transaction ends, and the time of the transaction.
pub(super) async fn lock(
    transaction: &Transaction<'_>,
    id: Uuid,
) -> Result<Option<(Job, Timestamp)>, SessionError> {
    let query = format!("SELECT {COLUMNS}, now() FROM twinroute_routes.redrive_job WHERE id = $1 FOR UPDATE");
    let Some(row) = transaction.query_opt(&query, &[&id]).await.map_err(refused)? else { return Ok(None) };
    Ok(Some((read(&row)?, row.try_get("now").map_err(refused)?)))
}

/// The failures of a job that are kept, in their order.
pub(super) async fn failures(client: &impl GenericClient, id: Uuid) -> Result<Vec<Failure>, SessionError> {
    let query =
        "SELECT event_id, reason FROM twinroute_routes.redrive_failure WHERE job_id = $1 ORDER BY number";
    let read = |row: Row| Ok(Failure { event_id: row.try_get(0)?, reason: row.try_get(1)? });
    let rows = client.query(query, &[&id]).await.map_err(refused)?;
    rows.into_iter().map(read).collect::<Result<_, _>>().map_err(refused)
}

/// Writes a new job, and deletes those that ended long ago.
pub(super) async fn insert(transaction: &Transaction<'_>, job: &Job) -> Result<(), SessionError> {
    let delete = "DELETE FROM twinroute_routes.redrive_job
        WHERE end_time < now() - make_interval(days => $1) OR id IN (
            SELECT id FROM twinroute_routes.redrive_job WHERE state <> 'running' ORDER BY end_time DESC OFFSET $2)";
    transaction.execute(delete, &[&ENDED_KEPT_DAYS, &ENDED_KEPT_MAX]).await.map_err(refused)?;
    let insert = format!(
        "INSERT INTO twinroute_routes.redrive_job ({COLUMNS}, endpoint_name)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    );
    let selection = proto::DeadLetterSelection::from(&job.selection).encode_to_vec();
    let parameters: [&(dyn ToSql + Sync); 11] = [
        &job.id,
        &selection,
        &i64::from(job.events_per_second_max),
        &job.state.name(),
        &signed(job.delivered),
        &signed(job.failed),
        &job.last_error,
        &partitions(job),
        &job.create_time,
        &job.end_time,
        &job.selection.endpoint,
    ];
    transaction.execute(&insert, &parameters).await.map_err(refused).map(drop)
}

/// Writes what changes of a job.
pub(super) async fn update(transaction: &Transaction<'_>, job: &Job) -> Result<(), SessionError> {
    let update = "UPDATE twinroute_routes.redrive_job SET
            (state, delivered, failed, last_error, finished_partitions, end_time)
            = ($2, $3, $4, $5, $6, $7)
        WHERE id = $1";
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &job.id,
        &job.state.name(),
        &signed(job.delivered),
        &signed(job.failed),
        &job.last_error,
        &partitions(job),
        &job.end_time,
    ];
    transaction.execute(update, &parameters).await.map_err(refused).map(drop)
}

/// Writes failures of a job.
pub(super) async fn insert_failures(
    transaction: &Transaction<'_>,
    id: Uuid,
    failures: Vec<NumberedFailure>,
) -> Result<(), SessionError> {
    if failures.is_empty() {
        return Ok(());
    }
    let (mut numbers, mut events, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for NumberedFailure { number, failure } in failures {
        numbers.push(i32::try_from(number).unwrap_or(i32::MAX));
        events.push(failure.event_id);
        reasons.push(failure.reason);
    }
    let insert = "INSERT INTO twinroute_routes.redrive_failure (job_id, number, event_id, reason)
        SELECT $1, * FROM unnest($2::integer[], $3::uuid[], $4::text[])";
    let parameters: [&(dyn ToSql + Sync); 4] = [&id, &numbers, &events, &reasons];
    transaction.execute(insert, &parameters).await.map_err(refused).map(drop)
}

/// The job that runs for an endpoint, if there is one, has failed: the endpoint is deleted.
pub(super) async fn fail_of_endpoint(
    transaction: &Transaction<'_>,
    endpoint: &str,
) -> Result<(), SessionError> {
    let update = "UPDATE twinroute_routes.redrive_job SET (state, last_error, end_time) = ($2, $3, now())
        WHERE endpoint_name = $1 AND state = 'running'";
    let last_error = format!("the endpoint `{endpoint}` was deleted");
    let parameters: [&(dyn ToSql + Sync); 3] = [&endpoint, &State::Failed.name(), &last_error];
    transaction.execute(update, &parameters).await.map_err(refused).map(drop)
}

fn read(row: &Row) -> Result<Job, SessionError> {
    let id: Uuid = row.try_get(0).map_err(refused)?;
    let unreadable =
        |reason: String| SessionError::Unreadable { what: "redrive job", name: id.to_string(), reason };
    let selection: Vec<u8> = row.try_get(1).map_err(refused)?;
    let selection = proto::DeadLetterSelection::decode(Bytes::from(selection));
    let selection = selection.map_err(|error| unreadable(error.to_string()))?;
    let selection = Selection::try_from(selection).map_err(|error| unreadable(error.to_string()))?;
    let state: String = row.try_get(3).map_err(refused)?;
    let state = State::named(&state).ok_or_else(|| unreadable(format!("its state is `{state}`")))?;
    fields(row, id, selection, state).map_err(refused)
}

fn fields(row: &Row, id: Uuid, selection: Selection, state: State) -> Result<Job, Error> {
    let number = |column: usize| row.try_get::<_, i64>(column).map(unsigned);
    let mut finished: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (count, partition) in row.try_get::<_, Vec<i64>>(7)?.into_iter().map(partition) {
        finished.entry(count).or_default().insert(partition);
    }
    Ok(Job {
        id,
        selection,
        events_per_second_max: u32::try_from(number(2)?).unwrap_or(u32::MAX),
        state,
        delivered: number(4)?,
        failed: number(5)?,
        last_error: row.try_get(6)?,
        finished,
        create_time: row.try_get(8)?,
        end_time: row.try_get(9)?,
    })
}

/// The number of partitions and one of them, from its form in the database.
fn partition(stored: i64) -> (u32, u32) {
    let half = |bits: i64| u32::try_from(bits & i64::from(u32::MAX)).unwrap_or(0);
    (half(stored >> 32), half(stored))
}

fn partitions(job: &Job) -> Vec<i64> {
    let stored = |(count, finished): (&u32, &BTreeSet<u32>)| {
        let count = i64::from(*count) << 32;
        finished.iter().map(move |&partition| count | i64::from(partition)).collect::<Vec<_>>()
    };
    job.finished.iter().flat_map(stored).collect()
}
