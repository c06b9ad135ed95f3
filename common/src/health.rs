//! Health: ready when every condition holds, live while the main loop gives signs of life.

mod liveness;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use liveness::Liveness;

/// The health of one process. Clones are the same health.
#[derive(Clone, Debug)]
pub struct Health {
    readiness: Arc<watch::Sender<Readiness>>,
    liveness: Liveness,
}

impl Health {
    /// Not ready, for want of conditions; live until a taken [`Liveness`] is silent for `live_deadline`.
    #[must_use]
    pub fn new(live_deadline: Duration) -> Self {
        let (readiness, _) = watch::channel(Readiness::default());
        Self { readiness: Arc::new(readiness), liveness: Liveness::new(live_deadline) }
    }

    /// A condition of readiness, failing with `starting` until its part says otherwise. Make all conditions before
    /// the first one is fulfilled. The same name is the same condition.
    #[must_use]
    pub fn condition(&self, name: impl Into<Arc<str>>) -> Condition {
        let condition = Condition { name: name.into(), readiness: Arc::clone(&self.readiness) };
        if !self.readiness.borrow().conditions.contains_key(&condition.name) {
            condition.failing("starting");
        }
        condition
    }

    /// Not ready any more, for good.
    pub(crate) fn shutting_down(&self) {
        let name = Arc::from("process");
        Condition { name, readiness: Arc::clone(&self.readiness) }.failing("shutting down");
    }

    /// The conditions now and whenever one changes.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// The main loop's sign of life.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }
}

/// One condition of readiness; the part that fulfils it holds it.
#[derive(Clone, Debug)]
pub struct Condition {
    name: Arc<str>,
    readiness: Arc<watch::Sender<Readiness>>,
}

impl Condition {
    /// It holds.
    pub fn ok(&self) {
        self.set(None);
    }

    /// It does not; `reason` says what, where and why, for people, without secrets.
    pub fn failing(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, state: Option<String>) {
        self.readiness.send_if_modified(|readiness| {
            let changed = readiness.conditions.get(&self.name) != Some(&state);
            if changed {
                readiness.conditions.insert(Arc::clone(&self.name), state);
            }
            changed
        });
    }
}

/// Every condition; its text has one line `condition: reason` for each that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    conditions: BTreeMap<Arc<str>, Option<String>>,
}

impl Readiness {
    /// Whether there are conditions and all hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.conditions.is_empty() && self.conditions.values().all(Option::is_none)
    }

    /// The conditions that fail, each with its reason.
    pub fn failing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.conditions.iter().filter_map(|(name, reason)| Some((&**name, reason.as_deref()?)))
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.conditions.is_empty() {
            return f.write_str("process: starting\n");
        }
        self.failing().try_for_each(|(name, reason)| writeln!(f, "{name}: {}", reason.replace('\n', " ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_condition_holds() {
        let health = Health::new(Duration::from_secs(10));
        let readiness = health.readiness();
        assert_eq!(readiness.borrow().to_string(), "process: starting\n");
        let database = health.condition("database");
        let stream = health.condition("stream");
        database.ok();
        assert!(!readiness.borrow().is_ready());
        assert_eq!(readiness.borrow().to_string(), "stream: starting\n");
        stream.ok();
        assert!(readiness.borrow().is_ready());
        database.failing("connection refused\nby the server");
        assert!(!readiness.borrow().is_ready());
        assert_eq!(readiness.borrow().to_string(), "database: connection refused by the server\n");
    }

    #[test]
    fn watchers_hear_of_changes_only() {
        let health = Health::new(Duration::from_secs(10));
        let condition = health.condition("database");
        condition.ok();
        let mut readiness = health.readiness();
        readiness.mark_unchanged();
        condition.ok();
        health.condition("database").ok();
        assert!(matches!(readiness.has_changed(), Ok(false)));
        condition.failing("gone");
        assert!(matches!(readiness.has_changed(), Ok(true)));
    }
}
