//! What of a pass is in memory: letters that are being read, and events that are with the endpoint.

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use twinroute_common::dead_letter::LetterName;

use crate::delivery::Redriven;
use crate::endpoint::Fate;

/// Events of a job that are with the endpoint or on the way to it at a time, and the size of their letters in bytes.
const EVENTS_MAX: usize = 256;
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How much there is.
#[derive(Debug, Default)]
pub(super) struct Room {
    events: usize,
    bytes: u64,
}

impl Room {
    /// A letter of so many bytes has room: any has when there is nothing else. While memory is short no other has.
    pub(super) fn is_for(&self, bytes: u64, is_short: bool) -> bool {
        let has_room = self.events < EVENTS_MAX && self.bytes + bytes <= BYTES_MAX;
        self.events == 0 || (has_room && !is_short)
    }

    /// A letter is read.
    pub(super) fn take(&mut self, bytes: u64) {
        self.events += 1;
        self.bytes += bytes;
    }

    /// A letter is done with.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.events -= 1;
        self.bytes -= bytes;
    }
}

/// Events that are with the endpoint.
#[derive(Default)]
pub(super) struct Answers(FuturesUnordered<BoxFuture<'static, Answered>>);

/// What became of an event.
pub(super) struct Answered {
    /// Which one.
    pub(super) redriven: Redriven,
    /// Name of its letter, and its size in bytes.
    pub(super) letter: (LetterName, u64),
    /// `None` when it was given back.
    pub(super) fate: Option<Fate>,
}

impl Answers {
    /// Waits for one more.
    pub(super) fn push(
        &mut self,
        redriven: Redriven,
        letter: (LetterName, u64),
        fate: oneshot::Receiver<Fate>,
    ) {
        self.0.push(Box::pin(async move { Answered { redriven, letter, fate: fate.await.ok() } }));
    }

    /// The next one; `None` when none is awaited.
    pub(super) async fn next(&mut self) -> Option<Answered> {
        self.0.next().await
    }

    /// None is awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_as_much_as_may_be_and_always_for_one() {
        let mut room = Room::default();
        assert!(room.is_for(BYTES_MAX * 2, true));
        room.take(BYTES_MAX - 1);
        assert!(room.is_for(1, false) && !room.is_for(1, true) && !room.is_for(2, false));
        room.give_back(BYTES_MAX - 1);
        (0..EVENTS_MAX).for_each(|_| room.take(1));
        assert!(!room.is_for(1, false));
    }
}
