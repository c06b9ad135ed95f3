//! The project that all tests share, one at a time: up as the compose file has it, with consumers at its sinks.

use std::{sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    runtime::Runtime,
    sync::{Mutex, OnceCell},
};
use twinroute_tests::{checkout, servers::postgres, stack::Steps, twins::ledger, wait};

use crate::{
    command::docker,
    images,
    project::Project,
    sinks::{Mark, Sinks},
};

/// The file with the password of the project's database.
const PASSWORD_FILE: &str = "deploy/compose/postgres-password.txt";

/// How long the generator may take for some hundred changes: it makes some thirty in a second.
const CHANGES_DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) project: Project,
    steps: Steps,
    sinks: Sinks,
}

/// Runs a test on the shared project, alone, and finds all of it well.
pub(crate) fn scene(test: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    static SCENE: OnceCell<Mutex<Option<Scene>>> = OnceCell::const_new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().ok()).as_ref().context("there is no runtime")?;
    runtime.block_on(async {
        let mut shared = SCENE.get_or_init(async || Mutex::new(None)).await.lock().await;
        if shared.is_none() {
            *shared = Some(Scene::start().await.context("the compose file does not come up")?);
        }
        let scene = shared.as_ref().context("there is no project")?;
        scene.heal().await.context("the test before left it broken")?;
        test(scene).await
    })
}

impl Scene {
    /// Builds the images and brings up one profile after the other.
    async fn start() -> Result<Self> {
        let steps = Steps::told();
        let project = Project::new().await?;
        images::build(&project).await?;
        steps.done("the images are built");
        project.compose(&["--profile", "servers", "up", "--detach", "--wait"]).await?;
        steps.done("the servers are well");
        let sinks = Sinks::consume(&project).await?;
        project.compose(&["--profile", "services", "up", "--detach", "--wait"]).await?;
        steps.done("the services are well");
        project.compose(&["up", "--detach", "--wait"]).await?;
        steps.done("the generator runs");
        Ok(Self { project, steps, sinks })
    }

    /// Lets go on what a test that failed has left paused.
    async fn heal(&self) -> Result<()> {
        for container in self.project.containers().await? {
            if container.state.paused {
                docker(["unpause", &container.id]).await?;
            }
        }
        self.up(&[]).await?;
        self.project.is_well().await
    }

    /// Brings up what the compose file says, with further options.
    pub(crate) async fn up(&self, options: &[&str]) -> Result<()> {
        let arguments: Vec<_> = ["up", "--detach", "--wait"].iter().chain(options).copied().collect();
        self.project.compose(&arguments).await.map(drop)
    }

    /// A step of a test is done.
    pub(crate) fn done(&self, what: &str) {
        self.steps.done(what);
    }

    /// The password of the database.
    pub(crate) fn password() -> Result<String> {
        let file = checkout::root().join(PASSWORD_FILE);
        let password = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(password.trim_end().to_owned())
    }

    /// The database, as this machine reaches it.
    pub(crate) fn database(&self) -> Result<String> {
        let (port, password) = (self.project.port("POSTGRES_PORT")?, Self::password()?);
        Ok(format!("host=127.0.0.1 port={port} user=postgres dbname=postgres password='{password}'"))
    }

    /// Waits until the generator has committed so many changes more.
    pub(crate) async fn goes_on(&self, changes: usize) -> Result<()> {
        let client = postgres::connect(&self.database()?).await?;
        let before = ledger::count(&client).await?;
        wait::until(CHANGES_DEADLINE, "changes to be committed", async || {
            let since = ledger::count(&client).await?.saturating_sub(before);
            ensure!(since >= changes, "{since} of {changes}");
            Ok(())
        })
        .await
    }

    /// How much has arrived at the sinks.
    pub(crate) fn mark(&self) -> Mark {
        self.sinks.mark()
    }

    /// How many copies of events that arrived after `mark` arrived too, at each sink.
    pub(crate) fn repeated_since(&self, mark: &Mark) -> [usize; 3] {
        self.sinks.repeated_since(mark)
    }

    /// Waits until every sink has all that was committed, in order; the generator must be paused.
    pub(crate) async fn has_arrived(&self) -> Result<()> {
        let changes = self.sinks.have_all(&self.database()?).await?;
        self.done(&format!("all of {changes} changes are at each sink, in order"));
        Ok(())
    }

    /// Pauses the generator until every sink has all, in order.
    pub(crate) async fn settles(&self) -> Result<()> {
        self.project.paused("generator", async || self.has_arrived().await).await
    }
}
