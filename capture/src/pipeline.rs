//! A subscription from its lock to its stream, again and again: each time something fails, all of it starts anew.

mod charge;
mod created;
mod keeper;
mod opening;
mod stopped;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;
use twinroute_common::backoff::Backoff;
use twinroute_common::causes::Causes;
use twinroute_common::event::Item;
use twinroute_common::outage::Outage;

pub use self::charge::{Charge, Order, Origin};
use self::keeper::Keeper;
use crate::config::CaptureSettings;
use crate::forecast::Forecast;
use crate::gap::{Memory, Server};
use crate::hub::{Ending, Hub, Identity};
use crate::metrics::SubscriptionMetrics;
use crate::postgres::ConnectionString;
use crate::postgres::control::{Control, ControlError, report_interval, try_lock};
use crate::postgres::labels::Labels;
use crate::postgres::row::SubscriptionRow;
use crate::postgres::slot;
use crate::pressure::Guest;
use crate::replication::reader::{ReadError, Reader};
use crate::replication::{Connection, ReplicationError};
use crate::state::{Running, State, StateTeller, Watched};
use crate::subscription::Subscription;

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
    /// What was read takes memory that others need; read again when there is some.
    #[error(
        "memory.bytes_max is nearly reached, and this subscription held the most; what was not acknowledged is read again"
    )]
    ShortOfMemory,
    /// Another capture holds the subscription; tried again.
    #[error("the subscription is held by {0}")]
    Standby(String),
    /// The role lacks rights; tried again.
    #[error("somebody with the right must run: {}", .statements.join("; "))]
    MissingRights {
        /// What somebody else must run.
        statements: Vec<String>,
    },
    /// Somebody else reads from the slot; tried again.
    #[error("the replication slot {slot} is in use by {holder}: it goes on when that is done")]
    SlotInUse {
        /// The slot.
        slot: String,
        /// Who has it.
        holder: String,
    },
    /// What all streams were told is not true any more: they end, and all starts anew at once.
    #[error("{0}")]
    StartAnew(&'static str),
    /// The pipeline is to do something else than to run.
    #[error("the subscription is deleted, or left to another capture")]
    Ordered,
    /// The subscription's row is gone, and so is the subscription.
    #[error("the subscription is gone")]
    Gone,
}

/// Runs a subscription until `stop`.
#[derive(Debug)]
pub struct Pipeline {
    charge: Charge,
    settings: Arc<CaptureSettings>,
    config: Arc<ConnectionString>,
    teller: StateTeller,
    metrics: SubscriptionMetrics,
    memory: Option<Memory>,
}

impl Pipeline {
    /// A pipeline that has not begun. `config` is what `postgres.url` says.
    #[must_use]
    pub fn new(
        charge: Charge,
        settings: Arc<CaptureSettings>,
        config: Arc<ConnectionString>,
        teller: StateTeller,
        metrics: SubscriptionMetrics,
    ) -> Self {
        Self { charge, settings, config, teller, metrics, memory: None }
    }

    /// Runs, and starts anew after each failure, until `stop`, or the subscription is gone or left to another capture.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff =
            Backoff::new(Duration::from_millis(200), self.settings.postgres.reconnect_wait_max());
        let what = format!("stream subscription {} from PostgreSQL", self.charge.name);
        let mut outage = Outage::new(what, self.config.place());
        while !stop.is_cancelled() && self.charge.order() != Order::Leave {
            let ended = self.run_once(&stop, &mut outage, &mut backoff).await;
            let Err(error) = ended else { continue };
            let reason = Causes(&error).to_string();
            let wait = match error {
                PipelineError::Gone => return,
                PipelineError::Ordered => {
                    backoff.reset();
                    self.connecting(reason, Vec::new());
                    continue;
                }
                PipelineError::Standby(holder) => {
                    self.teller.tell(State::Standby { holder });
                    Duration::from_secs(1)
                }
                PipelineError::StartAnew(why) => {
                    info!(why, "starting anew");
                    self.connecting(reason, Vec::new());
                    continue;
                }
                PipelineError::MissingRights { statements } => {
                    self.connecting(reason.clone(), statements);
                    backoff.next()
                }
                _ => {
                    self.connecting(reason.clone(), Vec::new());
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

    fn connecting(&self, reason: impl Into<String>, required_statements: Vec<String>) {
        self.teller.tell(State::Connecting { reason: reason.into(), required_statements });
    }

    async fn run_once(
        &mut self,
        stop: &CancellationToken,
        outage: &mut Outage,
        backoff: &mut Backoff,
    ) -> Result<(), PipelineError> {
        let publication = self.settings.source.publication.clone();
        let deadline = self.settings.postgres.answer_deadline();
        let control = Control::open(&self.config, &self.charge.control_name(), deadline).await?;
        if let Err(holder) = try_lock(&control, &self.charge.name).await? {
            return Err(PipelineError::Standby(holder));
        }
        let labels = self.prepare(&control).await?;
        let walsender_name = self.charge.walsender_name();
        let mut connection =
            Connection::open(&self.config, control.server(), &walsender_name, deadline).await?;
        let (server, opened) = self.open(&control, &mut connection).await?;
        let row = match opened {
            Ok(row) => row,
            Err(stopped) => {
                drop(connection);
                outage.works();
                backoff.reset();
                return self.stopped(control, &server, stopped, labels, stop).await;
            }
        };
        let started = connection.start(&row.slot, row.confirmed, &publication).await;
        if let Err(error) = started {
            if error.is_slot_in_use() {
                // Of a former capture of ours. A stranger's is left alone, and told of.
                slot::end_former_walsender(&control, &row.slot, &walsender_name).await?;
                let holder = slot::holder(&control, &row.slot).await?;
                return Err(PipelineError::SlotInUse { slot: row.slot, holder });
            }
            return Err(error.into());
        }
        let (subscription, generation) = (&self.charge.name, row.generation);
        info!(subscription, slot = row.slot, from = %row.confirmed, generation, "streaming");
        control.server().tell();
        outage.works();
        let hub = self.hub(&row, &server);
        let began = Instant::now();
        let ended = self.stream(control, connection, &row, Arc::clone(&hub), labels, stop).await;
        let is_gone = matches!(ended, Err(PipelineError::Ordered)) && self.charge.order() == Order::LookAtRow;
        hub.close(if is_gone { Ending::Deleted } else { Ending::Lost });
        self.remember(&row, &server, &hub);
        backoff.lasted(began.elapsed());
        ended
    }

    /// Where streams join. A gap that was accepted and not acknowledged by all comes first.
    fn hub(&self, row: &SubscriptionRow, server: &Server) -> Arc<Hub> {
        let identity = Identity {
            subscription: self.charge.name.clone(),
            slot: row.slot.clone(),
            server: server.clone(),
            incarnation: row.incarnation,
        };
        let bounds = self.charge.bounds(&self.settings, row.partition_count);
        let mut subscription = Subscription::new(bounds, row.generation, row.confirmed, row.consumer_version);
        subscription.keep_group_token(row.group_token.clone());
        if let Some(accepted) = &row.gaps.accepted {
            let items = vec![Item::Discontinuity(accepted.item())];
            self.metrics.count_items(&items);
            subscription.push(items, Instant::now());
            subscription.commit(row.confirmed, Instant::now());
        }
        Hub::new(identity, subscription)
    }

    /// Keeps in mind what was sent: a server that went back does not know it.
    fn remember(&mut self, row: &SubscriptionRow, server: &Server, hub: &Hub) {
        let (confirmed, sent) = hub.with(|subscription| (subscription.confirmed(), subscription.sent()));
        let before = self.memory.take().filter(|memory| memory.incarnation == row.incarnation);
        self.memory = Some(Memory {
            system_identifier: server.system_identifier.clone(),
            timeline: server.timeline,
            incarnation: row.incarnation,
            generation: row.generation,
            // It began behind what this process knew before; on a timeline that went back, that counts no more.
            confirmed,
            sent: before.and_then(|memory| memory.sent).max(sent),
        });
    }

    /// Streams until something fails or `stop`.
    async fn stream(
        &self,
        control: Control,
        connection: Connection,
        row: &SubscriptionRow,
        hub: Arc<Hub>,
        labels: Labels,
        stop: &CancellationToken,
    ) -> Result<(), PipelineError> {
        let stream = &self.settings.stream;
        let (confirmable_sender, confirmable) = watch::channel(row.confirmed);
        // Hints, of which one is enough; a few, so that several new labels are seen at once.
        let (tables, new_tables) = mpsc::channel(16);
        let (requests, asked) = mpsc::channel(stream.consumers_max);
        let watched = Watched { shortfall: labels.shortfall.clone(), ..Watched::default() };
        let (watched_sender, watched) = watch::channel(watched);
        let decoder = self.settings.decoder(row.incarnation).selecting(self.charge.selection());
        let reader = Reader::new(
            connection,
            decoder,
            Arc::clone(&hub),
            self.metrics.clone(),
            confirmable,
            tables,
            report_interval(&control).await?,
        )
        .as_guest(self.charge.guest().map(Guest::reading));
        let mut keeper = Keeper {
            control,
            hub: Arc::clone(&hub),
            settings: Arc::clone(&self.settings),
            charge: self.charge.clone(),
            confirmable: confirmable_sender,
            requests: asked,
            new_tables,
            labels,
            metrics: self.metrics.clone(),
            watched: watched_sender,
            accepted: row.gaps.accepted.clone(),
            forecast: Forecast::default(),
        };
        let metrics = self.metrics.clone();
        self.teller.tell(State::Streaming(Running { hub, requests: Some(requests), watched, metrics }));
        let ended = tokio::select! {
            () = self.charge.ordered() => Err(PipelineError::Ordered),
            () = self.charge.told_to_let_go() => Err(PipelineError::ShortOfMemory),
            read = reader.run(stop.clone()) => read.map_err(PipelineError::from),
            kept = keeper.run() => kept.map(|never| match never {}),
        };
        let reader = ended?;
        self.connecting("stopping", Vec::new());
        keeper.drain_consumers().await?;
        reader.finish().await.map_err(PipelineError::from)
    }
}
