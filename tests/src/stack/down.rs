//! Stops what `make up` left running: services first, so that they drain, then the servers.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{stack::Steps, wait};

/// In the order in which they are stopped; capture has the workers settle what it has read, so it comes before them.
const PROCESSES: [&str; 8] = [
    "CAPTURE_PID",
    "DELIVERY_PIDS",
    "ROUTES_PID",
    "KUSTO_PID",
    "AZURITE_PID",
    "MQTT_PID",
    "KAFKA_PID",
    "POSTGRES_PID",
];

/// How long a process may take to end by itself; then it is killed.
const GRACE: Duration = Duration::from_secs(30);

/// Stops all processes that `file` names, and removes it. Without the file there is nothing to stop.
///
/// # Errors
/// When a process cannot be stopped.
pub async fn stop(file: &Path, steps: &Steps) -> Result<()> {
    let Ok(text) = std::fs::read_to_string(file) else {
        steps.done("nothing is running");
        return Ok(());
    };
    for key in PROCESSES {
        let line = text.lines().filter_map(|line| line.split_once('=')).find(|(found, _)| *found == key);
        let pids = line.map_or("", |(_, pids)| pids).split(',').filter(|pid| !pid.is_empty());
        for pid in pids {
            let pid =
                pid.parse().ok().and_then(Pid::from_raw).with_context(|| format!("{key} holds `{pid}`"))?;
            end(pid, key == "POSTGRES_PID").await.with_context(|| format!("cannot stop {key} {pid:?}"))?;
        }
        let name = key.trim_end_matches('S').trim_end_matches("_PID").to_lowercase();
        steps.done(&format!("{name} is stopped"));
    }
    std::fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

async fn end(pid: Pid, postgres: bool) -> Result<()> {
    if test_kill_process(pid).is_err() {
        return Ok(());
    }
    // PostgreSQL waits for its clients on SIGTERM, and cuts them off on SIGINT.
    kill_process(pid, if postgres { Signal::INT } else { Signal::TERM })?;
    let gone = async || {
        ensure!(is_gone(pid), "it runs on");
        Ok(())
    };
    if wait::until(GRACE, "its end", gone).await.is_err() {
        kill_process(pid, Signal::KILL)?;
    }
    Ok(())
}

/// It has ended, or waits only for its status to be read.
fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
