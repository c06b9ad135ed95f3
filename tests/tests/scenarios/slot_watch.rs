//! An eye on a replication slot: how far it was confirmed, and when that was seen.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::task::JoinHandle;
use twinroute_tests::servers::postgres::connect;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// `confirmed_flush_lsn`, in bytes.
    pub(crate) confirmed: u64,
    /// When the answer was there.
    pub(crate) at: Instant,
}

/// Looks at one slot, from now on, through every outage.
pub(crate) struct SlotWatch {
    looks: Arc<Mutex<Vec<Look>>>,
    task: JoinHandle<()>,
}

impl SlotWatch {
    /// Looks at `slot` through a database of `url`.
    pub(crate) fn start(url: &str, slot: &str) -> Self {
        let looks = Arc::<Mutex<Vec<Look>>>::default();
        let (into, url, slot) = (Arc::clone(&looks), url.to_owned(), slot.to_owned());
        let task = tokio::spawn(async move {
            loop {
                // An outage is what the scenario is about.
                drop(look(&url, &slot, &into).await);
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { looks, task }
    }

    /// All that was seen.
    pub(crate) fn looks(&self) -> Vec<Look> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for SlotWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look(url: &str, slot: &str, looks: &Mutex<Vec<Look>>) -> Result<()> {
    let client = connect(url).await?;
    let sql = "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = $1";
    loop {
        let confirmed: i64 = client.query_one(sql, &[&slot]).await?.try_get(0)?;
        let look = Look { confirmed: confirmed.try_into()?, at: Instant::now() };
        looks.lock().unwrap_or_else(PoisonError::into_inner).push(look);
        tokio::time::sleep(INTERVAL).await;
    }
}
