//! Asks PostgreSQL about slots for `GetCaptureStatus`: one session at a time, however many calls there are.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::debug;
use twinroute_common::causes::Causes;

use crate::config::CaptureSettings;
use crate::postgres::slot::{self, SlotView};
use crate::postgres::{ConnectionString, Control, ControlError};

/// Looks at the slots of the database. Clones share the looks.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    settings: Arc<CaptureSettings>,
    config: Arc<ConnectionString>,
    /// Held while PostgreSQL is asked.
    last: Arc<Mutex<Option<Look>>>,
}

/// What was seen. It is an answer to all calls that had come when it began.
#[derive(Debug)]
struct Look {
    began: Instant,
    slots: Arc<HashMap<String, SlotView>>,
}

impl Slots {
    pub(super) fn new(settings: Arc<CaptureSettings>, config: Arc<ConnectionString>) -> Self {
        Self { settings, config, last: Arc::new(Mutex::new(None)) }
    }

    /// The slots by name, not as they were before this call; none when PostgreSQL does not tell in an answer's time, which
    /// the subscriptions' own states explain.
    pub(super) async fn views(&self) -> Arc<HashMap<String, SlotView>> {
        let came = Instant::now();
        let answer = async {
            let mut last = self.last.lock().await;
            if let Some(look) = last.as_ref().filter(|look| look.began >= came) {
                return Ok(Arc::clone(&look.slots));
            }
            let look = self.look().await?;
            let slots = Arc::clone(&look.slots);
            *last = Some(look);
            Ok::<_, ControlError>(slots)
        };
        match timeout(self.settings.postgres.answer_deadline(), answer).await {
            Ok(Ok(slots)) => slots,
            Ok(Err(error)) => {
                debug!("the slots cannot be looked at: {}", Causes(&error));
                Arc::default()
            }
            Err(_) => Arc::default(),
        }
    }

    /// Over a session of its own: the lock's holder must not wait for whoever calls, and a standby has none.
    async fn look(&self) -> Result<Look, ControlError> {
        let began = Instant::now();
        let deadline = self.settings.postgres.answer_deadline();
        let control = Control::open(&self.config, "twinroute-capture status", deadline).await?;
        Ok(Look { began, slots: Arc::new(slot::views(&control).await?) })
    }
}
