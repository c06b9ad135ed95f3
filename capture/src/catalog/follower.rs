//! Follows the rows of created subscriptions: a pipeline for each, as long as this process has the configured one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use twinroute_common::causes::Causes;
use twinroute_common::outage::Outage;

use super::{Catalog, Served};
use crate::config::CaptureSettings;
use crate::metrics::Metrics;
use crate::pipeline::{Charge, Order, Origin, Pipeline};
use crate::postgres::control::ControlError;
use crate::postgres::options::{self, Created, Phase};
use crate::postgres::{ConnectionString, Control};
use crate::pressure::Pressure;
use crate::state::{State, StateTeller};

/// `application_name` of the session that reads the rows.
const SESSION: &str = "twinroute-capture subscriptions";

/// Runs the pipelines of created subscriptions.
#[derive(Debug)]
pub struct Follower {
    catalog: Arc<Catalog>,
    settings: Arc<CaptureSettings>,
    config: Arc<ConnectionString>,
    metrics: Metrics,
    pressure: Pressure,
    session: Option<Control>,
    pipelines: JoinSet<String>,
    orders: HashMap<String, watch::Sender<Order>>,
}

impl Follower {
    /// A follower that has not begun.
    #[must_use]
    pub fn new(
        catalog: Arc<Catalog>,
        settings: Arc<CaptureSettings>,
        config: Arc<ConnectionString>,
        metrics: Metrics,
        pressure: Pressure,
    ) -> Self {
        let (pipelines, orders) = (JoinSet::new(), HashMap::new());
        Self { catalog, settings, config, metrics, pressure, session: None, pipelines, orders }
    }

    /// Follows until `stop`, and until all pipelines have ended then.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut outage = Outage::new("read the created subscriptions", self.config.place());
        let mut poll = interval(Duration::from_millis(self.settings.subscriptions.poll_ms));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let catalog = Arc::clone(&self.catalog);
        let mut configured = catalog.configured().state.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.pipelines.join_next() => self.ended(ended),
                // A standby serves nothing: all of it is where the configured subscription is.
                Ok(()) = configured.changed() => {}
                () = catalog.look.notified() => {}
                _ = poll.tick() => {}
            }
            if matches!(*configured.borrow_and_update(), State::Standby { .. }) {
                for orders in self.orders.values() {
                    orders.send_replace(Order::Leave);
                }
                continue;
            }
            let looked = tokio::select! {
                () = stop.cancelled() => break,
                looked = self.look(&stop) => looked,
            };
            match looked {
                Ok(()) => outage.works(),
                // Where the configured one waits for PostgreSQL too, it has said so.
                Err(_) if matches!(*configured.borrow(), State::Connecting { .. }) => {}
                Err(error) => outage.failed(&Causes(&error)),
            }
        }
        while let Some(ended) = self.pipelines.join_next().await {
            self.ended(ended);
        }
    }

    /// Compares the rows with what runs. A session that fails is not kept.
    async fn look(&mut self, stop: &CancellationToken) -> Result<(), ControlError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let deadline = self.settings.postgres.answer_deadline();
                Control::open(&self.config, SESSION, deadline).await?
            }
        };
        let rows: BTreeMap<String, Created> = options::all(&session).await?.into_iter().collect();
        self.session = Some(session);
        for (name, orders) in &self.orders {
            let is_kept = rows.get(name).is_some_and(|created| created.phase != Phase::Deleting);
            if !is_kept {
                orders.send_if_modified(|order| {
                    let is_new = *order == Order::Run;
                    if is_new {
                        *order = Order::LookAtRow;
                    }
                    is_new
                });
            }
        }
        for (name, created) in rows {
            // It is also configured: its pipeline is there.
            if !self.orders.contains_key(&name) && name != self.catalog.configured().name {
                self.begin(name, created, stop.clone());
            }
        }
        Ok(())
    }

    fn begin(&mut self, name: String, created: Created, stop: CancellationToken) {
        let metrics = self.metrics.of(&name);
        let (teller, state) = StateTeller::new(name.clone(), None, metrics.clone());
        let (orders, received) = watch::channel(Order::Run);
        let guest = self.pressure.guest(&name);
        let origin = Origin::Created { created: created.clone(), orders: received, guest };
        let charge = Charge { name: name.clone(), origin };
        let (settings, config) = (Arc::clone(&self.settings), Arc::clone(&self.config));
        let pipeline = Pipeline::new(charge, settings, config, teller, metrics.clone());
        let served = Served { name: name.clone(), created: Some(created), state, metrics };
        self.orders.insert(name.clone(), orders);
        self.catalog.created.send_modify(|all| drop(all.insert(name.clone(), served)));
        self.pipelines.spawn(async move {
            pipeline.run(stop).await;
            name
        });
    }

    /// A pipeline has ended: the subscription is gone, or another capture's. One that panicked is not run again.
    fn ended(&mut self, ended: Result<String, tokio::task::JoinError>) {
        let Ok(name) = ended else { return };
        self.orders.remove(&name);
        self.catalog.created.send_modify(|all| drop(all.remove(&name)));
        self.metrics.forget(&name);
    }
}
