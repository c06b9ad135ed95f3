//! The bootstrap file: endpoints and routes in the YAML of the AgeDigitalTwins documentation
//! (`events.config.eventSinks`, `events.config.eventRoutes`). Every mistake is reported at once, with its line.

mod expand;
mod fields;
mod routes;
mod sinks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use twinroute_common::config::yaml;

use crate::catalog::FileResources;
use expand::Environment;
use fields::Fields;

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: line {line}: {message}", file.display())]
pub struct Mistake {
    /// The file.
    pub file: Arc<PathBuf>,
    /// Line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong and what is wanted; holds no secret.
    pub message: String,
}

/// Reads the file. Values may hold `${NAME}`, which stands for the environment variable.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn load(path: &Path) -> Result<FileResources, Vec<Mistake>> {
    let file = Arc::new(path.to_owned());
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot be read: {error}; name a readable YAML file, or remove bootstrap.file");
        vec![Mistake { file: Arc::clone(&file), line: 0, message }]
    })?;
    parse(file, &text, &|name| std::env::var(name).ok())
}

fn parse(
    file: Arc<PathBuf>,
    text: &str,
    environment: Environment<'_>,
) -> Result<FileResources, Vec<Mistake>> {
    let document = yaml::parse(text)
        .map_err(|problem| vec![Mistake { file: Arc::clone(&file), line: 0, message: problem.message }])?;
    let mut mistakes = Vec::new();
    let mut resources =
        FileResources { path: Arc::clone(&file), endpoints: BTreeMap::new(), routes: BTreeMap::new() };
    let mut root = Fields::new(&document, "the file", environment, &mut mistakes);
    if let Some(mut events) = root.section("events")
        && let Some(mut config) = events.section("config")
    {
        if let Some(mut kinds) = config.section("eventSinks") {
            resources.endpoints = sinks::read(&mut kinds);
            kinds.finish();
        }
        resources.routes = routes::read(&mut config, &resources.endpoints);
        config.finish();
        events.finish();
    }
    root.finish();
    if mistakes.is_empty() {
        return Ok(resources);
    }
    mistakes.sort_by_key(|(line, _)| *line);
    let named = |(line, message)| Mistake { file: Arc::clone(&file), line, message };
    Err(mistakes.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests;
