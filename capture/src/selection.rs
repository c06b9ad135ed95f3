//! Which events a subscription gets: by graph, label and kind. Pure.

use serde::{Deserialize, Serialize};
use twinroute_common::event::{EntityKind, Item};

/// What is selected. An empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Names of graphs.
    pub graphs: Vec<String>,
    /// Kinds of entity.
    pub kinds: Vec<EntityKind>,
    /// Names of labels.
    pub labels: Vec<String>,
}

impl Selection {
    /// Rows of this table are looked at; those of others need not be read.
    #[must_use]
    pub fn takes_table(&self, graph: &str, label: &str) -> bool {
        let takes = |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == name);
        takes(&self.graphs, graph) && takes(&self.labels, label)
    }

    /// Entities of this kind are wanted.
    #[must_use]
    pub fn takes_kind(&self, kind: EntityKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// The item is wanted. A row that cannot be read has no kind, and a hole in the stream has no table: nobody can say that
    /// they are not.
    #[must_use]
    pub fn takes(&self, item: &Item) -> bool {
        match item {
            Item::Event(event) => self.takes_kind(event.kind) && self.takes_table(&event.graph, &event.label),
            Item::Poison(poison) => self.takes_table(&poison.graph, &poison.label),
            Item::Discontinuity(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lists_do_not_restrict_and_all_others_must_agree() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let all = Selection::default();
        assert!(all.takes_table("g", "Room") && all.takes_kind(EntityKind::Model));
        let some =
            Selection { graphs: names(&["g", "h"]), kinds: vec![EntityKind::Twin], labels: names(&["Room"]) };
        assert!(some.takes_table("h", "Room"));
        assert!(!some.takes_table("h", "Floor") && !some.takes_table("i", "Room"));
        assert!(some.takes_kind(EntityKind::Twin) && !some.takes_kind(EntityKind::Relationship));
    }
}
