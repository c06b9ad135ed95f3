//! Claims: which segments of earlier holders a new holder adopts, and which it leaves behind.
//!
//! Object stores do not know leases. So a holder says in an object of its own, before it touches anything, which of the
//! earlier segments are valid for it, and up to which position each. What the claim with the highest epoch lists, and the
//! segments of that epoch, are the backlog; all else is garbage: what a holder that has lost its partition wrote late,
//! and events above the position up to which the partition is settled, which capture sends again anyway.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use twinroute_common::partition::Epoch;

use super::name::{Folder, ObjectKind, SegmentName};

/// What the holder under an epoch adopts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The segments, in the order of delivery.
    pub segments: Vec<Adopted>,
}

/// One adopted segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// Path of its object.
    pub object: String,
    /// The highest CloudEvents `sequence` that is valid in it; `None` when all is.
    pub cut: Option<String>,
}

/// An object of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path.
    pub object: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// How long ago it was written.
    pub age: Duration,
}

/// What a new holder finds in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A later holder has claimed it already: nothing here is this holder's any more.
    Fenced,
    /// The backlog, in the order of delivery, and what is garbage.
    Backlog {
        /// The valid segments.
        segments: Vec<Found>,
        /// Paths of objects to delete once the new claim is durable.
        garbage: Vec<String>,
    },
}

/// A valid segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: SegmentName,
    /// The highest `sequence` that is valid in it.
    pub cut: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// How long ago it was written.
    pub age: Duration,
}

/// The epoch of the claim that says what is valid; `None` when nobody has claimed the folder.
#[must_use]
pub fn newest_claim(folder: &Folder, objects: &[Listed]) -> Option<Epoch> {
    let claims = objects.iter().filter_map(|listed| match folder.read(&listed.object) {
        Some(ObjectKind::Claim(epoch)) => Some(epoch),
        _ => None,
    });
    claims.max()
}

/// What the holder under `epoch` finds, where capture says that the partition is settled up to `settled`; `None` when
/// capture does not know. `claim` is the content of the newest claim.
#[must_use]
pub fn find(
    folder: &Folder,
    objects: &[Listed],
    claim: Option<(Epoch, &Claim)>,
    epoch: Epoch,
    settled: Option<&str>,
) -> Finding {
    if claim.is_some_and(|(claimed, _)| claimed > epoch) {
        return Finding::Fenced;
    }
    let mut segments = Vec::new();
    let mut garbage = Vec::new();
    for Listed { object, bytes, age } in objects {
        match folder.read(object) {
            Some(ObjectKind::Segment(name)) => match valid(object, &name, claim, settled) {
                Some(cut) => segments.push(Found { name, cut, bytes: *bytes, age: *age }),
                None => garbage.push(object.clone()),
            },
            Some(ObjectKind::Claim(claimed)) if claimed < epoch => garbage.push(object.clone()),
            Some(ObjectKind::Claim(_) | ObjectKind::Delivered(_) | ObjectKind::Skipped(_)) | None => {}
        }
    }
    segments.sort_by(|one, other| one.name.cmp(&other.name));
    let is_stray = |listed: &&Listed| match folder.read(&listed.object) {
        Some(ObjectKind::Delivered(name)) => segments.iter().all(|found| found.name != name),
        _ => false,
    };
    garbage.extend(objects.iter().filter(is_stray).map(|listed| listed.object.clone()));
    Finding::Backlog { segments, garbage }
}

/// The cut of a valid segment; `None` when it is not valid, or nothing in it is.
fn valid(
    object: &str,
    name: &SegmentName,
    claim: Option<(Epoch, &Claim)>,
    settled: Option<&str>,
) -> Option<Option<String>> {
    let before = match claim {
        None => None,
        Some((claimed, _)) if name.epoch == claimed => None,
        Some((_, claim)) => claim.segments.iter().find(|adopted| adopted.object == object)?.cut.as_deref(),
    };
    let cut = match (before, settled) {
        (Some(before), Some(settled)) => Some(before.min(settled)),
        (before, settled) => before.or(settled),
    };
    let is_empty = cut.is_some_and(|cut| *name.first > *cut);
    (!is_empty).then(|| cut.filter(|cut| *name.last > **cut).map(ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(counter: u64) -> Epoch {
        Epoch { generation: 1, counter }
    }

    fn name(counter: u64, number: u64, first: &str, last: &str) -> SegmentName {
        SegmentName {
            epoch: epoch(counter),
            number,
            events: 2,
            first: first.to_owned(),
            last: last.to_owned(),
        }
    }

    fn listed(folder: &Folder, kind: &ObjectKind) -> Listed {
        Listed { object: folder.object(kind), bytes: 10, age: Duration::ZERO }
    }

    /// The objects, and those of them that are found valid, with their cuts.
    fn found(finding: Finding) -> (Vec<(u64, Option<String>)>, Vec<String>) {
        match finding {
            Finding::Fenced => panic!("fenced"),
            Finding::Backlog { segments, garbage } => {
                (segments.into_iter().map(|found| (found.name.number, found.cut)).collect(), garbage)
            }
        }
    }

    #[test]
    fn what_is_settled_is_adopted_and_what_comes_again_is_cut_off() {
        // given segments of epoch 1, of which the last is above what is settled
        let folder = Folder::new("s", "e", 0);
        let names = [name(1, 2, "03", "06"), name(1, 1, "01", "02"), name(1, 3, "07", "09")];
        let mut objects: Vec<Listed> =
            names.iter().map(|name| listed(&folder, &ObjectKind::Segment(name.clone()))).collect();
        objects.push(listed(&folder, &ObjectKind::Claim(epoch(1))));
        let claim = Claim::default();

        // when epoch 2 looks, and the partition is settled up to 04
        let finding = find(&folder, &objects, Some((epoch(1), &claim)), epoch(2), Some("04"));

        // then the first is whole, the second is cut, the third and the old claim are garbage
        let (segments, garbage) = found(finding);
        assert_eq!(segments, [(1, None), (2, Some("04".to_owned()))]);
        assert_eq!(garbage.len(), 2);
    }

    #[test]
    fn a_late_segment_of_a_former_holder_is_garbage() {
        // given a claim of epoch 2 that adopts one segment of epoch 1
        let folder = Folder::new("s", "e", 0);
        let adopted = ObjectKind::Segment(name(1, 1, "01", "02"));
        let late = ObjectKind::Segment(name(1, 2, "03", "04"));
        let own = ObjectKind::Segment(name(2, 1, "03", "03"));
        let objects: Vec<Listed> = [&adopted, &late, &own].map(|kind| listed(&folder, kind)).into();
        let claim = Claim { segments: vec![Adopted { object: folder.object(&adopted), cut: None }] };

        // when epoch 3 looks
        let finding = find(&folder, &objects, Some((epoch(2), &claim)), epoch(3), None);

        // then what came late is not in the backlog
        let (segments, garbage) = found(finding);
        assert_eq!(segments.len(), 2);
        assert_eq!(garbage, [folder.object(&late)]);
    }

    #[test]
    fn what_was_skipped_is_neither_adopted_nor_garbage() {
        // given a segment that was skipped, and one behind it
        let folder = Folder::new("s", "e", 0);
        let kinds =
            [ObjectKind::Skipped(name(1, 1, "01", "02")), ObjectKind::Segment(name(1, 2, "03", "04"))];
        let objects: Vec<Listed> = kinds.iter().map(|kind| listed(&folder, kind)).collect();

        // when the next holder looks, also one whose claim still names the skipped one
        let skipped = folder.object(&ObjectKind::Segment(name(1, 1, "01", "02")));
        let segment = folder.object(&ObjectKind::Segment(name(1, 2, "03", "04")));
        let claim = Claim { segments: [skipped, segment].map(|object| Adopted { object, cut: None }).into() };
        for claim in [None, Some((epoch(2), &claim))] {
            // then only the other one is there
            let found = found(find(&folder, &objects, claim, epoch(3), None));
            assert_eq!(found, (vec![(2, None)], Vec::new()));
        }
    }

    #[test]
    fn a_cut_is_never_undone() {
        // given a segment that an earlier claim has cut
        let folder = Folder::new("s", "e", 0);
        let segment = ObjectKind::Segment(name(1, 1, "01", "09"));
        let objects = [listed(&folder, &segment)];
        let adopted = Adopted { object: folder.object(&segment), cut: Some("03".to_owned()) };
        let claim = Claim { segments: vec![adopted] };

        // when more is settled by now
        let finding = find(&folder, &objects, Some((epoch(2), &claim)), epoch(3), Some("08"));

        // then it stays cut where it was
        assert_eq!(found(finding).0, [(1, Some("03".to_owned()))]);
    }

    #[test]
    fn a_holder_that_is_overtaken_finds_nothing_of_its_own() {
        let folder = Folder::new("s", "e", 0);
        let claim = Claim::default();
        assert_eq!(find(&folder, &[], Some((epoch(5), &claim)), epoch(4), None), Finding::Fenced);
    }
}
