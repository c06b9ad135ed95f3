//! Configurations with mistakes.

use std::process::Output;

use anyhow::{Context as _, Result};
use tokio::process::Command;
use twinroute_tests::checkout;

use crate::scene::{self, DEADLINE};

/// Each service with three mistakes of different kinds: an unknown key, a value of another type, a
/// value that cannot be right.
const MISTAKES: [(&str, &str, [&str; 3]); 3] = [
    (
        "capture",
        "source: {graphz: [factory]}\nstream: {lease_ms: soon}\npostgres: {url: 'mysql://somewhere/twins'}\n",
        ["source.graphz", "stream.lease_ms", "postgres.url"],
    ),
    (
        "delivery",
        "worker: {sauce: 'https://a/'}\nstream: {credit_events_max: many}\nhttp: {listen: nowhere}\n",
        ["worker.sauce", "stream.credit_events_max", "http.listen"],
    ),
    (
        "routes-api",
        "store: {pollms: 500}\nlimits: {endpoints_max: lots}\npostgres: {url: 'mysql://somewhere/routes'}\n",
        ["store.pollms", "limits.endpoints_max", "postgres.url"],
    ),
];

async fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(checkout::binary(program)?);
    command.args(arguments).envs(variables.iter().copied()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await;
    Ok(output.with_context(|| format!("{program} {arguments:?} does not end"))??)
}

#[test]
fn a_configuration_with_three_mistakes_reports_all_three_and_exits_2() -> Result<()> {
    scene::run(async {
        let dir = scene::dir("configuration")?;
        for (program, text, keys) in MISTAKES {
            // Given a file with three mistakes
            let file = dir.join(format!("{program}.yaml"));
            std::fs::write(&file, text)?;
            let file = file.to_string_lossy();
            // When the service is started with it, or only asked to check it
            for arguments in [&["--config", &file][..], &["--config", &file, "--check"]] {
                let output = run(program, arguments, &[]).await?;
                // Then it names all three keys
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}: {said}");
                for key in keys {
                    assert!(said.contains(key), "{program} does not name {key}: {said}");
                }
                assert!(said.starts_with("3 mistakes"), "{said}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_mistake_in_a_variable_is_reported_like_one_in_the_file() -> Result<()> {
    scene::run(async {
        for (program, _, _) in MISTAKES {
            let output = run(program, &["--check"], &[("TWINROUTE__HTTP__LISTEN", "nowhere")]).await?;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("http.listen") && said.contains("TWINROUTE__HTTP__LISTEN"), "{said}");
        }
        Ok(())
    })
}

#[test]
fn the_example_configurations_are_accepted() -> Result<()> {
    scene::run(async {
        for (program, _, _) in MISTAKES {
            let example = checkout::root().join(format!("deploy/config/{program}.yaml"));
            let output = run(program, &["--config", &example.to_string_lossy(), "--check"], &[]).await?;
            assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"ok\n"[..]), "{output:?}");
        }
        Ok(())
    })
}
