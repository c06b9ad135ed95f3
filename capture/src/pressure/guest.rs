//! One who reads beside the configured subscription, and its seat, from which it is told what it may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What a guest may hold of an open transaction without having the turn, in bytes: some thousand rows.
const WITHOUT_TURN_BYTES: u64 = 2 << 20;

/// What a guest may do.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    is_paused: bool,
    /// How often it was told to let go.
    let_go: u64,
}

/// One who reads beside the configured subscription. Clones are the same guest.
#[derive(Clone, Debug)]
pub struct Guest {
    held: Arc<AtomicU64>,
    allowance: watch::Receiver<Allowance>,
    turns: Arc<Semaphore>,
    /// How often it was told to let go, and did.
    obeyed: u64,
}

/// A guest that reads a stream. One guest at a time has the turn, and only that one holds much of an open transaction: what
/// is held of it is given out, and waits for acknowledgements, before the next one does.
#[derive(Debug)]
pub struct Reading {
    guest: Guest,
    turn: Option<OwnedSemaphorePermit>,
    needs_turn: bool,
}

/// A guest as it is seen by the one who watches.
#[derive(Debug)]
pub(super) struct Seat {
    name: String,
    held: Arc<AtomicU64>,
    allowance: watch::Sender<Allowance>,
}

impl Seat {
    pub(super) fn new(name: &str, turns: Arc<Semaphore>) -> (Self, Guest) {
        let held = Arc::<AtomicU64>::default();
        let (sender, allowance) = watch::channel(Allowance::default());
        let guest = Guest { held: Arc::clone(&held), allowance, turns, obeyed: 0 };
        (Self { name: name.to_owned(), held, allowance: sender }, guest)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The guest is still there.
    pub(super) fn is_taken(&self) -> bool {
        !self.allowance.is_closed()
    }

    /// What it holds, about, in bytes.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn pause(&self, is_paused: bool) {
        self.allowance.send_if_modified(|allowance| {
            let is_new = allowance.is_paused != is_paused;
            allowance.is_paused = is_paused;
            is_new
        });
    }

    pub(super) fn let_go(&self) {
        self.allowance.send_modify(|allowance| allowance.let_go += 1);
    }
}

impl Guest {
    /// The same guest for a stream that begins: what it was told before is done.
    #[must_use]
    pub fn from_now(&self) -> Self {
        let obeyed = self.allowance.borrow().let_go;
        Self { obeyed, ..self.clone() }
    }

    /// It holds so many bytes, about.
    pub fn holds(&self, bytes: u64) {
        self.held.store(bytes, Ordering::Relaxed);
    }

    /// The same guest as it reads a stream that begins.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading { guest: self.from_now(), turn: None, needs_turn: false }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.allowance.borrow().is_paused
    }

    /// Waits until it is told to let go of what it holds.
    pub async fn told_to_let_go(&mut self) {
        let obeyed = self.obeyed;
        let told = self.allowance.wait_for(|allowance| allowance.let_go > obeyed).await;
        match told.map(|allowance| allowance.let_go) {
            Ok(let_go) => self.obeyed = let_go,
            Err(_) => std::future::pending().await,
        }
    }

    #[cfg(test)]
    pub(super) fn is_told_to_let_go(&self) -> bool {
        self.allowance.borrow().let_go > self.obeyed
    }
}

impl Reading {
    /// It may read on, with so many bytes that wait for acknowledgements, and so many of an open transaction. While its
    /// subscription has no room it waits for its consumers, and the turn is another one's.
    pub fn may_read(&mut self, has_room: bool, unacked: u64, open: u64) -> bool {
        self.guest.holds(unacked + open);
        self.needs_turn = has_room && open > WITHOUT_TURN_BYTES;
        if !self.needs_turn {
            self.turn = None;
        } else if self.turn.is_none() {
            self.turn = Arc::clone(&self.guest.turns).try_acquire_owned().ok();
        }
        has_room && !self.guest.is_paused() && (!self.needs_turn || self.turn.is_some())
    }

    /// Waits until that may be otherwise.
    pub async fn changed(&mut self) {
        let waits_for_turn = self.needs_turn && self.turn.is_none();
        tokio::select! {
            Ok(()) = self.guest.allowance.changed() => {}
            Ok(turn) = Arc::clone(&self.guest.turns).acquire_owned(), if waits_for_turn => self.turn = Some(turn),
            else => std::future::pending().await,
        }
    }
}

impl Drop for Reading {
    /// What a stream held goes with it.
    fn drop(&mut self) {
        self.guest.holds(0);
    }
}
