//! Consumers that others would write: the examples in Python and Rust, as they stand in the repository.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use twinroute_tests::{checkout, oracle::Expected, process::Process, twins::ledger, wait};

use crate::{
    decision::status,
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

/// The consumer in Rust, and the file in which it keeps what it gets.
struct RustConsumer {
    name: &'static str,
    file: PathBuf,
    process: Process,
}

impl RustConsumer {
    fn start(source: &Source, name: &'static str) -> Result<Self> {
        let file = source.dir().join(format!("{name}.journal"));
        let mut command = std::process::Command::new(checkout::binary("consumer-rust")?);
        command.args([&source.capture.grpc(), source.subscription(), name]).arg(&file);
        let process = Process::start(name, command, &source.dir().join(format!("{name}.log")))?;
        Ok(Self { name, file, process })
    }

    /// What it has kept, in order: partition, position, and the document of an event.
    fn kept(&self) -> Result<Vec<(u32, String, Value)>> {
        // It may be writing its last line.
        let text = std::fs::read_to_string(&self.file)?;
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let entry = |line: &str| {
            let mut words = line.splitn(5, '\t');
            let partition = words.next().context("no partition")?.parse()?;
            let position = words.next().context("no position")?.to_owned();
            let document = serde_json::from_str(words.nth(2).context("no document")?)?;
            Ok((partition, position, document))
        };
        lines.map(entry).collect()
    }
}

/// What consumers have kept together is all that was committed; each in order, nothing twice.
async fn all_is_kept(source: &Source, consumers: &[&RustConsumer]) -> Result<()> {
    let mut together: HashMap<String, Value> = HashMap::new();
    let mut markers = HashSet::new();
    for consumer in consumers {
        let mut last: HashMap<u32, String> = HashMap::new();
        for (partition, position, document) in consumer.kept()? {
            let before = last.insert(partition, position.clone());
            ensure!(before.is_none_or(|before| before < position), "{}: {position}", consumer.name);
            let key = document.get("$dtId").and_then(Value::as_str).context("no $dtId")?.to_owned();
            let marker = document.get("marker").context("no marker")?.to_string();
            markers.insert(Expected { key, marker });
            // A change has one position, whoever has kept it.
            let same = together.entry(position).or_insert_with(|| document.clone());
            ensure!(*same == document, "{same} {document}");
        }
    }
    let expected = ledger::expected(source.graph().await?.client()).await?;
    let missing = expected.iter().find(|change| !markers.contains(*change));
    ensure!(missing.is_none(), "{missing:?} is missing");
    ensure!(together.len() == expected.len(), "{} for {} changes", together.len(), expected.len());
    Ok(())
}

#[test]
fn the_rust_example_keeps_everything_once_when_capture_and_it_are_killed() -> Result<()> {
    source("rust", json!({}), async |source| {
        // Given the consumer, and twins that are updated all the time
        source.create("twin", 100).await?;
        let mut consumer = RustConsumer::start(source, "rust-1")?;
        let updates = source.update_all_the_time("twin", 100).await?;
        for round in 1..=3 {
            let kept = |count| {
                let consumer = &consumer;
                wait::until(DEADLINE, "changes to be kept", async move || {
                    let kept = consumer.kept()?.len();
                    ensure!(kept >= count, "{kept} of {count}");
                    Ok(())
                })
            };
            kept(400 * round).await?;
            // When capture is killed (-9), and then the consumer
            source.capture.kill().await?;
            source.capture.start_again()?;
            source.capture.until_ready().await?;
            consumer.process.kill().await?;
            consumer = RustConsumer::start(source, "rust-1")?;
        }
        updates.end().await?;
        // Then all is confirmed, and kept once, in order
        source.until_confirmed().await?;
        all_is_kept(source, &[&consumer]).await
    })
}

#[test]
fn a_consumer_that_was_stopped_for_longer_than_its_lease_does_no_harm_when_it_goes_on() -> Result<()> {
    let stream = json!({ "stream": { "lease_ms": 1_500, "progress_interval_ms": 100 } });
    source("sleeper", stream, async |source| {
        // Given two consumers that share the partitions of twins that are updated all the time
        source.create("twin", 100).await?;
        let [sleeper, other] =
            [RustConsumer::start(source, "sleeper")?, RustConsumer::start(source, "other")?];
        let holders = async |expected: &[&str]| {
            wait::until(DEADLINE, "the partitions to move", async || {
                let held = status(&source.capture).await?.partitions;
                let holders: BTreeSet<String> = held.into_iter().map(|one| one.consumer_id).collect();
                ensure!(holders.iter().eq(expected), "{holders:?}");
                Ok(())
            })
            .await
        };
        holders(&["other", "sleeper"]).await?;
        let updates = source.update_all_the_time("twin", 100).await?;
        // When one is stopped (SIGSTOP) until the other one holds everything, and then goes on (SIGCONT)
        sleeper.process.pause()?;
        holders(&["other"]).await?;
        sleeper.process.resume()?;
        // Then it comes back by itself, and both go on
        holders(&["other", "sleeper"]).await?;
        updates.end().await?;
        // And all is confirmed, and kept in order
        source.until_confirmed().await?;
        all_is_kept(source, &[&sleeper, &other]).await
    })
}
