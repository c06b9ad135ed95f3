//! A subscription from its lock to its stream, again and again: each time something fails, all of it starts anew.

mod keeper;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;
use twinroute_common::backoff::Backoff;
use twinroute_common::causes::Causes;
use twinroute_common::outage::Outage;

use self::keeper::Keeper;
use crate::config::CaptureSettings;
use crate::decode::Decoder;
use crate::hub::{Hub, Identity};
use crate::metrics::Metrics;
use crate::postgres::ConnectionString;
use crate::postgres::control::{Control, ControlError, try_lock};
use crate::postgres::labels::{self, Shortfall};
use crate::postgres::row::{self, SubscriptionRow};
use crate::postgres::slot;
use crate::replication::reader::{ReadError, Reader};
use crate::replication::{Connection, ReplicationError};
use crate::state::{Running, State, StateTeller};
use crate::subscription::{Bounds, Subscription};

/// Why a run of the subscription ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A statement failed; tried again.
    #[error("cannot prepare the subscription")]
    Control(#[from] ControlError),
    /// The replication connection failed; tried again.
    #[error("cannot replicate")]
    Replication(#[from] ReplicationError),
    /// The stream broke; tried again.
    #[error("the stream broke")]
    Read(#[from] ReadError),
    /// Something must be done in PostgreSQL first; tried again.
    #[error("{0}")]
    NotPrepared(String),
    /// The lock is lost with its session; tried again.
    #[error("the session that holds the subscription's lock is lost")]
    LockLost,
    /// Another capture holds the subscription; tried again.
    #[error("the subscription is held by {0}")]
    Standby(String),
    /// WAL that was needed is gone, or may be; not tried again before an operator has decided.
    #[error("{0}")]
    Gap(String),
}

/// Runs a subscription until `stop`.
#[derive(Debug)]
pub struct Pipeline {
    settings: Arc<CaptureSettings>,
    config: Arc<ConnectionString>,
    teller: StateTeller,
    metrics: Metrics,
}

impl Pipeline {
    /// A pipeline that has not begun. `config` is what `postgres.url` says.
    #[must_use]
    pub fn new(
        settings: Arc<CaptureSettings>,
        config: Arc<ConnectionString>,
        teller: StateTeller,
        metrics: Metrics,
    ) -> Self {
        Self { settings, config, teller, metrics }
    }

    /// Runs, and starts anew after each failure, until `stop`. `consumers_gone` ends when stopping may go on because
    /// no consumer is connected any more.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(
            Duration::from_millis(200),
            Duration::from_millis(self.settings.postgres.reconnect_wait_max_ms),
        );
        let mut outage = Outage::new("stream from PostgreSQL", self.config.place());
        while !stop.is_cancelled() {
            let ended = self.run_once(&stop, &mut outage, &mut backoff).await;
            let Err(error) = ended else { continue };
            let reason = Causes(&error).to_string();
            let wait = match error {
                PipelineError::Standby(holder) => {
                    self.teller.tell(State::Standby { holder });
                    Duration::from_secs(1)
                }
                PipelineError::Gap(reason) => {
                    self.teller.tell(State::Stopped { reason });
                    Duration::from_secs(5)
                }
                _ => {
                    self.teller.tell(State::Connecting { reason: reason.clone() });
                    backoff.next()
                }
            };
            outage.failed(&reason);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn run_once(
        &self,
        stop: &CancellationToken,
        outage: &mut Outage,
        backoff: &mut Backoff,
    ) -> Result<(), PipelineError> {
        let source = &self.settings.source;
        let deadline = self.settings.postgres.answer_deadline();
        let name = &source.subscription;
        let control_name = format!("twinroute-capture {name} control");
        let control = Control::open(&self.config, &control_name, deadline).await?;
        if let Err(holder) = try_lock(&control, name).await? {
            return Err(PipelineError::Standby(holder));
        }
        let shortfall = self.prepare(&control).await?;
        let walsender_name = format!("twinroute-capture {name}");
        let mut connection =
            Connection::open(&self.config, control.server(), &walsender_name, deadline).await?;
        let (system_identifier, timeline) = connection.identify().await?;
        let row = self.open_slot(&control, &system_identifier, timeline).await?;
        let started = connection.start(&row.slot, row.confirmed, &source.publication).await;
        if let Err(error) = started {
            if error.is_slot_in_use() {
                slot::end_former_walsender(&control, &row.slot, &walsender_name).await?;
            }
            return Err(error.into());
        }
        info!(slot = row.slot, from = %row.confirmed, generation = row.generation, "streaming");
        control.server().tell();
        outage.works();
        let began = Instant::now();
        let ended =
            self.stream(control, connection, &row, (system_identifier, timeline), shortfall, stop).await;
        // A stream that breaks as soon as it has begun would otherwise be begun again without end and without a pause.
        if began.elapsed() >= self.settings.postgres.reconnect_wait_max() {
            backoff.reset();
        }
        ended
    }

    /// Makes schema, publication and identities, or says what somebody else must run.
    async fn prepare(&self, control: &Control) -> Result<Shortfall, PipelineError> {
        match row::create_schema(control).await {
            Err(error) if error.is_privilege() => {
                let role = control.rows("SELECT quote_ident(current_user)", &[]).await?;
                let role: String = role.first().map_or_else(String::new, |row| row.get(0));
                let mut statements: Vec<String> = row::SCHEMA
                    .iter()
                    .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect();
                statements.push(format!("GRANT USAGE ON SCHEMA twinroute TO {role}"));
                statements.push(format!("GRANT SELECT, INSERT, UPDATE ON twinroute.subscription TO {role}"));
                let reason = format!("somebody with the right must run: {}", statements.join("; "));
                return Err(PipelineError::NotPrepared(reason));
            }
            other => other?,
        }
        let shortfall = labels::follow(control, &self.settings.source).await?;
        if !shortfall.required_statements.is_empty() {
            return Err(PipelineError::NotPrepared(shortfall.reason()));
        }
        Ok(shortfall)
    }

    /// Finds the slot and the row, or makes both on a first start.
    async fn open_slot(
        &self,
        control: &Control,
        system_identifier: &str,
        timeline: u32,
    ) -> Result<SubscriptionRow, PipelineError> {
        let name = &self.settings.source.subscription;
        let mut known = row::begin_generation(control, name).await?;
        let slot_name = known.as_ref().map_or_else(|| self.settings.source.slot(), |row| row.slot.clone());
        if known.is_none() {
            if slot::view(control, &slot_name).await?.is_none() {
                slot::create(control, &slot_name).await?;
                info!(slot = slot_name, "created the replication slot");
            }
            let made = slot::view(control, &slot_name).await?.unwrap_or_default().confirmed_flush_lsn;
            let partitions = self.settings.stream.partition_count;
            row::insert(control, name, &slot_name, partitions, system_identifier, timeline, made).await?;
            known = row::begin_generation(control, name).await?;
        }
        let row =
            known.ok_or_else(|| PipelineError::NotPrepared("the subscription's row is gone".to_owned()))?;
        if row.partition_hash != row::PARTITION_HASH {
            let reason = format!("its partition hash {} is not known to this version", row.partition_hash);
            return Err(PipelineError::Gap(reason));
        }
        let view = slot::view(control, &row.slot).await?;
        match gap(&row, view.as_ref(), system_identifier) {
            Some(reason) => Err(PipelineError::Gap(format!(
                "{reason}. Changes may be missing. To accept the gap and start anew from now: \
                 SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{}'; \
                 DELETE FROM twinroute.subscription WHERE name = '{name}'",
                row.slot
            ))),
            None => Ok(row),
        }
    }

    /// Streams until something fails or `stop`.
    async fn stream(
        &self,
        control: Control,
        connection: Connection,
        row: &SubscriptionRow,
        (system_identifier, timeline): (String, u32),
        shortfall: Shortfall,
        stop: &CancellationToken,
    ) -> Result<(), PipelineError> {
        let stream = &self.settings.stream;
        let identity = Identity {
            subscription: self.settings.source.subscription.clone(),
            slot: row.slot.clone(),
            system_identifier,
            timeline,
            incarnation: row.incarnation,
        };
        let bounds = Bounds {
            partition_count: row.partition_count,
            frame_events_max: stream.frame_events_max,
            frame_bytes_max: stream.frame_bytes_max,
            unacked_events_max: stream.unacked_events_max,
            unacked_bytes_max: stream.unacked_bytes_max,
            unconfirmed_wal_bytes_max: stream.unconfirmed_wal_bytes_max,
            revoke_deadline: Duration::from_millis(stream.revoke_deadline_ms),
        };
        let subscription = Subscription::new(bounds, row.generation, row.confirmed, row.consumer_version);
        let hub = Hub::new(identity, subscription);
        let (confirmable_sender, confirmable) = watch::channel(row.confirmed);
        // Hints, of which one is enough; a few, so that several new labels are seen at once.
        let (tables, new_tables) = mpsc::channel(16);
        let (versions, versions_to_store) = mpsc::channel(stream.consumers_max);
        let decoder =
            Decoder::new(row.incarnation, usize::try_from(stream.event_bytes_max).unwrap_or(usize::MAX));
        let reader = Reader::new(
            connection,
            decoder,
            Arc::clone(&hub),
            self.metrics.clone(),
            confirmable,
            tables,
            self.report_interval(&control).await?,
        );
        let mut keeper = Keeper {
            control,
            hub: Arc::clone(&hub),
            settings: Arc::clone(&self.settings),
            confirmable: confirmable_sender,
            versions: versions_to_store,
            new_tables,
            metrics: self.metrics.clone(),
            shortfall,
        };
        self.teller.tell(State::Streaming(Running { hub: Arc::clone(&hub), versions }));
        let ended = tokio::select! {
            read = reader.run(stop.clone()) => read.map_err(PipelineError::from),
            kept = keeper.run() => kept.map(|never| match never {}),
        };
        let outcome = match ended {
            Ok(reader) => {
                self.teller.tell(State::Connecting { reason: "stopping".to_owned() });
                keeper.drain_consumers().await?;
                reader.finish().await.map_err(PipelineError::from)
            }
            Err(error) => Err(error),
        };
        hub.close();
        outcome
    }

    /// A third of the time after which the server gives a silent receiver up.
    async fn report_interval(&self, control: &Control) -> Result<Duration, PipelineError> {
        let query = "SELECT extract(epoch FROM current_setting('wal_sender_timeout')::interval)::float8";
        let rows = control.rows(query, &[]).await?;
        let timeout_s = rows.first().map_or(0.0, |row| row.get::<_, f64>(0));
        let third = Duration::try_from_secs_f64(timeout_s / 3.0).unwrap_or_default();
        // 0 switches the timeout off; a report every 10 s still shows where we are.
        let ten = Duration::from_secs(10);
        Ok(if third.is_zero() { ten } else { third.min(ten) })
    }
}

/// Why the slot does not fit what is remembered; `None` when it does.
fn gap(row: &SubscriptionRow, view: Option<&slot::SlotView>, system_identifier: &str) -> Option<String> {
    if row.system_identifier != system_identifier {
        return Some(format!(
            "the subscription belongs to the server with system identifier {}, and this one is {system_identifier}",
            row.system_identifier
        ));
    }
    let Some(view) = view else {
        return Some(format!("the replication slot {} is gone", row.slot));
    };
    if view.wal_status == "lost" || !view.invalidation_reason.is_empty() {
        return Some(format!(
            "the replication slot {} is invalidated {}",
            row.slot, view.invalidation_reason
        ));
    }
    (view.confirmed_flush_lsn > row.confirmed).then(|| {
        format!(
            "the replication slot {} was moved to {} by somebody else, and {} is what was settled",
            row.slot, view.confirmed_flush_lsn, row.confirmed
        )
    })
}
