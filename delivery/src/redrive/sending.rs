//! How the letters of a pass are sent: read ahead in order, handed to the endpoint in order, and their fates noted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use hashbrown::HashSet;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use twinroute_common::cloud_event::CloudEvent;

use super::letters;
use super::pace::Pace;
use super::plan::Planned;
use super::runner::{Pass, Runner};
use super::window::{Answered, Answers, Room};
use crate::delivery::Redriven;
use crate::endpoint::{Fate, Redrive, State, StoredLetter};

/// Letters that are read at a time.
const READING_MAX: usize = 8;
/// How often is looked how the endpoint is.
const LOOK: Duration = Duration::from_secs(1);

impl Runner {
    /// Hands letters over in order. The partitions of those that were not sent, or given back.
    pub(super) async fn send(
        &mut self,
        pass: &Pass<'_>,
        letters: Vec<Planned>,
    ) -> Result<HashSet<u32>, String> {
        let mut given_back = HashSet::new();
        let scope = pass.scope;
        let mut pace =
            Pace::new(self.job.events_per_second_max, scope.partitions.len(), scope.partition_count);
        let (mut room, mut answers) = (Room::default(), Answers::default());
        let mut letters = letters.into_iter().peekable();
        let mut reading = FuturesOrdered::new();
        let mut failure = None;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let may_send = failure.is_none() && !pass.over.is_cancelled();
            while may_send
                && reading.len() < READING_MAX
                && let is_short = *self.context.shortage.borrow()
                && let Some(letter) = letters.next_if(|letter| room.is_for(letter.bytes, is_short))
            {
                room.take(letter.bytes);
                let (container, job) = (pass.container.clone(), self.job.clone());
                reading
                    .push_back(async move { (letters::read(&container, &job, &letter.name).await, letter) });
            }
            tokio::select! {
                biased;
                Some(answered) = answers.next() => {
                    room.give_back(answered.letter.1);
                    if let Err(why) = self.note(answered, &mut given_back) {
                        failure = Some(why);
                    }
                }
                Some((read, letter)) = reading.next(), if may_send => match read {
                    Ok(Some(Ok(event))) => {
                        pace.wait().await;
                        self.notes.room().await;
                        self.hand_over(pass, &mut answers, letter, event).await;
                    }
                    other => {
                        room.give_back(letter.bytes);
                        match other {
                            Err(error) => failure = Some(error.to_string()),
                            Ok(Some(Err(why))) => self.give_up(letter.name.event_id(), &why),
                            Ok(_) => {}
                        }
                    }
                },
                _ = look.tick(), if !answers.is_empty() => self.note_endpoint(pass),
                else => break,
            }
        }
        if pass.over.is_cancelled() {
            // What was planned and is not sent any more.
            given_back.extend(scope.partitions.keys());
        }
        failure.map_or(Ok(given_back), Err)
    }

    async fn hand_over(
        &self,
        pass: &Pass<'_>,
        answers: &mut Answers,
        letter: Planned,
        event: Arc<CloudEvent>,
    ) {
        let Planned { name, partition, bytes, .. } = letter;
        let Some(&lease) = pass.scope.partitions.get(&partition) else { return };
        let (answer, fate) = oneshot::channel();
        let redriven = Redriven { lease, partition, event_id: event.id };
        answers.push(redriven, (name.clone(), bytes), fate);
        let folder = self.job.selection.endpoint.as_str().into();
        let redrive = Redrive {
            event,
            redriven,
            letter: StoredLetter { container: pass.container.clone(), folder, name },
            job: Arc::clone(&self.job.id),
            pass_over: pass.over.clone(),
            answer,
        };
        if pass.endpoint.send(redrive).await.is_err() {
            // The endpoint has ended: its answer is that it gives back.
            pass.over.cancel();
        }
    }

    /// Notes what became of an event. Why nothing more is sent for now.
    fn note(&mut self, answered: Answered, given_back: &mut HashSet<u32>) -> Result<(), String> {
        let Answered { redriven: Redriven { event_id, partition, .. }, letter: (name, _), fate } = answered;
        match fate {
            Some(Fate::Delivered) => self.notes.outcome(event_id, true, ""),
            Some(Fate::Failed(why)) => self.give_up(event_id, &why),
            Some(Fate::Undeleted(why)) => {
                self.notes.outcome(event_id, true, "");
                self.passed_over.insert(event_id);
                self.undeleted.push(name);
                return Err(format!("a letter that was sent cannot be deleted: {why}"));
            }
            None => {
                given_back.insert(partition);
            }
        }
        Ok(())
    }

    /// While events wait for their answers, the endpoint may be why.
    fn note_endpoint(&self, pass: &Pass<'_>) {
        let report = pass.endpoint_report.borrow();
        self.notes.error(if report.state == State::Down { &report.last_error } else { "" });
    }
}
