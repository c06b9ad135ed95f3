//! What waits on a shelf while the backlog has no room for it: an endpoint may have it given up, from the front on.
//!
//! What is being given up stands before what waits: nothing goes past it, so that it can come back to its place when it could
//! not be ended.

use std::time::Instant;

use super::{Leave, Phase, Shelf};
use crate::backlog::segment;
use crate::delivery::Delivery;

/// An event that is being given up.
#[derive(Debug)]
pub(super) struct Overflowing {
    /// Its name: several events of one item have one origin.
    ticket: u64,
    pub(super) delivery: Delivery,
    /// It could not be ended, and waits for the others.
    is_kept: bool,
}

impl Shelf {
    /// When the first event that waits may be given up for want of room; `None` when it need not, or must not yet.
    #[must_use]
    pub fn overflows_at(&self, leave: Leave) -> Option<Instant> {
        let since = self.behind_since?;
        let is_looked_through = matches!(self.phase, Phase::Known | Phase::Claimed);
        let is_full = is_looked_through && self.is_behind(leave) && !self.has_room(leave);
        let may_go_on = self.overflow.iter().all(|overflowing| !overflowing.is_kept);
        (is_full && may_go_on).then(|| since + self.linger(leave))
    }

    /// Takes out the first event that waits, to be given up for want of room, if that may be. It comes to its end by
    /// [`Shelf::end_overflow`] or [`Shelf::keep_overflow`], which want the ticket that it is given.
    pub fn next_overflow(&mut self, leave: Leave, now: Instant) -> Option<(u64, Delivery)> {
        self.overflows_at(leave).filter(|at| *at <= now)?;
        let delivery = self.behind.pop_front()?;
        self.behind_bytes = self.behind_bytes.saturating_sub(segment::bytes_of(&delivery.event));
        if self.behind.is_empty() {
            self.behind_since = None;
        }
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.overflow.push(Overflowing { ticket, delivery: delivery.clone(), is_kept: false });
        Some((ticket, delivery))
    }

    /// An event that was taken out has come to its end; `false` when it is not here.
    pub fn end_overflow(&mut self, ticket: u64, now: Instant) -> bool {
        let Some(place) = self.place_of(ticket) else { return false };
        self.overflow.remove(place);
        self.put_kept_back(now);
        true
    }

    /// An event that was taken out could not be ended. When no other is on its way, all such are back at their place.
    pub fn keep_overflow(&mut self, ticket: u64, now: Instant) {
        if let Some(overflowing) = self.place_of(ticket).and_then(|place| self.overflow.get_mut(place)) {
            overflowing.is_kept = true;
        }
        self.put_kept_back(now);
    }

    /// What was taken out is back at its place, all of it.
    pub fn keep_all_overflow(&mut self, now: Instant) {
        for overflowing in &mut self.overflow {
            overflowing.is_kept = true;
        }
        self.put_kept_back(now);
    }

    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.overflow.iter().position(|overflowing| overflowing.ticket == ticket)
    }

    fn put_kept_back(&mut self, now: Instant) {
        if !self.overflow.is_empty() && self.overflow.iter().all(|overflowing| overflowing.is_kept) {
            let kept = self.overflow.drain(..).map(|overflowing| overflowing.delivery).collect();
            self.push_before(kept, now);
        }
    }
}
