//! What a process has used (proc(5): `/proc/PID/stat`, `/proc/PID/status`).

use anyhow::{Context as _, Result};

/// Processor time and memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu_s: f64,
    /// Largest resident set, in MiB.
    pub peak_rss_mib: f64,
}

/// What a running process has used so far.
///
/// # Errors
/// When it has ended.
pub fn of(pid: i32) -> Result<Usage> {
    // Linux counts processor time in hundredths of a second for user space (USER_HZ).
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    // The name stands in parentheses and may hold blanks; the 14th and 15th fields are 12 behind it.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let cpu = ticks(11).zip(ticks(12)).context("/proc/PID/stat has no times")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(Usage {
        cpu_s: (cpu.0 + cpu.1) / TICKS_PER_SECOND,
        peak_rss_mib: peak_kib.context("/proc/PID/status has no VmHWM")? / 1024.0,
    })
}
