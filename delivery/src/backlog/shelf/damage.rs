//! A damaged segment of a shelf: nothing behind it goes on until it is skipped, and that is durable.
//!
//! Its object is given another name, under which no holder adopts it. Whoever takes the partition over before that is done
//! finds it damaged still; whoever does it afterwards finds the record of the gap.
//!
//! That a segment is gone is known to the holder that misses it, and to no other: a listing passes it by.

use super::{Damaged, Shelf};
use crate::backlog::name::{ObjectKind, SegmentName};
use crate::backlog::operation::Operation;
use crate::backlog::segment::Damage;

impl Shelf {
    /// The segment that cannot be read, if there is one, until it is set aside; it is the next in the order of delivery.
    #[must_use]
    pub fn damaged(&self) -> Option<Damaged> {
        let (name, damage) = self.segments.damage()?;
        Some(self.description(name, damage))
    }

    /// Skips the damaged segment, if `object` is the path of its object; `false` when it is not.
    pub fn skip(&mut self, object: &str) -> bool {
        let is_it = self.damaged().is_some_and(|damaged| damaged.object == object);
        if is_it {
            self.segments.skip();
        }
        is_it
    }

    /// The operation that sets the skipped segment aside, unless it has failed and waits.
    pub(super) fn skip_next(&self) -> Option<Operation> {
        let (name, _) = self.segments.skipped()?;
        let is_waiting = self.waits(|operation| matches!(operation, Operation::Rename(..)));
        (!is_waiting).then(|| {
            let [from, to] = [ObjectKind::Segment(name.clone()), ObjectKind::Skipped(name.clone())];
            Operation::Rename(self.folder.object(&from), self.folder.object(&to))
        })
    }

    /// The skipped segment is set aside. A note of what was delivered of it has no more use.
    pub(super) fn set_aside(&mut self) -> Option<Damaged> {
        let (name, damage) = self.segments.forget_skipped()?;
        self.garbage.push(self.folder.object(&ObjectKind::Delivered(name.clone())));
        Some(self.description(&name, &damage))
    }

    fn description(&self, name: &SegmentName, damage: &Damage) -> Damaged {
        Damaged {
            object: self.folder.object(&ObjectKind::Segment(name.clone())),
            partition: self.partition,
            events: name.events,
            damage: damage.clone(),
        }
    }
}
