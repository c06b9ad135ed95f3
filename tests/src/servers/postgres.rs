//! PostgreSQL, run inside the Debian trees that `tests/install/postgres.sh` and `postgres-versions.sh` make.

mod installation;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio_postgres::{Client, NoTls};

use self::installation::Installation;
pub use self::installation::Release;
use super::{START_DEADLINE, STOP_DEADLINE};
use crate::{
    checkout, ports,
    process::{Process, Signal},
};

/// What the servers run with beside the port. Slots and walsenders: enough for tests side by side.
const SETTINGS: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "wal_level=logical",
    "max_replication_slots=60",
    "max_wal_senders=60",
    "max_prepared_transactions=0",
    "max_connections=200",
    "fsync=on",
    // When a change was committed is asked for by the tests that compare events byte for byte.
    "track_commit_timestamp=on",
    "log_line_prefix=%m [%p] %d ",
];

/// How long opening a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How a running server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are cut, all is written: SIGINT.
    Fast,
    /// Everything ends at once, and the next start recovers from the WAL: SIGQUIT.
    Immediate,
}

/// A PostgreSQL server with one superuser, `postgres`, who needs no password.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    release: Release,
    installation: Installation,
    dir: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts PostgreSQL 17 with AGE, with its data and log in `dir`, which is created when missing. Every
    /// database that is made on it has AGE.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_release(Release::Age17, dir).await
    }

    /// Starts another release in the same way.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start_release(release: Release, dir: &Path) -> Result<Self> {
        let installation = Installation::find(release)?;
        let dir = checkout::create(dir)?;
        let fresh = !dir.join("data").exists();
        if fresh {
            initialise(&installation, &dir)?;
        }
        let port = ports::free()?;
        let process = launch(release, &installation, &dir, port)?;
        let mut server = Self { process, release, installation, dir, port };
        server.until_ready().await?;
        if fresh && release == Release::Age17 {
            for database in ["template1", "postgres"] {
                let client = server.connect(database).await?;
                client.batch_execute("CREATE EXTENSION age").await?;
            }
        }
        Ok(server)
    }

    /// The URL of one of its databases, as the superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A connection to one of its databases, served by a task of the current runtime.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        connect(&self.url(database)).await
    }

    /// How far the WAL has been written, in bytes.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn wal_end(&self) -> Result<u64> {
        self.lsn("SELECT pg_current_wal_insert_lsn() - '0/0'").await
    }

    /// How far a replication slot is confirmed, in bytes.
    ///
    /// # Errors
    /// When there is no such slot or the server does not answer.
    pub async fn confirmed(&self, slot: &str) -> Result<u64> {
        let slot = slot.replace('\'', "''");
        let from = format!("FROM pg_replication_slots WHERE slot_name = '{slot}'");
        self.lsn(&format!("SELECT confirmed_flush_lsn - '0/0' {from}")).await
    }

    /// Runs a query for a byte position, which is a numeric.
    async fn lsn(&self, query: &str) -> Result<u64> {
        let client = self.connect("postgres").await?;
        let row = client.query_one(&format!("SELECT (({query})::bigint)"), &[]).await?;
        Ok(row.try_get::<_, i64>(0)?.try_into()?)
    }

    /// Makes a database with AGE in it; gives back its URL.
    ///
    /// # Errors
    /// When there is one of this name already.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        let client = self.connect("postgres").await?;
        let quoted = name.replace('"', "\"\"");
        client.batch_execute(&format!("CREATE DATABASE \"{quoted}\"")).await?;
        Ok(self.url(name))
    }

    /// Stops the server; [`Self::start_again`] starts it on the same data and port.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self, how: Shutdown) -> Result<()> {
        let signal = match how {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        };
        self.process.stop(signal, STOP_DEADLINE).await?;
        Ok(())
    }

    /// Kills (-9) the postmaster and every backend.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts the stopped or killed server on the same data and port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = launch(self.release, &self.installation, &self.dir, self.port)?;
        self.until_ready().await
    }

    /// Stops the server and starts it on the same data and port.
    ///
    /// # Errors
    /// When it does not stop or start.
    pub async fn restart(&mut self, how: Shutdown) -> Result<()> {
        self.stop(how).await?;
        self.start_again().await
    }

    /// Keeps a copy of the stopped server's data, as a backup would; [`Self::restore`] puts it back.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn back_up(&self) -> Result<()> {
        self.copy("data", "backup")
    }

    /// Puts the copy in the place of the stopped server's data: the database is back at an earlier time.
    ///
    /// # Errors
    /// When there is none.
    pub fn restore(&self) -> Result<()> {
        self.copy("backup", "data")
    }

    /// With owners and modes: the server checks them.
    fn copy(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.dir.join(from), self.dir.join(to));
        if to.exists() {
            std::fs::remove_dir_all(&to).with_context(|| format!("cannot remove {}", to.display()))?;
        }
        let copied = Command::new("cp").arg("-a").arg(&from).arg(&to).status().context("cannot run cp")?;
        ensure!(copied.success(), "cannot copy {}", from.display());
        Ok(())
    }

    /// A program of the tree, such as `pg_recvlogical` or `psql`, to be given its arguments. What
    /// it finds in `/mnt` is the server's folder.
    #[must_use]
    pub fn tool(&self, program: &str) -> Command {
        self.installation.command(&self.dir, program)
    }

    /// Lets the server outlive us; gives back the postmaster's process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn detach(self) -> Result<i32> {
        self.process.detach()
    }

    async fn until_ready(&mut self) -> Result<()> {
        let url = self.url("postgres");
        self.process.until_ready(START_DEADLINE, async || connect(&url).await.map(drop)).await
    }
}

/// A connection to `url` without TLS, served by a task of the current runtime.
///
/// # Errors
/// When the server refuses or does not answer within ten seconds.
pub async fn connect(url: &str) -> Result<Client> {
    let connecting = tokio_postgres::connect(url, NoTls);
    let (client, connection) = tokio::time::timeout(CONNECT_DEADLINE, connecting)
        .await
        .context("PostgreSQL does not answer")?
        .context("PostgreSQL refuses the connection")?;
    // Its error reaches whoever uses the client.
    tokio::spawn(connection);
    Ok(client)
}

fn initialise(installation: &Installation, dir: &Path) -> Result<()> {
    let output = installation
        .command(dir, "initdb")
        .args(["--pgdata=/mnt/data", "--username=postgres", "--auth=trust"])
        .args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
        .output()
        .context("cannot run initdb")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb fails: {said}");
    Ok(())
}

fn launch(release: Release, installation: &Installation, dir: &Path, port: u16) -> Result<Process> {
    let mut command = installation.command(dir, "postgres");
    command.args(["-D", "/mnt/data", "-c", &format!("port={port}")]);
    let libraries = (release == Release::Age17).then_some("shared_preload_libraries=age");
    for setting in SETTINGS.into_iter().chain(libraries) {
        command.args(["-c", setting]);
    }
    Process::start("PostgreSQL", command, &dir.join("log"))
}
