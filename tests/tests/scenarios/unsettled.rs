//! How late events are while a fault lasts: an eye on the oldest one that is not settled, and on the slot.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use twinroute_proto::capture::v1::{GetCaptureStatusRequest, capture_service_client::CaptureServiceClient};
use twinroute_tests::services::Service;

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is promised of the other endpoints while one is broken: the oldest event's age. The slot moves all the time; a busy
/// machine may hold it up for a moment.
const OLDEST_MAX: Duration = Duration::from_secs(10);
const STANDSTILL_MAX: Duration = Duration::from_secs(20);

/// Looks that go on.
pub(crate) struct Unsettled {
    enough: CancellationToken,
    looks: JoinHandle<Result<Seen>>,
}

/// What was seen at worst.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The greatest age of the oldest unsettled event.
    pub(crate) oldest: Duration,
    /// The longest time in which the slot did not move.
    pub(crate) standstill: Duration,
}

impl Unsettled {
    /// Looks from now on.
    pub(crate) async fn watch(capture: &Service) -> Result<Self> {
        let mut capture = CaptureServiceClient::connect(format!("http://{}", capture.grpc())).await?;
        let enough = CancellationToken::new();
        let is_enough = enough.clone();
        let looks = tokio::spawn(async move {
            let (mut seen, mut moved, mut confirmed) = (Seen::default(), Instant::now(), 0);
            let mut pace = tokio::time::interval(INTERVAL);
            while !is_enough.is_cancelled() {
                pace.tick().await;
                let status = capture.get_capture_status(GetCaptureStatusRequest {}).await?.into_inner();
                let status = status.subscriptions.into_iter().next().context("no subscription")?;
                let age = status.oldest_unacked_age.map(Duration::try_from).transpose()?;
                seen.oldest = seen.oldest.max(age.unwrap_or_default());
                if status.confirmed_flush_lsn > confirmed {
                    (moved, confirmed) = (Instant::now(), status.confirmed_flush_lsn);
                }
                seen.standstill = seen.standstill.max(moved.elapsed());
            }
            Ok(seen)
        });
        Ok(Self { enough, looks })
    }

    /// Ends the looks. No event may have waited for longer than is promised, nor the slot.
    pub(crate) async fn end(self) -> Result<Seen> {
        self.enough.cancel();
        let seen = self.looks.await??;
        ensure!(seen.oldest < OLDEST_MAX && seen.standstill < STANDSTILL_MAX, "{seen:?}");
        Ok(seen)
    }
}
