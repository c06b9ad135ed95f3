//! Who descends from a process, from Linux's `/proc` (proc(5)).
//!
//! A process group is not enough: each PostgreSQL backend leads one of its own.

use std::fs;

use rustix::process::Pid;

/// All children of `root`, and theirs.
pub(super) fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        let below = children(parent);
        open.extend_from_slice(&below);
        found.extend(below);
    }
    found
}

/// The children of each of its threads.
fn children(parent: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            let ids = text.split_whitespace().filter_map(|id| id.parse().ok());
            ids.filter_map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether the process has ended, be it that nobody has asked for its status yet.
pub(super) fn is_gone(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
        // The name before the state may hold spaces and parentheses of its own.
        let state = stat.rsplit(')').next().map(str::trim_start);
        state.is_none_or(|state| state.starts_with(['Z', 'X']))
    })
}
