//! A subscription that is stopped at a gap: it keeps its lock, and waits for somebody's decision.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use twinroute_common::causes::Causes;

use super::opening::AtGap;
use super::{Pipeline, PipelineError};
use crate::clock::now_ms;
use crate::gap::{self, Gap, Server};
use crate::postgres::control::{Control, ControlError};
use crate::postgres::labels::Labels;
use crate::postgres::row::{self, SubscriptionRow};
use crate::postgres::slot::{self, SlotView};
use crate::state::{Resume, ResumeRefused, State, Stopped};
use crate::wire::position_json;

impl Pipeline {
    /// Waits until the gap is accepted, or `stop`.
    pub(super) async fn stopped(
        &self,
        mut control: Control,
        server: &Server,
        (row, gap): AtGap,
        mut labels: Labels,
        stop: &CancellationToken,
    ) -> Result<(), PipelineError> {
        let name = &self.charge.name;
        // One decision at a time; the caller of the next one waits.
        let (resumes, mut decisions) = mpsc::channel(1);
        let stopped = Arc::new(Stopped { row, gap, resumes });
        error!(subscription = name, "stopped: {}", stopped.reason(name));
        self.teller.tell(State::Stopped(Arc::clone(&stopped)));
        let mut poll = interval(Duration::from_millis(self.settings.source.labels_poll_ms));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // Without the lock another capture may decide.
                () = control.lost() => return Err(PipelineError::LockLost),
                () = self.charge.ordered() => return Err(PipelineError::Ordered),
                // Others stream on, and need the new labels.
                _ = poll.tick(), if self.charge.follows_labels() => {
                    labels.follow(&control).await?;
                }
                Some(resume) = decisions.recv() => {
                    let Resume { accept_gap_at, new_group_token, answer } = resume;
                    let reported = stopped.gap.at;
                    if accept_gap_at.is_some_and(|position| position != reported) {
                        let refused = ResumeRefused::OtherPosition(position_json(reported));
                        drop(answer.send(Err(refused)));
                        continue;
                    }
                    let decided = async {
                        if let Some(token) = &new_group_token {
                            row::store_group_token(&control, name, token).await?;
                        }
                        if accept_gap_at.is_some() {
                            self.accept(&control, server, &stopped.row, &stopped.gap).await?;
                        }
                        Ok::<(), ControlError>(())
                    };
                    match decided.await {
                        Ok(()) => {
                            let what = match (accept_gap_at, &new_group_token) {
                                (Some(_), None) => "going on: a gap was accepted",
                                (Some(_), Some(_)) => "going on: a gap was accepted, and a group token given",
                                (None, _) => "taking up the new group token; the gap is not accepted",
                            };
                            self.connecting(what, Vec::new());
                            // A caller that is gone sees it in the status.
                            drop(answer.send(Ok(())));
                            return Ok(());
                        }
                        Err(error) => {
                            drop(answer.send(Err(ResumeRefused::Failed(Causes(&error).to_string()))));
                        }
                    }
                }
            }
        }
    }

    /// Makes a new slot where there is none that can be read on from, then stores the decision in one step. A crash in
    /// between leaves the subscription stopped at the same position.
    async fn accept(
        &self,
        control: &Control,
        server: &Server,
        row: &SubscriptionRow,
        gap: &Gap,
    ) -> Result<(), ControlError> {
        let name = &self.charge.name;
        let mut view = slot::view(control, &row.slot).await?;
        let is_unusable = |view: &SlotView| view.is_lost() || view.confirmed_flush_lsn > view.wal_end;
        if view.as_ref().is_some_and(is_unusable) {
            slot::remove(control, &row.slot).await?;
            view = None;
        }
        if view.is_none() {
            slot::create(control, &row.slot).await?;
            view = slot::view(control, &row.slot).await?;
        }
        let from = gap::first_new(row, server, &view.unwrap_or_default());
        let incarnation = gap::next_incarnation(row.incarnation.max(gap.at.incarnation), now_ms());
        let accepted = row.gaps.accept(gap, gap::boundary(incarnation, from));
        let place = (server.system_identifier.as_str(), server.timeline);
        row::store_accepted(control, name, place, &accepted).await?;
        warn!(
            subscription = name,
            last_known = %accepted.last_known.commit_lsn,
            first_new = %from,
            incarnation,
            "a gap was accepted: {}",
            accepted.reason
        );
        Ok(())
    }
}
