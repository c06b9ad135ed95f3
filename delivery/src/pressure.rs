//! Keeps the worker under `memory.bytes_max`: says when memory is short.
//!
//! What endpoints copy and read back has bounds of its own ([`crate::space`]). What else comes in comes by the credit that is
//! given and by dead letters that are sent again: while memory is short there is no more of either than is needed to go on.
//! What is there already is delivered or parked meanwhile, and so leaves.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use twinroute_common::memory::{self, Mark};
use twinroute_common::outage::Outage;

use crate::metrics::MemoryMetrics;

const MIB: u64 = 1 << 20;

/// Memory is short when so many sixteenths of the limit are resident: what there is credit for may come all the same, and be
/// copied for sinks.
const SHORT_SIXTEENTHS: u64 = 10;

/// It is told when it lasts so long: under full load it comes and goes.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// Whether memory is short, now and whenever that changes.
pub type Shortage = watch::Receiver<bool>;

/// Looks again and again, until `stop`, whether memory is short. `bytes_max` is `memory.bytes_max`.
///
/// # Errors
/// When there can be no more threads.
pub fn watch(bytes_max: u64, metrics: MemoryMetrics, stop: CancellationToken) -> std::io::Result<Shortage> {
    metrics.bytes_max.set(bytes_max);
    let (told, shortage) = watch::channel(false);
    let mut mark = Mark::at_sixteenths(SHORT_SIXTEENTHS, bytes_max);
    let place = format!("memory.bytes_max {} MiB", bytes_max / MIB);
    let mut since: Option<Instant> = None;
    let mut pause = Outage::new("take more events in", place);
    memory::watch(stop, move |resident| {
        let is_short = mark.is_over(resident);
        metrics.bytes.set(resident);
        metrics.paused.set(i64::from(is_short));
        told.send_if_modified(|known| std::mem::replace(known, is_short) != is_short);
        if !is_short {
            since = None;
            pause.works();
        } else if since.get_or_insert_with(Instant::now).elapsed() >= TOLD_AFTER {
            pause.failed(&format!("{} MiB are taken", resident / MIB));
        }
    })?;
    Ok(shortage)
}
