//! What `make demo CHAOS=1` does while the factory works: it kills (-9) a worker, then Kafka, then capture.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::screen::say;
use crate::stack::Stack;

/// What happens beside the work of the factory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Calm,
    /// One process after the other is killed.
    Chaos,
}

/// How long all goes well before each blow: long enough to see that it does. And how long Kafka is away: longer than
/// `endpoint.park_after_ms`.
const PAUSE: Duration = Duration::from_secs(7);

impl Weather {
    /// How long the factory works.
    pub(super) fn busy(self) -> Duration {
        match self {
            Self::Calm => Duration::from_secs(20),
            Self::Chaos => Duration::from_secs(45),
        }
    }

    /// What is said of it before the demo begins.
    pub(super) fn introduction(self) -> &'static str {
        match self {
            Self::Calm => "",
            Self::Chaos => {
                "Meanwhile a worker, Kafka and capture are killed (-9), one after the other, and started again. Some events may\n\
                 come twice then, with equal ids; none may be lost.\n"
            }
        }
    }

    /// Strikes, while the factory works.
    ///
    /// # Errors
    /// When something cannot be killed, or does not start again.
    pub(super) async fn strike(self, stack: &mut Stack) -> Result<()> {
        if self == Self::Calm {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        let mut worker = stack.workers.pop().context("there is no worker")?;
        worker.kill().await?;
        told("a worker is killed (-9): its partitions go to the other one, from where it had acknowledged")?;
        stack.add_worker()?;
        tokio::time::sleep(PAUSE).await;
        stack.servers.kafka.kill().await?;
        told("Kafka is killed (-9): its events are parked, MQTT and Kusto go on")?;
        tokio::time::sleep(PAUSE).await;
        stack.servers.kafka.start_again().await?;
        told("Kafka is back: what is parked comes first, in order")?;
        tokio::time::sleep(PAUSE).await;
        stack.capture.kill().await?;
        told("capture is killed (-9): PostgreSQL keeps the WAL")?;
        stack.capture.start_again()?;
        stack.capture.until_ready().await?;
        told("capture is back: it reads on from what was acknowledged")
    }
}

fn told(what: &str) -> Result<()> {
    say(&format!("\n  >>> {what}\n"))
}
