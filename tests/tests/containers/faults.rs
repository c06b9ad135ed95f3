//! Each container in turn is killed and paused under load: the engine starts it again, everything is well again, and all
//! arrives, in order.

use std::time::Duration;

use anyhow::{Result, ensure};
use twinroute_tests::{servers::postgres, wait};

use crate::{
    factory,
    scene::{Scene, scene},
};

/// Changes that are committed while a container is paused: some seconds.
const CHANGES: usize = 100;

/// A client that has had no answer for so long has none.
const SILENCE: Duration = Duration::from_secs(2);

/// How long it may take until nobody answers.
const PAUSE_DEADLINE: Duration = Duration::from_secs(30);

/// How a process is ended without a chance to do anything.
const KILLED: &str = "KILL";

#[test]
fn postgres_killed_and_paused_loses_nothing() -> Result<()> {
    survives("postgres", KILLED, nobody_answers)
}

#[test]
fn kafka_killed_and_paused_loses_nothing() -> Result<()> {
    survives("kafka", KILLED, the_factory_goes_on)
}

#[test]
fn mosquitto_killed_and_paused_loses_nothing() -> Result<()> {
    survives("mosquitto", KILLED, the_factory_goes_on)
}

/// Azurite writes what it has acknowledged within five seconds, or when it is told to end: a kill would lose what is its to
/// keep, not ours.
#[test]
fn azurite_ended_and_paused_loses_nothing() -> Result<()> {
    survives("azurite", "TERM", the_factory_goes_on)
}

#[test]
fn the_kusto_stand_in_killed_and_paused_loses_nothing() -> Result<()> {
    survives("kusto-stand-in", KILLED, the_factory_goes_on)
}

#[test]
fn routes_api_killed_and_paused_loses_nothing() -> Result<()> {
    survives("routes-api", KILLED, the_factory_goes_on)
}

#[test]
fn capture_killed_and_paused_loses_nothing() -> Result<()> {
    survives("capture", KILLED, the_factory_goes_on)
}

/// While one of two workers is paused, the other one takes over what it has.
#[test]
fn a_worker_killed_and_paused_loses_nothing() -> Result<()> {
    survives("delivery", KILLED, async |scene| scene.settles().await)
}

#[test]
fn the_generator_killed_and_paused_goes_on_where_it_was() -> Result<()> {
    survives("generator", KILLED, async |scene| scene.has_arrived().await)
}

/// Kills a container, and then pauses it until `meanwhile` is over.
fn survives(service: &str, signal: &str, meanwhile: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    scene(async |scene| {
        // Given a busy factory
        scene.goes_on(CHANGES).await?;
        // When a container is killed, the engine starts it again
        scene.project.signal(service, signal).await?;
        scene.project.is_well().await?;
        scene.done(&format!("{service} was killed, and all is well"));
        // And when it is paused, it goes on after that
        scene.project.paused(service, async || meanwhile(scene).await).await?;
        scene.project.is_well().await?;
        scene.done(&format!("{service} was paused, and all is well"));
        // Then all arrives, in order
        scene.settles().await
    })
}

async fn the_factory_goes_on(scene: &Scene) -> Result<()> {
    scene.goes_on(CHANGES).await
}

/// Waits until a client has had no answer from the database.
async fn nobody_answers(scene: &Scene) -> Result<()> {
    let database = factory::database(&scene.project)?;
    wait::until(PAUSE_DEADLINE, "the database to be silent", async || {
        let answer = tokio::time::timeout(SILENCE, postgres::connect(&database)).await;
        ensure!(answer.is_err(), "it answers");
        Ok(())
    })
    .await
}
