//! One connection, from its CONNECT to its last acknowledgement.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use super::bounds::{Bounds, Message};
use super::protocol::{Protocol, Signal, lost};
use super::reason;
use super::settings::Settings;
use crate::sink::port::Port;
use crate::sink::{Reachability, SinkError, Submission, Verdict};

/// Why a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The sink stops.
    Stopped,
    /// It was lost, or not made.
    Lost {
        /// Why, for people.
        why: String,
        /// How long the server had accepted it.
        up: Duration,
    },
    /// The server has refused a message in a way that ends the connection and does not tell which.
    Refused {
        /// Why, for people.
        why: String,
        /// The reason code.
        reason: u8,
    },
}

/// Messages without acknowledgement, by the order they were published in.
#[derive(Debug, Default)]
struct Open {
    messages: BTreeMap<u64, (u64, Instant)>,
    next: u64,
}

impl Open {
    /// The message's place.
    fn insert(&mut self, token: u64, deadline: Instant) -> u64 {
        let place = self.next;
        self.next += 1;
        self.messages.insert(place, (token, deadline));
        place
    }

    /// The token of the message at the place.
    fn remove(&mut self, place: u64) -> Option<u64> {
        self.messages.remove(&place).map(|(token, _)| token)
    }

    /// When the first message should have been acknowledged.
    fn deadline(&self) -> Option<Instant> {
        self.messages.first_key_value().map(|(_, (_, deadline))| *deadline)
    }
}

/// Connects and publishes until the connection is lost or the sink stops. Everything is answered then.
///
/// While some are to be sent `one_by_one`, nothing is sent before the last one is acknowledged: so a message that the server
/// refuses by ending the connection is found, and only that one is refused.
pub(super) async fn run<P: Protocol>(port: &mut Port, settings: &Settings, one_by_one: &mut usize) -> End {
    let (client, signals) = match P::connect(settings) {
        Ok(connection) => connection,
        Err(error) => return End::Lost { why: error.message, up: Duration::ZERO },
    };
    let mut signals = pin!(signals);
    let mut acknowledged = FuturesUnordered::new();
    let mut open = Open::default();
    let mut up: Option<(Bounds, Instant)> = None;
    let mut taken = Vec::new();
    let connect_deadline = Instant::now() + settings.connect_deadline();
    let stop = port.stop.clone();
    let end = loop {
        let room = in_flight_max(up, *one_by_one).saturating_sub(open.messages.len());
        let deadline = if up.is_none() { Some(connect_deadline) } else { open.deadline() };
        tokio::select! {
            biased;
            // Reads and writes; everything else depends on it.
            signal = signals.next() => match signal {
                Some(Signal::Up(of_server)) => {
                    up = Some((of_server, Instant::now()));
                    port.tell(Reachability::Connected);
                }
                Some(Signal::Traffic) => {}
                Some(Signal::Down { why, about_message }) => break match about_message {
                    Some(reason) if !open.messages.is_empty() => End::Refused { why, reason },
                    _ => lost_connection(why, up),
                },
                None => break lost_connection("it is closed".to_owned(), up),
            },
            Some((place, verdict)) = acknowledged.next() => {
                *one_by_one = one_by_one.saturating_sub(1);
                answer(port, &mut open, place, verdict).await;
            }
            () = stop.cancelled(), if up.is_none() || open.messages.is_empty() => break End::Stopped,
            count = port.submissions.recv_many(&mut taken, room), if room > 0 && !stop.is_cancelled() => {
                if count == 0 {
                    stop.cancel();
                }
                for Submission { token, event, .. } in taken.drain(..) {
                    let message = settings.topic.topic(&event).map(|topic| {
                        Message { topic, payload: Bytes::from(event.to_structured_json()) }
                    });
                    match message.and_then(|message| publish(&client, message, settings, up.map(|(bounds, _)| bounds))) {
                        Ok(verdict) => {
                            let place = open.insert(token, Instant::now() + settings.ack_deadline());
                            acknowledged.push(verdict.map(move |verdict| (place, verdict)));
                        }
                        Err(error) => port.answers.send(token, refusal(error)).await,
                    }
                }
            }
            () = sleep_until(deadline) => {
                break lost_connection("the server does not answer in time".to_owned(), up);
            }
        }
    };
    while let Some(Some((place, verdict))) = acknowledged.next().now_or_never() {
        // What the library gives up with the connection is answered below.
        if !matches!(&verdict, Verdict::Retryable(error) if !error.about_event) {
            answer(port, &mut open, place, verdict).await;
        }
    }
    if end == End::Stopped {
        say_goodbye(&client, signals.map(|_| ())).await;
    }
    let left = answer_rest(port, open, &end).await;
    *one_by_one = if matches!(end, End::Refused { .. }) && left > 1 { left } else { 0 };
    end
}

/// How many messages may be open.
fn in_flight_max(up: Option<(Bounds, Instant)>, one_by_one: usize) -> usize {
    match up {
        None => 0,
        Some(_) if one_by_one > 0 => 1,
        Some((bounds, _)) => bounds.in_flight_events_max,
    }
}

/// Answers what was open when the connection ended; how many that were.
async fn answer_rest(port: &Port, open: Open, end: &End) -> usize {
    let count = open.messages.len();
    for (token, _) in open.messages.into_values() {
        port.answers.send(token, left_open(end, count)).await;
    }
    count
}

/// The verdict on one of so many messages that were open when the connection ended.
fn left_open(end: &End, open: usize) -> Verdict {
    match end {
        End::Refused { why, reason } if open == 1 => reason::verdict(*reason, Some(why)),
        End::Refused { why, .. } | End::Lost { why, .. } => lost(why),
        End::Stopped => lost("the sink stops"),
    }
}

async fn answer(port: &Port, open: &mut Open, place: u64, verdict: Verdict) {
    if let Some(token) = open.remove(place) {
        port.answers.send(token, verdict).await;
    }
}

fn publish<'a, P: Protocol>(
    client: &'a P,
    message: Message,
    settings: &Settings,
    bounds: Option<Bounds>,
) -> Result<impl Future<Output = Verdict> + Send + use<'a, P>, SinkError> {
    if let Some(bounds) = bounds {
        bounds.check(&message, settings.qos, P::PROPERTIES_BYTES).map_err(|bytes| {
            let max = bounds.packet_bytes_max;
            SinkError::about_event(
                "PACKET_TOO_LARGE",
                format!("its packet has {bytes} bytes, and the server or this worker takes {max}"),
            )
        })?;
    }
    client.publish(message)
}

/// What cannot be sent because of the event can never be.
fn refusal(error: SinkError) -> Verdict {
    if error.about_event { error.permanent() } else { error.retryable() }
}

fn lost_connection(why: String, up: Option<(Bounds, Instant)>) -> End {
    End::Lost { why, up: up.map_or(Duration::ZERO, |(_, since)| since.elapsed()) }
}

/// Gives the client library a moment to send DISCONNECT.
async fn say_goodbye<P: Protocol>(client: &P, signals: impl futures_util::Stream<Item = ()>) {
    const MOMENT: Duration = Duration::from_millis(100);
    client.disconnect();
    let _ = tokio::time::timeout(MOMENT, signals.for_each(|()| async {})).await;
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
