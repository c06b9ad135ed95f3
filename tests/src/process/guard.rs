//! Kills a process group when we end, however we end: a shell that waits on a pipe from us.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use rustix::process::Pid;

/// The end of our pipe closes with us, even on SIGKILL; a handler of ours could not see to that.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
}

impl Guard {
    /// Watches over the process group that `leader` leads.
    pub(super) fn over(leader: Pid) -> Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", r#"read -r _; kill -s KILL -- "-$1""#, "guard"])
            .arg(leader.as_raw_nonzero().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the guard of a process")?;
        Ok(Self { shell })
    }

    /// Ends the watch; the process group stays.
    pub(super) fn release(self) {
        drop(self);
    }

    /// Closes the pipe, as our end would.
    #[cfg(test)]
    pub(super) fn orphan(mut self) -> std::io::Result<std::process::ExitStatus> {
        drop(self.shell.stdin.take());
        self.shell.wait()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
