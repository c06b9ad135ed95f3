//! Commands of Docker, each within a deadline.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// How long the engine may take to answer, on a busy machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// The last lines of what a command says that an error shows.
const SAID_LINES: usize = 20;

/// Asks the engine something or tells it what to do; gives back what `docker` prints.
pub(crate) async fn docker<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let mut command = Command::new("docker");
    command.args(arguments);
    output(command, ANSWER_DEADLINE).await
}

/// All that a container has written, be it to standard output or to standard error.
pub(crate) async fn logs(container: &str) -> Result<String> {
    let mut command = Command::new("docker");
    command.args(["logs", container]);
    let Output { stdout, stderr, .. } = run(command, ANSWER_DEADLINE).await?;
    Ok([stdout, stderr].map(|written| String::from_utf8_lossy(&written).into_owned()).concat())
}

/// Runs a command that must succeed; gives back what it prints.
pub(crate) async fn output(command: Command, deadline: Duration) -> Result<String> {
    Ok(String::from_utf8_lossy(&run(command, deadline).await?.stdout).into_owned())
}

async fn run(mut command: Command, deadline: Duration) -> Result<Output> {
    let arguments: Vec<_> = command.as_std().get_args().map(|it| it.to_string_lossy().into_owned()).collect();
    let name = format!("{} {}", command.as_std().get_program().display(), arguments.join(" "));
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(deadline, running)
        .await
        .with_context(|| format!("{name} takes longer than {deadline:?}"))?
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(output.status.success(), "{name}: {}\n{}", output.status, last_lines(&output.stderr));
    Ok(output)
}

fn last_lines(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<_> = said.lines().collect();
    let first = lines.len().saturating_sub(SAID_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}
