//! The commands that the README shows, run as they stand there.

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use twinroute_tests::checkout;

use crate::{plain::plain, scene::DEADLINE};

/// The code block of the README that has this line in it, without the one that reads `.run/env`.
fn block(with: &str) -> Result<String> {
    let readme = std::fs::read_to_string(checkout::root().join("README.md"))?;
    let block = readme.split("```").skip(1).step_by(2).find(|block| block.contains(with));
    let block = block.with_context(|| format!("the README has no block with {with}"))?;
    // The first line names the language.
    Ok(block.lines().skip(1).filter(|line| *line != ". .run/env").collect::<Vec<_>>().join("\n"))
}

/// Runs commands in the checkout's folder; gives what they say.
async fn run(script: &str, environment: &[(&str, &str)]) -> Result<String> {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(checkout::root()).kill_on_drop(true);
    command.envs(environment.iter().copied());
    let output = tokio::time::timeout(DEADLINE, command.output()).await.context("it does not end")??;
    let (said, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success(), "{said}{complained}");
    Ok(said)
}

#[test]
fn routes_are_managed_with_buf_curl_through_reflection() -> Result<()> {
    plain(async |plain| {
        // When the commands of the README are run
        let said = run(
            &block("call CreateEndpoint")?,
            &[
                ("ROUTES_GRPC", &plain.stack.routes_api.grpc()),
                ("KAFKA_BROKERS", &plain.stack.servers.kafka.brokers()),
            ],
        )
        .await?;
        // Then all succeed, and show what they promise
        for shown in ["\"endpointName\": \"kafka-copy\"", "\"health\": ", "\"disabled\": true"] {
            ensure!(said.contains(shown), "{shown} is missing in {said}");
        }
        Ok(())
    })
}

#[test]
fn a_subscription_is_created_shown_and_deleted_with_buf_curl() -> Result<()> {
    plain(async |plain| {
        // When the commands of the README are run, but for the consumer in between
        let script = [block("call CreateSubscription")?, block("call DeleteSubscription")?].join("\n");
        let said = run(&script, &[("CAPTURE_GRPC", &plain.stack.capture.grpc())]).await?;
        // Then all succeed, and show what they promise
        for shown in ["\"slot\": \"twinroute_audit\"", "SUBSCRIPTION_STATE_STREAMING", "walRetainedBytesMax"]
        {
            ensure!(said.contains(shown), "{shown} is missing in {said}");
        }
        Ok(())
    })
}
