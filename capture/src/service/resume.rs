//! `ResumeSubscription`: an operator's decision, handed to whoever may carry it out.

use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Status;
use twinroute_proto::capture::v1 as proto;

use super::CaptureGrpc;
use super::finding::{running_now, served};
use super::greeting::check_token;
use crate::state::{Request, Resume, ResumeRefused, State};

impl CaptureGrpc {
    /// Carries the decision out, and waits until the subscription streams again, for an answer's time at most.
    pub(super) async fn resume(
        &self,
        request: proto::ResumeSubscriptionRequest,
    ) -> Result<proto::Subscription, Status> {
        let proto::ResumeSubscriptionRequest { name, accept_gap_at, new_group_token } = request;
        let served = served(&self.catalog, &name)?;
        if accept_gap_at.is_none() && new_group_token.is_none() {
            return Err(Status::invalid_argument("give accept_gap_at, new_group_token, or both"));
        }
        check_token("new_group_token", new_group_token.as_deref().unwrap_or_default())?;
        let (answer, answered) = oneshot::channel();
        let resume = Resume {
            accept_gap_at: accept_gap_at.map(Into::into),
            new_group_token: new_group_token.clone(),
            answer,
        };
        let state = served.state.borrow().clone();
        let deadline = self.settings.postgres.answer_deadline();
        let decide = async {
            match &state {
                State::Stopped(stopped) => stopped.resumes.send(resume).await.map_err(drop)?,
                State::Streaming(running) => {
                    let requests = running.requests.as_ref().ok_or(())?;
                    requests.send(Request::Resume(resume)).await.map_err(drop)?;
                }
                State::Connecting { .. } | State::Standby { .. } => return Ok(running_now(&served).map(drop)),
            }
            Ok(answered.await.map_err(drop)?.map_err(refusal))
        };
        match timeout(deadline, decide).await {
            Ok(Ok(decided)) => decided?,
            Ok(Err(())) => return Err(Status::unavailable("the subscription is starting anew; call again")),
            Err(_) => {
                return Err(Status::deadline_exceeded("PostgreSQL does not answer; look at the status"));
            }
        }
        if accept_gap_at.is_some() {
            // Not an error if it takes longer: the answer tells what the subscription does then.
            let mut state = served.state.clone();
            let goes_on = state.wait_for(|state| matches!(state, State::Streaming(_)));
            drop(timeout(deadline, goes_on).await);
        }
        let mut subscription = self.status.subscription(&served);
        // Stored already, also where the subscription is starting anew and does not show it yet.
        if let Some(token) = new_group_token {
            subscription.group_token = token;
        }
        Ok(subscription)
    }
}

fn refusal(refused: ResumeRefused) -> Status {
    let reason = refused.to_string();
    match refused {
        ResumeRefused::NotStopped | ResumeRefused::OtherPosition(_) => Status::failed_precondition(reason),
        ResumeRefused::Failed(_) => Status::unavailable(reason),
    }
}
