//! How much WAL a subscription may hold back, and what happens above that. Pure.

use serde::{Deserialize, Serialize};

/// Bound and policy of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Bytes of WAL that its slot may keep.
    pub wal_retained_bytes_max: u64,
    /// What happens above them.
    pub policy: Policy,
}

/// What happens to a subscription that holds back more WAL than its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It is reported and kept.
    Report,
    /// It is reported at half of the bound, and its slot is dropped above it.
    Drop,
}

/// What follows from the WAL that a slot keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Within,
    /// It is reported, with this reason.
    Reported(String),
    /// The slot is to be dropped, for this reason.
    Dropped(String),
}

impl Retention {
    /// Judges a slot that keeps `retained_bytes` of WAL.
    #[must_use]
    pub fn judge(&self, slot: &str, retained_bytes: u64) -> Verdict {
        let Self { wal_retained_bytes_max: bound, policy } = *self;
        let kept = format!("the replication slot {slot} keeps {retained_bytes} bytes of WAL");
        match policy {
            Policy::Drop if retained_bytes > bound => {
                Verdict::Dropped(format!("{kept}, more than its wal_retained_bytes_max of {bound}"))
            }
            _ if retained_bytes <= bound / 2 => Verdict::Within,
            Policy::Drop => Verdict::Reported(format!("{kept}; above {bound} it is dropped")),
            Policy::Report => Verdict::Reported(format!("{kept}; its wal_retained_bytes_max is {bound}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_reported_above_half_of_its_bound_and_dropped_above_it_if_the_policy_says_so() {
        let judge = |policy, retained| match (Retention { wal_retained_bytes_max: 100, policy })
            .judge("slot", retained)
        {
            Verdict::Within => "within",
            Verdict::Reported(_) => "reported",
            Verdict::Dropped(_) => "dropped",
        };
        for (retained, dropping, reporting) in [
            (0, "within", "within"),
            (50, "within", "within"),
            (51, "reported", "reported"),
            (100, "reported", "reported"),
            (101, "dropped", "reported"),
        ] {
            assert_eq!(
                (judge(Policy::Drop, retained), judge(Policy::Report, retained)),
                (dropping, reporting)
            );
        }
    }
}
