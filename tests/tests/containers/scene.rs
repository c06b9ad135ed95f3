//! The project that all tests share, one at a time: up as the compose file has it, with consumers at its sinks.

use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use tokio::{
    runtime::Runtime,
    sync::{Mutex, OnceCell},
};
use twinroute_tests::stack::Steps;

use crate::{
    command::docker,
    factory, images,
    project::Project,
    sinks::{self, Mark, Sinks},
};

/// Changes whose events make the Kafka topic.
const FIRST_CHANGES: usize = 20;

pub(crate) struct Scene {
    pub(crate) project: Project,
    steps: Steps,
    sinks: Sinks,
}

/// Runs a test on the shared project, alone, and finds all of it well.
pub(crate) fn scene(test: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    // What does not come up once is not tried again by each test.
    static SCENE: OnceCell<Result<Mutex<Scene>, String>> = OnceCell::const_new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().ok()).as_ref().context("there is no runtime")?;
    runtime.block_on(async {
        let starting = async || Scene::start().await.map(Mutex::new).map_err(|error| format!("{error:#}"));
        let shared = SCENE.get_or_init(starting).await.as_ref();
        let scene =
            shared.map_err(|error| anyhow!("the compose file does not come up: {error}"))?.lock().await;
        scene.heal().await.context("the test before left it broken")?;
        test(&scene).await
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
        let mqtt = sinks::subscribe(&project).await?;
        project.compose(&["--profile", "services", "up", "--detach", "--wait"]).await?;
        steps.done("the services are well");
        project.compose(&["up", "--detach", "--wait"]).await?;
        factory::goes_on(&project, FIRST_CHANGES).await?;
        steps.done("the factory works");
        Ok(Self { sinks: Sinks::consume(&project, mqtt)?, project, steps })
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

    /// Waits until the generator has committed so many changes more.
    pub(crate) async fn goes_on(&self, changes: usize) -> Result<()> {
        factory::goes_on(&self.project, changes).await
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
        let changes = self.sinks.have_all(&factory::database(&self.project)?).await?;
        self.done(&format!("all of {changes} changes are at each sink, in order"));
        Ok(())
    }

    /// Pauses the generator until every sink has all, in order.
    pub(crate) async fn settles(&self) -> Result<()> {
        self.project.paused("generator", async || self.has_arrived().await).await
    }
}
