//! What this worker remembers of the stream: when it connects again, a position that the server does not have reveals a
//! database that was restored to an earlier time.

use twinroute_common::position::Position;
use twinroute_proto::capture::v1 as proto;

/// The furthest item that was received, over all streams of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastSeen {
    /// Timeline of the server that the current stream comes from.
    timeline: u32,
    /// The furthest position, and the timeline that it was received on.
    furthest: Option<(Position, u32)>,
}

impl LastSeen {
    /// A stream begins, from a server on this timeline.
    pub(super) fn welcomed(&mut self, timeline: u32) {
        self.timeline = timeline;
    }

    /// An item at this position was received.
    pub(super) fn received(&mut self, position: Position) {
        if self.furthest.is_none_or(|(furthest, _)| furthest < position) {
            self.furthest = Some((position, self.timeline));
        }
    }

    /// For the next Hello; `None` before anything was received.
    pub(super) fn told(self) -> Option<proto::LastSeen> {
        let (position, timeline) = self.furthest?;
        Some(proto::LastSeen { timeline, position: Some(position.into()) })
    }
}
