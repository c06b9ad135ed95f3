//! What the containers write to their logs.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{command::logs, factory, hardening::SERVICES, scene::scene};

#[test]
fn logs_are_lines_of_json_and_show_no_secret() -> Result<()> {
    scene(async |scene| {
        // Given services that have worked
        scene.settles().await?;
        let password = factory::password()?;
        for container in scene.project.containers().await? {
            // When the log of each container is read
            let name = container.name();
            let log = logs(&container.id).await?;
            // Then none tells the password
            let told = log.lines().find(|line| line.contains(&password));
            assert_eq!(told, None, "{name}");
            // And each line of a service is an object that says when and how bad
            if SERVICES.contains(&container.service()) {
                ensure!(!log.is_empty(), "{name} logs nothing");
                log.lines().try_for_each(is_entry).with_context(|| name.to_owned())?;
            }
        }
        Ok(())
    })
}

fn is_entry(line: &str) -> Result<()> {
    let entry: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    let missing = ["timestamp", "level"].into_iter().find(|name| entry.get(name).is_none());
    ensure!(missing.is_none(), "no {missing:?}: {line}");
    Ok(())
}
