//! The subscription against a reference model, in a world where anything may happen at any time.
//!
//! [`World`] is what surrounds the real [`Subscription`]: the WAL, the stored row, and consumer processes that come, go,
//! freeze, wake up with what they knew, and acknowledge in any order. [`Reference`] has the rules, as plain as they can
//! be. After each step both must agree in everything that can be seen, and what crosses the stream must keep the rules:
//! nothing is lost, order within a partition, one holder, epochs that only grow (also over restarts), batches numbered
//! without holes, credit, fewest moves, handover only after Released, deadline or the end of the stream, and nothing
//! confirmed but ends of transactions before the oldest item that is not acknowledged.
//!
//! The test was itself tested, by breaking the rules on purpose, one at a time. It failed for each of these:
//!
//! - acks: one of an old epoch, or of another consumer, settles; a cumulative one settles only its own batch; one ahead of
//!   what was sent is taken; a late one is not answered by Fenced
//! - confirmed: over one un-acknowledged item; a keepalive over an unsettled transaction; back to an earlier end
//! - sending: a lost consumer's items not again; on after a revoke; batches numbered on over leases; a partition forgotten
//!   while others wait; credit of events not used up, of bytes not looked at, or what was overdrawn forgiven
//! - moving: without Released; by a Released of another assignment; never at the deadline, or at half of it; all dealt out
//!   anew; odd ones to somebody else; a second revoke before the first is answered; more to one that is leaving; nothing of
//!   a lost one's revoked partitions
//! - epochs: from the first generation again after a restart; twice for one partition
//! - `resume_after` of what was sent; `min_consumer_version` forgotten in a restart, or lowered
//! - counting: bytes that stay; a Discontinuity in one partition only
//! - stuck consumers: never seen; the last one too; own acks not counted; a pause of all counted
//!
//! It found three faults: acks in front of one that breaks the protocol were not confirmed until the next ack; a partition
//! that came back to a consumer waited twice in its queue; a stream in another's place had its partitions moved to others.

mod dice;
mod peer;
mod reference;
mod wal;
mod world;

use self::dice::Dice;
use self::reference::{History, Reference};
use self::world::World;
use super::*;

/// Worlds that are tried, each from a seed of its own.
const WORLDS: u64 = 1_000;

/// Steps in each.
const STEPS: u64 = 1_000;

/// Tells how to see a failure again.
struct Trace {
    seed: u64,
    step: u64,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the world of seed {} failed at step {}", self.seed, self.step);
        }
    }
}

#[test]
fn whatever_happens_the_subscription_keeps_the_rules() {
    for seed in 0..WORLDS {
        let mut trace = Trace { seed, step: 0 };
        let mut world = World::new(seed);
        for step in 0..STEPS {
            trace.step = step;
            world.step();
        }
        // In the end a consumer that works gets the rest, and all is confirmed.
        world.settle_everything();
    }
}
