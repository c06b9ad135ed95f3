//! Who holds the partitions, as capture tells.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use twinroute_proto::capture::v1::{GetCaptureStatusRequest, capture_service_client::CaptureServiceClient};
use twinroute_tests::{services::Service, wait};

use crate::scene::DEADLINE;

/// Waits until so many workers hold partitions, and no partition is without a holder.
pub(crate) async fn until_held_by(capture: &Service, workers: usize) -> Result<()> {
    let capture = CaptureServiceClient::connect(format!("http://{}", capture.grpc())).await?;
    wait::until(DEADLINE, &format!("{workers} workers to hold all partitions"), async || {
        let status = capture.clone().get_capture_status(GetCaptureStatusRequest {}).await?.into_inner();
        let partitions = status.subscriptions.iter().flat_map(|subscription| &subscription.partitions);
        let holders: BTreeSet<_> = partitions.map(|partition| &*partition.consumer_id).collect();
        ensure!(holders.len() == workers && !holders.contains(""), "{holders:?}");
        Ok(())
    })
    .await
}
