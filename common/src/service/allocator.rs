//! How long the allocator keeps memory that was freed. It reads that from the environment, before the first line of `main`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The allocator's own setting (mimalloc, "Environment Options").
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Milliseconds. Its default of a second lets a burst of 300,000 rows take 260 MiB instead of 160; this costs no time. Version 2
/// of the allocator has this default, and holds 170 MiB more after documents of 60 MB.
const PURGE_DELAY_MS: &str = "10";

/// Starts the program anew, as the same process, unless the setting is there already. Where that cannot be done it goes on as
/// it is, which only takes more memory.
pub(super) fn settle() {
    if std::env::var_os(PURGE_DELAY).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from(&program));
    let mut command = Command::new(program);
    // Returns only when it has failed.
    drop(command.arg0(name).args(arguments).env(PURGE_DELAY, PURGE_DELAY_MS).exec());
}
