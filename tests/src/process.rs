//! An owned child process: started with a log file, killed, paused, stopped; it dies with us,
//! unless it is detached.

mod guard;
mod tree;

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use self::guard::Guard;
use crate::wait;

/// How long the kernel may take to end a process that got SIGKILL.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// The lines of a log that an error shows.
const LOG_TAIL_LINES: usize = 20;

/// A running process, or one that has ended and whose status nobody has asked for yet.
///
/// It leads a process group of its own, so that what hits the terminal does not hit it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    guard: Option<Guard>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with its output appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name} as {command:?}"))?;
        let pid = Pid::from_child(&child);
        Ok(Self { name: name.to_owned(), child, pid, guard: Some(Guard::over(pid)?), log: log.to_owned() })
    }

    /// What the process is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it still runs (a paused one does).
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until `probe` succeeds.
    ///
    /// # Errors
    /// When the process ends or `deadline` passes before that; with the last lines of its log.
    pub async fn until_ready(
        &mut self,
        deadline: Duration,
        probe: impl AsyncFnMut() -> Result<()>,
    ) -> Result<()> {
        let what = format!("{} to be ready", self.name);
        let outcome = tokio::select! {
            biased;
            // First: a probe of a server that is no more fails too, and says less.
            ended = exit(&mut self.child, Duration::MAX) => match ended {
                Ok(status) => Err(anyhow!("{} ended: {status}", self.name)),
                Err(e) => Err(e),
            },
            ready = wait::until(deadline, &what, probe) => ready,
        };
        outcome.with_context(|| {
            let log = self.log.display();
            format!("{} does not start; {log} ends with\n{}", self.name, self.log_tail())
        })
    }

    /// Sends `signal` to the process alone.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid, signal).with_context(|| format!("cannot send {signal:?} to {}", self.name))
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it is still there after `grace`; it goes on running then.
    pub async fn terminate(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.stop(Signal::TERM, grace).await
    }

    /// Sends the signal on which this kind of server stops and waits for the end.
    ///
    /// # Errors
    /// When it is still there after `grace`; it goes on running then.
    pub async fn stop(&mut self, signal: Signal, grace: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        let status = exit(&mut self.child, grace)
            .await
            .with_context(|| format!("{} does not stop on {signal:?}", self.name))?;
        self.guard = None;
        Ok(status)
    }

    /// Kills (-9) the process and all that descends from it, and waits until they are gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        let descendants = tree::descendants(self.pid);
        if self.is_running()? {
            self.signal(Signal::KILL)?;
        }
        for pid in &descendants {
            // One that has ended by itself meanwhile is as good.
            let _ = kill_process(*pid, Signal::KILL);
        }
        exit(&mut self.child, KILL_DEADLINE).await?;
        self.guard = None;
        wait::until(KILL_DEADLINE, "its descendants to be gone", async || {
            ensure!(descendants.iter().all(|pid| tree::is_gone(*pid)));
            Ok(())
        })
        .await
        .with_context(|| format!("killing {}", self.name))
    }

    /// Stops (SIGSTOP) the process and all that descends from it: they keep their connections and
    /// do nothing.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal_all(Signal::STOP)
    }

    /// Lets them go on (SIGCONT).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        for pid in tree::descendants(self.pid) {
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    /// Lets the process outlive us; gives back its process id.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn detach(mut self) -> Result<i32> {
        if !self.is_running()? {
            bail!("{} has ended; its log ends with\n{}", self.name, self.log_tail());
        }
        if let Some(guard) = self.guard.take() {
            guard.release();
        }
        let pid = self.pid();
        // What its drop would do is what must not happen.
        std::mem::forget(self);
        Ok(pid)
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(LOG_TAIL_LINES);
        lines.get(first..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let descendants = tree::descendants(self.pid);
            let _ = self.child.kill();
            for pid in descendants {
                let _ = kill_process(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// Waits for the end of `child`.
async fn exit(child: &mut Child, deadline: Duration) -> Result<ExitStatus> {
    wait::until(deadline, "the end of the process", async || child.try_wait()?.context("it is running")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn started(script: &str, dir: &Path) -> Result<Process> {
        Process::start("a script", shell(script), &dir.join("log"))
    }

    #[tokio::test]
    async fn a_terminated_process_tells_its_exit_code() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done";
        let mut process = started(script, dir.path())?;
        let log = process.log().to_owned();
        process
            .until_ready(SECONDS, async || {
                ensure!(std::fs::read(&log)? == b"up\n");
                Ok(())
            })
            .await?;
        assert_eq!(process.terminate(SECONDS).await?.code(), Some(7));
        Ok(())
    }

    #[tokio::test]
    async fn killing_takes_the_descendants_along() -> Result<()> {
        let dir = tempfile::tempdir()?;
        // Given a process with a child in another process group
        let mut process = started("setsid sleep 1000 & wait", dir.path())?;
        let root = process.pid;
        let child = wait::until(SECONDS, "the child", async || {
            tree::descendants(root).first().copied().context("none")
        })
        .await?;
        // When it is killed
        process.kill().await?;
        // Then both are gone
        assert!(!process.is_running()?);
        assert!(tree::is_gone(child));
        Ok(())
    }

    #[tokio::test]
    async fn a_process_that_ends_early_shows_its_log() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let mut process = started("echo no such port; exit 3", dir.path())?;
        let outcome = process.until_ready(SECONDS, async || Err(anyhow!("connection refused"))).await;
        let text = outcome.map_or_else(|e| format!("{e:#}"), |()| String::new());
        assert!(text.contains("no such port") && text.contains("exit status: 3"), "{text}");
        Ok(())
    }

    #[tokio::test]
    async fn a_process_dies_with_its_guardian() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let mut process = started("sleep 1000", dir.path())?;
        // When the pipe to the guard closes, as it does when we are killed
        drop(process.guard.take().map(Guard::orphan));
        // Then the process is killed
        let status = exit(&mut process.child, SECONDS).await?;
        assert!(!status.success());
        Ok(())
    }

    #[tokio::test]
    async fn a_detached_process_lives_on() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let process = started("exec sleep 1000", dir.path())?;
        let pid = Pid::from_raw(process.detach()?).context("a process id")?;
        assert!(!tree::is_gone(pid));
        kill_process(pid, Signal::KILL)?;
        Ok(())
    }
}
