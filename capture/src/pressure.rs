//! Keeps the process under `memory.bytes_max`.
//!
//! The configured subscription always fits: start refuses bounds for it that add up to more. Guests, which are created
//! subscriptions and live consumers, get what it leaves: when that is little they pause, and PostgreSQL keeps the WAL;
//! when it is less the one that holds the most lets go of it, and reads it again later.

mod guest;
mod rule;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::info;
use twinroute_common::memory;
use twinroute_common::outage::Outage;

use self::guest::Seat;
pub use self::guest::{Guest, Reading};
use self::rule::{Rule, Verdict};
use crate::metrics::Metrics;

const MIB: u64 = 1 << 20;

/// What the process holds, and who may hold more. Clones share it.
#[derive(Clone, Debug)]
pub struct Pressure {
    bytes_max: u64,
    seats: Arc<Mutex<Vec<Seat>>>,
    turns: Arc<Semaphore>,
    metrics: Metrics,
}

impl Pressure {
    /// Nobody is a guest yet. `bytes_max` is `memory.bytes_max`.
    #[must_use]
    pub fn new(bytes_max: u64, metrics: Metrics) -> Self {
        metrics.memory_bytes_max.set(bytes_max);
        Self { bytes_max, seats: Arc::default(), turns: Arc::new(Semaphore::new(1)), metrics }
    }

    /// Takes a guest in, until all clones of it are gone.
    #[must_use]
    pub fn guest(&self, name: &str) -> Guest {
        let (seat, guest) = Seat::new(name, Arc::clone(&self.turns));
        self.seats().push(seat);
        guest
    }

    /// Looks again and again until `stop`.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn watch(self, stop: CancellationToken) -> std::io::Result<()> {
        let mut rule = Rule::new(self.bytes_max);
        let place = format!("memory.bytes_max {} MiB", self.bytes_max / MIB);
        let mut pause = Outage::new("read for created subscriptions and live consumers", place);
        memory::watch(stop, move |resident| {
            self.metrics.memory_bytes.set(resident);
            let verdict = rule.judge(resident, Instant::now());
            self.tell(verdict, resident);
            match verdict {
                Verdict::Read => pause.works(),
                Verdict::Pause | Verdict::LetGo => pause.failed(&format!("{} MiB are taken", resident / MIB)),
            }
        })
    }

    fn tell(&self, verdict: Verdict, resident: u64) {
        let mut seats = self.seats();
        seats.retain(Seat::is_taken);
        let is_paused = verdict != Verdict::Read;
        self.metrics.memory_paused.set(i64::from(is_paused));
        seats.iter().for_each(|seat| seat.pause(is_paused));
        if verdict != Verdict::LetGo {
            return;
        }
        let largest = seats.iter().max_by_key(|seat| seat.held()).filter(|seat| seat.held() > 0);
        if let Some(seat) = largest {
            let (held, resident) = (seat.held() / MIB, resident / MIB);
            info!(guest = seat.name(), "lets go of about {held} MiB, since {resident} MiB are taken");
            seat.let_go();
        }
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressure() -> Pressure {
        Pressure::new(256 * MIB, Metrics::default())
    }

    #[test]
    fn of_several_guests_the_one_that_holds_the_most_lets_go_and_all_pause() {
        // given three guests
        let pressure = pressure();
        let guests = ["small", "large", "idle"].map(|name| pressure.guest(name));
        for (guest, bytes) in guests.iter().zip([1, 2, 0]) {
            guest.holds(bytes);
        }
        // when memory is short
        pressure.tell(Verdict::LetGo, 250 * MIB);
        // then nobody may read, and only the largest is told
        assert_eq!(guests.each_ref().map(Guest::is_paused), [true; 3]);
        let told = guests.map(|guest| guest.is_told_to_let_go());
        assert_eq!(told, [false, true, false]);
    }

    #[test]
    fn who_comes_after_the_order_to_let_go_is_not_meant() {
        // given a guest that was told, and streams anew
        let pressure = pressure();
        let guest = pressure.guest("large");
        guest.holds(1);
        pressure.tell(Verdict::LetGo, 250 * MIB);
        let anew = guest.from_now();
        // when nothing more is said
        // then the new stream is not told, and reads when there is room
        assert!(!anew.is_told_to_let_go());
        assert!(anew.is_paused());
        pressure.tell(Verdict::Read, MIB);
        assert!(!anew.is_paused());
    }

    #[test]
    fn one_guest_at_a_time_holds_much_of_an_open_transaction() {
        // given two guests that read
        let pressure = pressure();
        let [mut first, mut second] = ["first", "second"].map(|name| pressure.guest(name).reading());
        // when both are in large transactions
        let both = |first: &mut Reading, second: &mut Reading, open: [u64; 2]| {
            [first.may_read(true, 0, open[0] * MIB), second.may_read(true, 0, open[1] * MIB)]
        };
        // then one of them reads on, and the other one after it
        assert_eq!(both(&mut first, &mut second, [1, 1]), [true, true]);
        assert_eq!(both(&mut first, &mut second, [9, 9]), [true, false]);
        assert_eq!(both(&mut first, &mut second, [20, 9]), [true, false]);
        assert_eq!(both(&mut first, &mut second, [0, 9]), [true, true]);
        // and also when the first is gone in the middle of it
        assert_eq!(both(&mut first, &mut second, [9, 9]), [false, true]);
        drop(second);
        assert!(first.may_read(true, 0, 9 * MIB));
    }

    #[test]
    fn a_guest_whose_consumers_are_waited_for_leaves_the_turn_to_others() {
        // given a guest that has the turn
        let pressure = pressure();
        let [mut stuck, mut other] = ["stuck", "other"].map(|name| pressure.guest(name).reading());
        assert!(stuck.may_read(true, 0, 9 * MIB));
        assert!(!other.may_read(true, 0, 9 * MIB));
        // when its subscription has no room any more, with the next part of the transaction begun
        assert!(!stuck.may_read(false, 40 * MIB, 3 * MIB));
        // then the other one reads on
        assert!(other.may_read(true, 0, 9 * MIB));
    }

    #[test]
    fn guests_that_are_gone_or_hold_nothing_are_not_told() {
        // given one that is gone and one that holds nothing
        let pressure = pressure();
        let (gone, empty) = (pressure.guest("gone"), pressure.guest("empty"));
        gone.holds(9);
        drop(gone);
        // when memory is short
        pressure.tell(Verdict::LetGo, 250 * MIB);
        // then nobody lets go, and the one that is gone is forgotten
        assert!(!empty.is_told_to_let_go());
        assert_eq!(pressure.seats().len(), 1);
    }
}
