//! Takes the project down when we end, however we end: a shell that waits on a pipe from us.

use std::{
    ffi::OsString,
    fs::File,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use twinroute_tests::checkout;

/// Our end of the pipe closes with us, even on SIGKILL; and nothing is told to a process at its end that holds what tests
/// share.
pub(crate) struct Teardown {
    _shell: Child,
}

impl Teardown {
    /// Runs `command` when we are gone, with its output in the file `down.log` of our folder.
    pub(crate) fn by(command: &[OsString], environment: &[(&str, String)]) -> Result<Self> {
        let log = File::create(checkout::create(&super::project::folder())?.join("down.log"))?;
        let shell = Command::new("sh")
            .args(["-c", r#"read -r _; exec "$@""#, "teardown"])
            .args(command)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(checkout::root())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // What hits the terminal hits us, and not it.
            .process_group(0)
            .spawn()
            .context("cannot start the shell that takes the project down")?;
        Ok(Self { _shell: shell })
    }
}
