//! Commands, configuration keys, variables, metrics and calls that documents name exist.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::{
    checkout, nothing,
    prose::{code, words},
};

const CONFIGURATIONS: [&str; 3] =
    ["deploy/config/capture.yaml", "deploy/config/delivery.yaml", "deploy/config/routes-api.yaml"];

/// What a dotted name ends with when it is a file's.
const EXTENSIONS: [&str; 9] = ["json", "md", "proto", "py", "rs", "sh", "sql", "toml", "yaml"];

/// Where each service registers its metrics, by the beginning of their names.
const METRICS: [(&str, &str); 3] = [
    ("twinroute_capture_", "capture/src/metrics.rs"),
    ("twinroute_delivery_", "delivery/src/metrics.rs"),
    ("twinroute_routes_", "routes-api/src/metrics.rs"),
];

/// Looks at each stretch of code in each document; gives what `wrong` finds, with its place.
fn check(wrong: impl Fn(&str) -> Vec<String>) -> Result<()> {
    let mut found = Vec::new();
    for (file, text) in checkout::texts("md")? {
        for (line, code) in code(&text) {
            found.extend(wrong(code).into_iter().map(|what| format!("{}:{line}: {what}", file.display())));
        }
    }
    nothing(&found);
    Ok(())
}

#[test]
fn every_make_target_that_is_named_exists() -> Result<()> {
    let makefile = checkout::read("Makefile")?;
    let exists = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    check(|code| {
        let target = code.trim_start().strip_prefix("make ").and_then(|rest| rest.split_whitespace().next());
        let unknown =
            target.filter(|target| target.bytes().all(|it| it.is_ascii_lowercase()) && !exists(target));
        unknown.map(|target| format!("make {target}")).into_iter().collect()
    })
}

#[test]
fn every_configuration_key_that_is_named_exists() -> Result<()> {
    let trees = trees()?;
    check(|code| {
        // A mistake is shown as a mistake.
        let code = if code.contains("no such key") { "" } else { code };
        let names =
            words(code, |it| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, '_' | '.'));
        let keys = names.map(|name| name.trim_matches('.')).filter(|name| {
            let (first, last) = (name.split('.').next(), name.rsplit('.').next().unwrap_or_default());
            let section = first.is_some_and(|first| trees.iter().any(|tree| tree.get(first).is_some()));
            name.contains('.') && section && !EXTENSIONS.contains(&last) && !is_package(name)
        });
        keys.filter(|key| !exists(&trees, key.split('.'))).map(str::to_owned).collect()
    })
}

/// A protobuf package: `grpc.health.v1`.
fn is_package(name: &str) -> bool {
    name.rsplit_once(".v").is_some_and(|(_, version)| version.bytes().all(|it| it.is_ascii_digit()))
}

#[test]
fn every_variable_that_is_named_is_a_key() -> Result<()> {
    let trees = trees()?;
    let mut found = Vec::new();
    let files = checkout::files()?.into_iter().filter(|file| is_about_running(file));
    for file in files {
        let text = checkout::read(&file)?;
        let names = words(&text, |it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_');
        for name in names.filter(|name| *name != "TWINROUTE__SECTION__KEY") {
            let Some(key) = name.strip_prefix("TWINROUTE__").filter(|key| !key.is_empty()) else { continue };
            if !exists(&trees, key.to_lowercase().split("__")) {
                found.push(format!("{}: {name}", file.display()));
            }
        }
    }
    nothing(&found);
    Ok(())
}

/// Documents, and what is there for people to start from.
fn is_about_running(file: &Path) -> bool {
    let is_document = file.extension().is_some_and(|it| it == "md");
    is_document || file.starts_with("deploy") || file == Path::new("docker-compose.yml")
}

#[test]
fn every_metric_that_is_named_exists() -> Result<()> {
    let sources = METRICS.map(|(prefix, file)| checkout::read(file).map(|text| (prefix, text)));
    let sources = sources.into_iter().collect::<Result<Vec<_>>>()?;
    check(|code| {
        let names = words(code, |it| it.is_ascii_lowercase() || it == '_');
        let unknown = names.filter(|name| {
            sources.iter().any(|(prefix, source)| {
                // Counters are shown with the suffix of OpenMetrics.
                let name = name.trim_end_matches("_total");
                let own = name.strip_prefix(prefix).filter(|own| !own.is_empty());
                own.is_some_and(|own| ![own, name].iter().any(|it| source.contains(&format!("\"{it}\""))))
            })
        });
        unknown.map(str::to_owned).collect()
    })
}

#[test]
fn every_call_that_is_shown_exists() -> Result<()> {
    let protocol: String = checkout::texts("proto")?.into_iter().map(|(_, text)| text).collect();
    check(|code| {
        let called = code.trim_start().strip_prefix("call ").and_then(|rest| rest.split_whitespace().next());
        let unknown = called.filter(|method| !protocol.contains(&format!("rpc {method}(")));
        unknown.map(str::to_owned).into_iter().collect()
    })
}

fn trees() -> Result<Vec<Value>> {
    CONFIGURATIONS.into_iter().map(checkout::yaml).collect()
}

fn exists<'k>(trees: &[Value], path: impl Iterator<Item = &'k str> + Clone) -> bool {
    trees.iter().any(|tree| path.clone().try_fold(tree, |node, name| node.get(name)).is_some())
}
