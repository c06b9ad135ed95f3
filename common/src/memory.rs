//! What a process holds in memory: looked at again and again, and judged by a part of its limit.

mod mark;

use std::time::Duration;

use memory_stats::memory_stats;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use self::mark::Mark;

/// Time between two looks. A few MiB are read in it.
const LOOK: Duration = Duration::from_millis(20);

/// Tells `seen` how many bytes are resident, again and again until `stop`, on a thread of its own: while much is to do, no
/// other is free.
///
/// # Errors
/// When there can be no more threads.
pub fn watch(stop: CancellationToken, mut seen: impl FnMut(u64) + Send + 'static) -> std::io::Result<()> {
    let looking = move || {
        while !stop.is_cancelled() {
            std::thread::sleep(LOOK);
            let Some(resident) = memory_stats().map(|stats| stats.physical_mem as u64) else {
                warn!("the memory of this process cannot be read, so memory.bytes_max is not watched");
                return;
            };
            seen(resident);
        }
    };
    std::thread::Builder::new().name("memory".to_owned()).spawn(looking).map(drop)
}
