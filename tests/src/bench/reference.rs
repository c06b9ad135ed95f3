//! The reference: `pg_recvlogical` reads the backlog and throws it away.

use std::{process::Stdio, time::Instant};

use anyhow::{Result, ensure};

use super::workload::{DATABASE, PUBLICATION};
use super::{RUN_DEADLINE, Run, Source};

pub(super) async fn run(source: &Source<'_>) -> Result<Run> {
    let slot = format!("bench_reference_{}", source.round);
    source.workload.slot(&slot).await?;
    let mut command = tokio::process::Command::from(source.postgres.tool("pg_recvlogical"));
    let port = source.postgres.port().to_string();
    command.args(["-h", "127.0.0.1", "-U", "postgres", "-d", DATABASE, "-p", &port, "-S", &slot]);
    command.args(["-o", "proto_version=1", "-o", &format!("publication_names={PUBLICATION}")]);
    command.args(["--start", "--no-loop", "-f", "/dev/null", "-E", source.workload.end_lsn()]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let start = Instant::now();
    let ended = tokio::time::timeout(RUN_DEADLINE, command.status()).await??;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(ended.success(), "pg_recvlogical ended with {ended}");
    source.workload.drop_slot(&slot).await?;
    Ok(Run { name: "pg_recvlogical", seconds, cpu_s: Vec::new(), peak_rss_mib: Vec::new() })
}
