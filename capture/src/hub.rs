//! Where the reader and the consumers' streams meet: the subscription behind a lock, and who is to be woken.
//!
//! Every lock is held for one short, pure step; nobody waits inside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use twinroute_common::event::Item;
use twinroute_common::lsn::Lsn;

use crate::gap::Server;
use crate::subscription::{ConsumerKey, Subscription};

/// A running subscription.
#[derive(Debug)]
pub struct Hub {
    /// What a consumer is told on arrival.
    pub identity: Identity,
    subscription: Mutex<Subscription>,
    wakers: Mutex<HashMap<ConsumerKey, Arc<Notify>>>,
    room: Notify,
    ending: OnceLock<Ending>,
    closed: CancellationToken,
}

/// Why all streams end.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The walsender or the lock is lost: what was sent may be sent again by another capture.
    Lost,
    /// The subscription is deleted.
    Deleted,
    /// A live consumer holds more than it may: how much.
    Behind(String),
}

/// What stays the same while a subscription runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the subscription.
    pub subscription: String,
    /// Name of its slot.
    pub slot: String,
    /// The server, as it was when the stream began.
    pub server: Server,
    /// First part of every position.
    pub incarnation: u64,
}

impl Hub {
    /// A subscription that starts to run.
    #[must_use]
    pub fn new(identity: Identity, subscription: Subscription) -> Arc<Self> {
        Arc::new(Self {
            identity,
            subscription: Mutex::new(subscription),
            wakers: Mutex::new(HashMap::new()),
            room: Notify::new(),
            ending: OnceLock::new(),
            closed: CancellationToken::new(),
        })
    }

    /// Takes a look, or one step, under the lock.
    pub fn with<R>(&self, step: impl FnOnce(&mut Subscription) -> R) -> R {
        step(&mut self.lock())
    }

    /// Takes what the reader has read: items, and the end of the transaction if it was reached.
    pub fn push(&self, items: Vec<impl Into<Arc<Item>>>, committed: Option<Lsn>) {
        let now = Instant::now();
        let wakes = !items.is_empty();
        self.with(|subscription| {
            subscription.push(items, now);
            if let Some(end) = committed {
                subscription.commit(end, now);
            }
        });
        if wakes {
            self.wake_consumers();
        }
    }

    /// A consumer opens a stream. The notifier wakes it when there is something to send.
    pub fn join(&self, consumer_id: &str) -> (ConsumerKey, Arc<Notify>) {
        let key = self.with(|subscription| subscription.join(consumer_id, Instant::now()));
        let waker = Arc::new(Notify::new());
        self.wakers().insert(key, Arc::clone(&waker));
        self.wake_consumers();
        (key, waker)
    }

    /// A consumer's stream is over.
    pub fn leave(&self, key: ConsumerKey) {
        self.with(|subscription| subscription.leave(key, Instant::now()));
        self.wakers().remove(&key);
        self.wake_consumers();
        self.room.notify_one();
    }

    /// Items were acknowledged: the reader may have room again.
    pub fn settled(&self) {
        self.room.notify_one();
    }

    /// Waits until items were acknowledged.
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// Everybody looks whether there is something to send.
    pub fn wake_consumers(&self) {
        self.wakers().values().for_each(|waker| waker.notify_one());
    }

    /// Ends all streams. The first reason counts.
    pub fn close(&self, ending: Ending) {
        self.ending.get_or_init(|| ending);
        self.closed.cancel();
    }

    /// All streams end, or have ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Waits until the hub is closed; gives the reason.
    pub async fn closed(&self) -> Ending {
        self.closed.cancelled().await;
        self.ending.get().cloned().unwrap_or(Ending::Lost)
    }

    fn lock(&self) -> MutexGuard<'_, Subscription> {
        self.subscription.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wakers(&self) -> MutexGuard<'_, HashMap<ConsumerKey, Arc<Notify>>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
