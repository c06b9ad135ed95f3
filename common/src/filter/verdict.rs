//! The three-valued logic of filters (Kleene's).

use std::ops::Not;

/// What a filter answers. Only [`Verdict::True`] routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event is routed.
    True,
    /// The event is not routed.
    False,
    /// The filter asks for something that the event does not have; the event is not routed.
    Undefined,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Not for Verdict {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Undefined => Self::Undefined,
        }
    }
}

impl Verdict {
    /// False if one is, else undefined if one is; asks no further than it must.
    pub(super) fn all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::True;
        for verdict in verdicts {
            match verdict {
                Self::False => return Self::False,
                Self::Undefined => all = Self::Undefined,
                Self::True => {}
            }
        }
        all
    }

    /// True if one is, else undefined if one is; asks no further than it must.
    pub(super) fn any(verdicts: impl IntoIterator<Item = Self>) -> Self {
        !Self::all(verdicts.into_iter().map(Not::not))
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{False, True, Undefined};
    use super::*;

    #[test]
    fn connectives_are_kleenes() {
        for (left, right, all, any) in [
            (True, True, True, True),
            (True, False, False, True),
            (True, Undefined, Undefined, True),
            (False, False, False, False),
            (False, Undefined, False, Undefined),
            (Undefined, Undefined, Undefined, Undefined),
        ] {
            for pair in [[left, right], [right, left]] {
                assert_eq!(Verdict::all(pair), all, "{pair:?}");
                assert_eq!(Verdict::any(pair), any, "{pair:?}");
            }
        }
        assert_eq!([!True, !False, !Undefined], [False, True, Undefined]);
    }
}
