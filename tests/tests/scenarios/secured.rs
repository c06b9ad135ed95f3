//! A PostgreSQL server with TLS and roles that log in in different ways, and files for those who connect.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use twinroute_tests::servers::postgres::{Postgres, Shutdown};

use crate::{
    authority::{Authority, Issued},
    scene,
};

/// Who may log in how; the superuser as everywhere, for the scenario's own statements.
const HBA: &str = "
host      all postgres  127.0.0.1/32 trust
hostssl   all scrammed  127.0.0.1/32 scram-sha-256
hostssl   all certified 127.0.0.1/32 cert
hostssl   all strict    127.0.0.1/32 scram-sha-256 clientcert=verify-full
hostnossl all unsecured 127.0.0.1/32 scram-sha-256
hostssl   all cleartext 127.0.0.1/32 password
";

/// The roles.
const ROLES: [&str; 5] = ["scrammed", "certified", "strict", "unsecured", "cleartext"];

/// Their password, which a URL must escape.
const PASSWORD: &str = "p@ss/w0rd";

/// The server; its certificate is for `localhost`.
pub(crate) struct Secured {
    pub(crate) postgres: Postgres,
    dir: PathBuf,
}

impl Secured {
    /// Starts a server in the scenario's folder, with a certificate of `authority`.
    pub(crate) async fn start(name: &str, authority: &Authority) -> Result<Self> {
        let dir = scene::dir(name)?;
        let postgres = Postgres::start(&dir.join("postgres")).await?;
        let mut server = Self { postgres, dir };
        let client = server.postgres.connect("postgres").await?;
        for setting in ["ssl = on", "ssl_ca_file = 'root.crt'"] {
            client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await?;
        }
        for role in ROLES {
            client
                .batch_execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{PASSWORD}'"))
                .await?;
        }
        std::fs::write(server.data().join("pg_hba.conf"), HBA)?;
        server.certify(&authority.server("localhost")?, authority).await?;
        Ok(server)
    }

    /// Starts it anew with a certificate of its own; of its clients it takes those of `authority`.
    pub(crate) async fn certify(&mut self, own: &Issued, authority: &Authority) -> Result<()> {
        let Issued { certificate, key } = own;
        for (name, text) in [("server.crt", certificate), ("server.key", key), ("root.crt", &authority.pem())]
        {
            self.hand_over(name, text)?;
        }
        self.postgres.restart(Shutdown::Fast).await
    }

    /// Has no TLS any more.
    pub(crate) async fn give_up_tls(&mut self) -> Result<()> {
        let client = self.postgres.connect("postgres").await?;
        client.batch_execute("ALTER SYSTEM SET ssl = off").await?;
        self.postgres.restart(Shutdown::Fast).await
    }

    /// The URL of its database, for `role` with its password, through the name `host`.
    pub(crate) fn url(&self, role: &str, host: &str, parameters: &str) -> String {
        let password = PASSWORD.replace('@', "%40").replace('/', "%2F");
        format!("postgresql://{role}:{password}@{host}:{}/postgres?{parameters}", self.postgres.port())
    }

    /// Writes a file for somebody who connects; gives back its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<String> {
        let file = self.dir.join(name);
        std::fs::write(&file, text)?;
        Ok(file.to_str().context("the path is not UTF-8")?.to_owned())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("postgres/data")
    }

    /// Writes a file that belongs to the server, which insists on it.
    fn hand_over(&self, name: &str, text: &str) -> Result<()> {
        let file = self.data().join(name);
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        let owner = self.data().metadata()?;
        Ok(chown(&file, Some(owner.uid()), Some(owner.gid()))?)
    }
}
