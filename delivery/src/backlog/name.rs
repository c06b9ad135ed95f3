//! The names of the objects of a parked backlog: they carry endpoint, partition, epoch and positions, so that a listing
//! tells all that must be known before anything is read.
//!
//! ```text
//! {subscription}/{endpoint}/{partition}/{epoch}/claim
//! {subscription}/{endpoint}/{partition}/{epoch}/{number}-{events}-{first}-{last}.segment
//! {subscription}/{endpoint}/{partition}/{epoch}/{number}-{events}-{first}-{last}.delivered
//! {subscription}/{endpoint}/{partition}/{epoch}/{number}-{events}-{first}-{last}.skipped
//! ```

use std::fmt;

use twinroute_common::partition::Epoch;

/// Name of the claim of an epoch.
const CLAIM: &str = "claim";

/// The folder of one endpoint's backlog in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(String);

/// Name of a segment. Ordered as segments of one folder are delivered: by epoch, then by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The epoch under which it was written.
    pub epoch: Epoch,
    /// Its number within the epoch, from 1.
    pub number: u64,
    /// Events in it.
    pub events: u64,
    /// The lowest CloudEvents `sequence` in it.
    pub first: String,
    /// The highest one.
    pub last: String,
}

/// What an object of a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// What the holder under this epoch adopts.
    Claim(Epoch),
    /// Parked events.
    Segment(SegmentName),
    /// Which events of a segment are delivered.
    Delivered(SegmentName),
    /// A damaged segment that was skipped: the record of a gap. Nothing adopts or deletes it.
    Skipped(SegmentName),
}

impl Folder {
    /// The folder of a subscription's endpoint in a partition.
    #[must_use]
    pub fn new(subscription: &str, endpoint: &str, partition: u32) -> Self {
        Self(format!("{subscription}/{endpoint}/{partition:05}"))
    }

    /// Path of the folder, without a slash at the end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Path of an object in it.
    #[must_use]
    pub fn object(&self, kind: &ObjectKind) -> String {
        let folder = &self.0;
        match kind {
            ObjectKind::Claim(epoch) => format!("{folder}/{}/{CLAIM}", Text(*epoch)),
            ObjectKind::Segment(name) => format!("{folder}/{name}.segment"),
            ObjectKind::Delivered(name) => format!("{folder}/{name}.delivered"),
            ObjectKind::Skipped(name) => format!("{folder}/{name}.skipped"),
        }
    }

    /// What the object at a path is; `None` for what is none of this folder's.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<ObjectKind> {
        let rest = path.strip_prefix(&*self.0)?.strip_prefix('/')?;
        let (epoch, file) = rest.split_once('/')?;
        let epoch = read_epoch(epoch)?;
        if file == CLAIM {
            return Some(ObjectKind::Claim(epoch));
        }
        let (stem, kind) = file.rsplit_once('.')?;
        let mut parts = stem.splitn(4, '-');
        let number = parts.next()?.parse().ok()?;
        let events = parts.next()?.parse().ok()?;
        let (first, last) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let name = SegmentName { epoch, number, events, first, last };
        match kind {
            "segment" => Some(ObjectKind::Segment(name)),
            "delivered" => Some(ObjectKind::Delivered(name)),
            "skipped" => Some(ObjectKind::Skipped(name)),
            _ => None,
        }
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, number, events, first, last } = self;
        write!(f, "{}/{number:08}-{events}-{first}-{last}", Text(*epoch))
    }
}

/// An epoch as text that sorts as epochs do.
struct Text(Epoch);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{:016x}", self.0.generation, self.0.counter)
    }
}

fn read_epoch(text: &str) -> Option<Epoch> {
    let (generation, counter) = text.split_once('.')?;
    let read = |part: &str| u64::from_str_radix(part, 16).ok();
    Some(Epoch { generation: read(generation)?, counter: read(counter)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let folder = Folder::new("delivery", "kafka-events", 7);
        let epoch = Epoch { generation: 3, counter: 18 };
        let name =
            SegmentName { epoch, number: 4, events: 120, first: "00a1".to_owned(), last: "00ff".to_owned() };
        let kinds = [
            ObjectKind::Claim(epoch),
            ObjectKind::Segment(name.clone()),
            ObjectKind::Delivered(name.clone()),
            ObjectKind::Skipped(name),
        ];
        for kind in kinds {
            assert_eq!(folder.read(&folder.object(&kind)), Some(kind));
        }
        assert_eq!(
            folder.object(&ObjectKind::Claim(epoch)),
            "delivery/kafka-events/00007/0000000000000003.0000000000000012/claim"
        );
    }

    #[test]
    fn what_belongs_elsewhere_is_not_read() {
        let folder = Folder::new("delivery", "kafka-events", 7);
        let other = Folder::new("delivery", "kafka-events", 8);
        let claim = other.object(&ObjectKind::Claim(Epoch::default()));
        assert_eq!(folder.read(&claim), None);
        assert_eq!(folder.read("delivery/kafka-events/00007/notes.txt"), None);
    }
}
