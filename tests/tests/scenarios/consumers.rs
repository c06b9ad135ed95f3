//! Consumers that others would write: the example in Python, as it stands in the repository.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::process::{Child, Command};
use twinroute_tests::{checkout, wait};

use crate::{
    scene::DEADLINE,
    source::{Source, source},
};

/// The consumer, and where it prints to.
struct PythonConsumer {
    output: PathBuf,
    _process: Child,
}

impl PythonConsumer {
    /// Makes the stubs from the protocol, as the README does, and starts the consumer.
    async fn start(source: &Source) -> Result<Self> {
        let python = checkout::installed("consumer-python-1.85.3")?.join("bin/python");
        let stubs = source.dir().join("stubs");
        std::fs::create_dir_all(&stubs)?;
        let mut protoc = Command::new(&python);
        protoc.current_dir(checkout::root()).args(["-m", "grpc_tools.protoc"]);
        // The folder and the files in it must be named alike.
        protoc.arg(format!("-I{}", checkout::root().join("proto").display()));
        for kind in ["--python_out", "--grpc_python_out"] {
            protoc.arg(format!("{kind}={}", stubs.display()));
        }
        for folder in ["event", "capture"] {
            protoc.args(protocols(&checkout::root().join("proto/twinroute").join(folder).join("v1"))?);
        }
        let made = protoc.output().await?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let output = source.dir().join("consumer-python.out");
        let process = Command::new(python)
            .arg(checkout::root().join("examples/consumer-python/consumer.py"))
            .args([&source.capture.grpc(), source.subscription(), "python-1"])
            .env("PYTHONPATH", stubs)
            .stdout(std::fs::File::create(&output)?)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("python does not start")?;
        Ok(Self { output, _process: process })
    }

    /// Waits until it has printed a change of each of these twins.
    async fn until_printed(&self, prefix: &str, twins: i32) -> Result<()> {
        wait::until(DEADLINE, "the consumer to print every twin", async || {
            let printed = std::fs::read_to_string(&self.output)?;
            let missing = (0..twins)
                .filter(|twin| !printed.contains(&format!("entity_id: \"{prefix}-{twin}\"")))
                .count();
            ensure!(missing == 0, "{missing} of {twins} {prefix} are missing");
            Ok(())
        })
        .await
    }
}

fn protocols(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    files.map(|file| Ok(file?.path())).collect()
}

#[test]
fn the_python_example_keeps_its_place_when_capture_is_killed() -> Result<()> {
    source("python", json!({}), async |source| {
        // Given the consumer, which prints what happens
        let consumer = PythonConsumer::start(source).await?;
        source.create("before", 50).await?;
        consumer.until_printed("before", 50).await?;
        // When capture is killed (-9), twins are created meanwhile, and it is started again
        source.capture.kill().await?;
        source.create("meanwhile", 50).await?;
        source.capture.start_again()?;
        source.capture.until_ready().await?;
        // Then the consumer comes back by itself, has them all, and all it printed is confirmed
        consumer.until_printed("meanwhile", 50).await?;
        source.create("after", 50).await?;
        consumer.until_printed("after", 50).await?;
        source.until_confirmed().await
    })
}
