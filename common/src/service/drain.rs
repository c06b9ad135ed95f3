//! Which parts of a service have not finished yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

type Names = Arc<Mutex<BTreeMap<u64, String>>>;

/// The parts at work. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    names: Names,
}

/// A part at work; it has finished when this is dropped.
#[derive(Debug)]
pub struct Part {
    number: u64,
    names: Names,
}

impl Drain {
    /// Names a part that must finish before the process may end cleanly.
    #[must_use = "the part counts as finished when this is dropped"]
    pub fn part(&self, name: impl Into<String>) -> Part {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let number = names.last_key_value().map_or(0, |(number, _)| number + 1);
        names.insert(number, name.into());
        Part { number, names: Arc::clone(&self.names) }
    }

    /// The names of the parts at work, separated by commas, in the order they began.
    #[must_use]
    pub fn unfinished(&self) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.values().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_were_not_dropped_are_named() {
        let drain = Drain::default();
        let stream = drain.part("capture stream");
        let sinks = drain.part("sinks");
        assert_eq!(drain.unfinished(), "capture stream, sinks");
        drop(stream);
        assert_eq!(drain.unfinished(), "sinks");
        drop(sinks);
        assert_eq!(drain.unfinished(), "");
    }
}
