//! `ListSubscriptions`: pages of subscriptions, by name.

use tonic::Status;
use twinroute_proto::capture::v1 as proto;

use super::CaptureGrpc;

/// Entries of a page that names no size.
const PAGE_SIZE: u32 = 100;

/// Largest number of entries of a page.
const PAGE_SIZE_MAX: u32 = 1_000;

impl CaptureGrpc {
    /// A page. Its token is the last name of the page before, so that what comes and goes in between moves nothing.
    pub(super) fn list(
        &self,
        request: &proto::ListSubscriptionsRequest,
    ) -> Result<proto::ListSubscriptionsResponse, Status> {
        let size = match request.page_size {
            0 => PAGE_SIZE,
            size if size <= PAGE_SIZE_MAX => size,
            size => {
                let reason = format!("page_size is {size}; ask for {PAGE_SIZE_MAX} at most");
                return Err(Status::invalid_argument(reason));
            }
        };
        let mut all = self.catalog.all();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all.retain(|served| served.name > request.page_token);
        let is_last = all.len() <= size as usize;
        all.truncate(size as usize);
        let last = all.last().filter(|_| !is_last);
        Ok(proto::ListSubscriptionsResponse {
            next_page_token: last.map(|served| served.name.clone()).unwrap_or_default(),
            subscriptions: all.iter().map(|served| self.status.subscription(served)).collect(),
        })
    }
}
