//! Invariants of ARCHITECTURE.md about what is absent.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{checkout, nothing};

/// Modules that take values and give values: no runtime in them, and no clock.
const PURE: [&str; 12] = [
    "capture/src/decode",
    "capture/src/forecast",
    "capture/src/gap",
    "capture/src/retention",
    "capture/src/selection",
    "capture/src/subscription",
    "common/src/matching",
    "common/src/render",
    "delivery/src/endpoint/lane",
    "delivery/src/settlement",
    "routes-api/src/decide",
    "routes-api/src/redrive",
];

const SERVICES: [&str; 3] = ["capture", "delivery", "routes-api"];

#[test]
fn pure_modules_have_no_runtime_and_no_clock() -> Result<()> {
    let mut found = Vec::new();
    for (file, text) in checkout::texts("rs")? {
        let name = file.with_extension("");
        let is_pure = PURE.iter().any(|module| name.starts_with(module));
        if !is_pure || is_test(&file) {
            continue;
        }
        let code = (1..).zip(text.lines()).take_while(|(_, line)| *line != "#[cfg(test)]");
        let impure = code.filter(|(_, line)| {
            let line = line.split("//").next().unwrap_or_default();
            line.contains("tokio") || line.contains("::now()")
        });
        found.extend(impure.map(|(number, line)| format!("{}:{number}: {}", file.display(), line.trim())));
    }
    nothing(&found);
    Ok(())
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str().to_string_lossy().contains("tests"))
}

#[test]
fn services_do_not_depend_on_each_other() -> Result<()> {
    let mut found = Vec::new();
    for service in SERVICES {
        let manifest = checkout::read(format!("{service}/Cargo.toml"))?;
        let (_, dependencies) = manifest.split_once("[dependencies]").context("no dependencies")?;
        let others = SERVICES.iter().filter(|other| dependencies.contains(&format!("twinroute-{other}")));
        found.extend(others.map(|other| format!("{service} depends on {other}")));
    }
    nothing(&found);
    Ok(())
}
