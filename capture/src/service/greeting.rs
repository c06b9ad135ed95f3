//! What is checked of a Hello before its consumer joins.

use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Status;
use twinroute_proto::capture::v1 as proto;

use super::creation::selection;
use super::finding::{here, running};
use super::session::Session;
use crate::clock::now_ms;
use crate::gap;
use crate::live::LiveRefused;
use crate::state::{Request, Running};

/// Longest `consumer_id`, in bytes: enough for a host name and a process.
const CONSUMER_ID_BYTES_MAX: usize = 256;

/// Longest `group_token`, in bytes: enough for any id of a store.
const GROUP_TOKEN_BYTES_MAX: usize = 256;

impl Session {
    /// The consumer may join; gives what.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn admit(&self, hello: &proto::Hello) -> Result<Running, Status> {
        let id = &hello.consumer_id;
        if id.is_empty() || id.len() > CONSUMER_ID_BYTES_MAX {
            let reason = format!("Hello.consumer_id must have 1 to {CONSUMER_ID_BYTES_MAX} bytes");
            return Err(Status::invalid_argument(reason));
        }
        match &hello.source {
            Some(proto::hello::Source::Subscription(name)) => self.admit_to(name, hello).await,
            Some(proto::hello::Source::Live(_)) => self.admit_live(hello).await,
            None => Err(Status::invalid_argument("Hello names no subscription")),
        }
    }

    /// To a durable subscription.
    async fn admit_to(&self, name: &str, hello: &proto::Hello) -> Result<Running, Status> {
        let running = running(&self.catalog, name)?;
        if hello.filter.is_some() {
            return Err(Status::invalid_argument(
                "Hello.filter is for live subscriptions; a durable one has its filter from CreateSubscription",
            ));
        }
        let consumers = running.hub.with(|subscription| subscription.consumer_count());
        if consumers >= self.settings.stream.consumers_max {
            return Err(Status::resource_exhausted(format!(
                "{consumers} consumers are connected, which is stream.consumers_max"
            )));
        }
        check_token("Hello.group_token", &hello.group_token)?;
        // First, so that who is not of the group stops nothing by what it says that it remembers.
        self.agree(&running, &hello.group_token).await?;
        if let Some(last_seen) = &hello.last_seen {
            compare(&running, last_seen).await?;
        }
        Ok(running)
    }

    /// To what happens from now on. There is nothing to share with others, and nothing to come back to.
    async fn admit_live(&self, hello: &proto::Hello) -> Result<Running, Status> {
        here(&self.catalog)?;
        if hello.last_seen.is_some() || !hello.group_token.is_empty() {
            return Err(Status::invalid_argument(
                "Hello.last_seen and Hello.group_token are for durable subscriptions; leave them out of a live one",
            ));
        }
        let selection = selection("Hello.filter", hello.filter.clone().unwrap_or_default())?;
        self.live.join(selection).await.map_err(|refused| match refused {
            LiveRefused::Full(_) => Status::resource_exhausted(refused.to_string()),
            LiveRefused::NoStream(_) => Status::unavailable(refused.to_string()),
        })
    }

    /// All consumers bring the same group token, which is the first that is not empty.
    async fn agree(&self, running: &Running, token: &str) -> Result<(), Status> {
        let mut kept = running.hub.with(|subscription| subscription.group_token().to_owned());
        if kept.is_empty() && !token.is_empty() {
            let (answer, answered) = oneshot::channel();
            let store = async {
                let request = Request::GroupToken { token: token.to_owned(), kept: answer };
                let requests = running.requests.as_ref().ok_or(())?;
                requests.send(request).await.map_err(drop)?;
                answered.await.map_err(drop)
            };
            kept = match timeout(self.settings.postgres.answer_deadline(), store).await {
                Ok(Ok(kept)) => kept,
                _ => return Err(Status::unavailable("group_token could not be stored; connect again")),
            };
        }
        if kept == token {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "Hello.group_token is `{token}`, and the consumers of this subscription have `{kept}`: they must share \
             what it stands for. ResumeSubscription with new_group_token changes it"
        )))
    }
}

/// What the consumer remembers must exist, or the subscription is stopped. What no capture can have sent is the
/// consumer's own mistake.
async fn compare(running: &Running, last_seen: &proto::LastSeen) -> Result<(), Status> {
    let Some(position) = last_seen.position.filter(|_| last_seen.timeline > 0) else {
        let reason = "Hello.last_seen must have a timeline and a position, or be absent";
        return Err(Status::invalid_argument(reason));
    };
    let hub = &running.hub;
    let identity = &hub.identity;
    let received = hub.with(|subscription| subscription.received());
    let (incarnation, server) = (identity.incarnation, &identity.server);
    let (timeline, seen) = (last_seen.timeline, position.into());
    if let Some(what) = gap::impossible(incarnation, server, timeline, seen, now_ms()) {
        let reason = format!("Hello.last_seen is nothing that was ever sent: {what}");
        return Err(Status::invalid_argument(reason));
    }
    let gap = gap::of_last_seen(incarnation, server, received, timeline, seen);
    let Some(gap) = gap else { return Ok(()) };
    let stopped = Status::unavailable(format!("the subscription is stopped: {}", gap.reason));
    // The stream ends with all others as soon as it is stored.
    if let Some(requests) = &running.requests {
        drop(requests.send(Request::Stop(gap)).await);
    }
    Err(stopped)
}

/// A group token of any content, but not of any length.
pub(super) fn check_token(field: &str, token: &str) -> Result<(), Status> {
    if token.len() > GROUP_TOKEN_BYTES_MAX {
        let reason = format!("{field} must have at most {GROUP_TOKEN_BYTES_MAX} bytes");
        return Err(Status::invalid_argument(reason));
    }
    Ok(())
}
