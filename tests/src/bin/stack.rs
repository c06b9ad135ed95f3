//! `stack up | down | demo | bench`: everything together on this machine, for the Makefile.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use twinroute_tests::bench;
use twinroute_tests::checkout;
use twinroute_tests::demo::{self, chaos::Weather};
use twinroute_tests::stack::{Stack, Steps, down, environment};

/// Runs the servers and the services of the event router on this machine.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows events flow through all sinks for 20 s, and whether all of them arrived.
    Demo {
        /// Kills a worker, Kafka and capture meanwhile, one after the other.
        #[arg(long)]
        chaos: bool,
    },
    /// Starts everything and leaves it running; .run/env says where it is.
    Up {
        /// Number of delivery workers.
        #[arg(long, default_value_t = 2)]
        workers: usize,
    },
    /// Stops what `up` has started.
    Down,
    /// Measures capture and delivery against `pg_recvlogical`.
    Bench,
}

#[tokio::main]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command line tool")]
async fn main() -> ExitCode {
    let steps = Steps::told();
    let file = checkout::root().join(".run").join("env");
    let done = match Cli::parse().command {
        Command::Up { workers } => {
            async {
                anyhow::ensure!(
                    !file.exists(),
                    "it is up already, see {}; make down stops it",
                    file.display()
                );
                let dir = checkout::fresh_run_dir("up")?;
                let stack = Stack::start(&dir, workers, &steps).await?;
                let text = environment::detach(stack, &file)?;
                println!("\n{text}\nAll is up; this list is in {}. make down stops it.", file.display());
                Ok(())
            }
            .await
        }
        Command::Demo { chaos } => {
            let weather = if chaos { Weather::Chaos } else { Weather::Calm };
            return demo::run(weather, &steps).await;
        }
        Command::Bench => bench::run(&steps).await,
        Command::Down => down::stop(&file, &steps).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
