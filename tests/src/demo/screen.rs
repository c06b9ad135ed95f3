//! Shows events while something else goes on: a sample of them, and a figure each second.

use std::{io::Write as _, pin::pin, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

use super::{
    expectation::expectations,
    line::{Colour, Lines, name},
    sample::Sample,
    tally::Tally,
    writer::Committed,
};
use crate::consumers::{Inbox, Received, Sink};

/// How often the screen is brought up to date: as fast as an eye follows.
const REFRESH: Duration = Duration::from_millis(100);

/// Time from one figure to the next.
const FIGURE: Duration = Duration::from_secs(1);

/// Time from one figure to the next while nothing happens.
const SILENCE: Duration = Duration::from_secs(10);

/// What the demo prints while events flow.
pub(super) struct Screen {
    /// Each with how many of its events were seen.
    inboxes: Vec<(Sink, Inbox, usize)>,
    committed: watch::Receiver<Committed>,
    colour: Colour,
    lines: Lines,
    sample: Sample,
    start: Instant,
    next_figure: Instant,
    /// Events that were not shown since the last figure.
    hidden: usize,
    /// The last figure, and when it was.
    told: (String, Instant),
}

impl Screen {
    /// Shows what arrives in `inboxes`, beside the number of changes that were committed.
    pub(super) fn new(
        inboxes: Vec<(Sink, Inbox)>,
        committed: watch::Receiver<Committed>,
        colour: Colour,
        lines: Lines,
    ) -> Self {
        let inboxes = inboxes.into_iter().map(|(sink, inbox)| (sink, inbox, 0)).collect();
        let (start, sample) = (Instant::now(), Sample::default());
        let (next_figure, told) = (start + FIGURE, (String::new(), start));
        Self { inboxes, committed, colour, lines, sample, start, next_figure, hidden: 0, told }
    }

    /// Shows events until `work` is done.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.refresh()?;
                    return Ok(done);
                }
                _ = refresh.tick() => self.refresh()?,
            }
        }
    }

    fn refresh(&mut self) -> Result<()> {
        for event in self.arrived() {
            let line = self.lines.line(&event);
            if self.sample.shows(&event) {
                say(&line)?;
            } else {
                self.hidden += 1;
            }
        }
        if Instant::now() >= self.next_figure {
            self.next_figure += FIGURE;
            self.figure()?;
        }
        Ok(())
    }

    /// The ledger so far, over all sinks.
    fn tally(&self) -> Tally {
        let expected = expectations(&self.committed.borrow());
        let of_sink =
            |(sink, inbox, _): &(Sink, Inbox, usize)| Tally::of(expected.at(*sink), &inbox.received());
        self.inboxes.iter().map(of_sink).sum()
    }

    /// What is new at all sinks, in the order of arrival.
    fn arrived(&mut self) -> Vec<Received> {
        let mut arrived = Vec::new();
        for (_, inbox, seen) in &mut self.inboxes {
            let new = inbox.after(*seen).now_or_never().unwrap_or_default();
            *seen += new.len();
            arrived.extend(new);
        }
        arrived.sort_by_key(|event| event.received_at);
        arrived
    }

    /// Prints how far things are, when that has changed.
    pub(super) fn figure(&mut self) -> Result<()> {
        let committed = self.committed.borrow().len();
        let sinks: Vec<_> =
            self.inboxes.iter().map(|(sink, _, seen)| format!("{} {seen}", name(*sink))).collect();
        let figure =
            format!("{committed} changes committed; arrived: {}; {}", sinks.join(", "), self.tally());
        if figure == self.told.0 && self.told.1.elapsed() < SILENCE {
            return Ok(());
        }
        let hidden = match std::mem::take(&mut self.hidden) {
            0 => String::new(),
            hidden => format!("; … {hidden} more not shown"),
        };
        let seconds = self.start.elapsed().as_secs();
        say(&self.colour.dim(&format!("{seconds:>4} s  {figure}{hidden}")))?;
        self.told = (figure, Instant::now());
        Ok(())
    }
}

/// Prints a line.
///
/// # Errors
/// When nobody reads any more: then there is nothing to go on for.
pub(super) fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("the output is closed")
}
