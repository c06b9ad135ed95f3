//! `CreateSubscription`: the row first, then the slot, and an answer when both are there.

use tokio::time::{Instant, timeout_at};
use tonic::Status;
use twinroute_common::event::EntityKind;
use twinroute_proto::capture::v1 as proto;
use twinroute_proto::event::v1::EntityKind as WireKind;

use super::CaptureGrpc;
use super::deletion::{SESSION, failed};
use super::finding::here;
use crate::catalog::Served;
use crate::config::{PARTITION_COUNT_MAX, check_name, slot_of};
use crate::postgres::options::{self, Created, Inserted, Phase, Wanted};
use crate::replication::Connection;
use crate::retention::{Policy, Retention};
use crate::selection::Selection;
use crate::state::State;

/// Largest number of names in one list of a filter: each row of a new table is compared with all of them, once.
const FILTER_NAMES_MAX: usize = 1_000;

/// Longest name that PostgreSQL keeps, in bytes.
const NAME_BYTES_MAX: usize = 63;

impl CaptureGrpc {
    /// Creates a subscription. Where its slot cannot be made in time nothing is left of it.
    pub(super) async fn create(&self, wanted: proto::Subscription) -> Result<proto::Subscription, Status> {
        here(&self.catalog)?;
        let wanted = self.wanted(wanted)?;
        let name = wanted.name.clone();
        if name == self.catalog.configured().name {
            return Err(Status::already_exists(format!("`{name}` is source.subscription of this capture")));
        }
        let control = self.administration().await?;
        let deadline = self.settings.postgres.answer_deadline();
        let connection = Connection::open(&self.config, control.server(), SESSION, deadline).await;
        let mut connection = connection.map_err(|error| Status::unavailable(error.to_string()))?;
        let server = connection.server().await.map_err(|error| Status::unavailable(error.to_string()))?;
        drop(connection);
        let created_max = self.settings.subscriptions.created_max;
        match options::insert(&control, &wanted, &server, created_max).await.map_err(failed)? {
            Inserted::Yes => {}
            Inserted::NameTaken => {
                return Err(Status::already_exists(format!("there is a subscription `{name}`")));
            }
            Inserted::SlotTaken => {
                let slot = &wanted.slot;
                return Err(Status::failed_precondition(format!(
                    "the server has a replication slot {slot} that is not this subscription's: drop it, or choose \
                     another name"
                )));
            }
            Inserted::Full => {
                return Err(Status::resource_exhausted(format!(
                    "there are {created_max} created subscriptions, which is subscriptions.created_max: delete one, \
                     or raise it"
                )));
            }
        }
        self.catalog.look();
        // Twice: for the slot, and for what it takes to stream from it.
        match self.streams(&name, Instant::now() + deadline * 2).await {
            Ok(served) => Ok(self.status.subscription(&served)),
            Err(reason) => {
                options::store_deleting(&control, &name).await.map_err(failed)?;
                self.catalog.look();
                Err(Status::unavailable(format!(
                    "`{name}` is not created, and nothing is left of it: {reason}"
                )))
            }
        }
    }

    /// Waits until a new subscription streams; gives what it waits for at the deadline.
    async fn streams(&self, name: &str, deadline: Instant) -> Result<Served, String> {
        let served = timeout_at(deadline, self.catalog.appeared(name)).await;
        let Ok(Some(served)) = served else { return Err("capture does not see its row".to_owned()) };
        let mut state = served.state.clone();
        let streams =
            timeout_at(deadline, state.wait_for(|state| matches!(state, State::Streaming(_)))).await;
        if matches!(streams, Ok(Ok(_))) {
            return Ok(served);
        }
        let reason = match &*served.state.borrow() {
            State::Connecting { reason, .. } => reason.clone(),
            State::Standby { holder } => format!("it is held by {holder}"),
            State::Stopped(stopped) => stopped.reason(name),
            State::Streaming(_) => "it has taken too long".to_owned(),
        };
        Err(reason)
    }

    /// What is asked for, checked and with the defaults.
    fn wanted(&self, wanted: proto::Subscription) -> Result<Wanted, Status> {
        let invalid =
            |field: &str, must: &str| Status::invalid_argument(format!("subscription.{field} {must}"));
        check_name(&wanted.name).map_err(|must| invalid("name", must))?;
        let partition_count = match wanted.partition_count {
            0 => self.settings.stream.partition_count,
            count if count <= PARTITION_COUNT_MAX => count,
            _ => {
                let must = format!("must be at most {PARTITION_COUNT_MAX}; 0 stands for the default");
                return Err(invalid("partition_count", &must));
            }
        };
        let policy = match wanted.retention_policy() {
            proto::RetentionPolicy::Report => Policy::Report,
            proto::RetentionPolicy::Drop => Policy::Drop,
            proto::RetentionPolicy::Unspecified if wanted.retention_policy == 0 => Policy::Drop,
            proto::RetentionPolicy::Unspecified => {
                return Err(invalid("retention_policy", "must be REPORT or DROP, or be left out for DROP"));
            }
        };
        let wal_retained_bytes_max = match wanted.wal_retained_bytes_max {
            0 => self.settings.subscriptions.wal_retained_bytes_max,
            bytes => bytes,
        };
        let filter = selection("subscription.filter", wanted.filter.unwrap_or_default())?;
        let retention = Retention { wal_retained_bytes_max, policy };
        Ok(Wanted {
            slot: slot_of(&wanted.name),
            name: wanted.name,
            partition_count,
            created: Created { filter, retention, phase: Phase::Making },
        })
    }
}

/// A filter, checked. `field` is what holds it.
pub(super) fn selection(field: &str, filter: proto::SubscriptionFilter) -> Result<Selection, Status> {
    for (list, names) in [("graphs", &filter.graphs), ("labels", &filter.labels)] {
        if names.len() > FILTER_NAMES_MAX {
            let reason = format!("{field}.{list} must have at most {FILTER_NAMES_MAX} names");
            return Err(Status::invalid_argument(reason));
        }
        if names.iter().any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
            let reason = format!("{field}.{list} must have names of 1 to {NAME_BYTES_MAX} bytes");
            return Err(Status::invalid_argument(reason));
        }
    }
    let mut kinds = Vec::new();
    for &number in &filter.kinds {
        let kind = WireKind::try_from(number).ok().and_then(|kind| EntityKind::try_from(kind).ok());
        let must = format!("{field}.kinds must be of TWIN, RELATIONSHIP and MODEL");
        let kind = kind.ok_or_else(|| Status::invalid_argument(must))?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(Selection { graphs: filter.graphs, kinds, labels: filter.labels })
}
