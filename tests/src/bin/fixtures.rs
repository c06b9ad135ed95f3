//! Runs the fixtures of a folder and prints how they came out.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use twinroute_tests::{checkout, fixtures};

/// Runs the cases of `events.json` through the decoder and the renderers, and those of `filters.json` through the filters.
#[derive(Parser)]
struct Arguments {
    /// The folder that the files are in; by default the repository's own.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let dir = Arguments::parse().dir.unwrap_or_else(|| checkout::root().join("tests/fixtures"));
    let outcome = fixtures::run(&dir)?;
    writeln!(std::io::stdout(), "{outcome}")?;
    Ok(if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
