//! Dead letters are sent again: in order, at the pace that was asked for, whatever happens to the workers meanwhile.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use twinroute_proto::routes::v1::{
    CancelRedriveRequest, DeadLetterSelection, GetRedriveRequest, ListDeadLettersRequest,
    RedriveDeadLettersRequest, RedriveJob, RedriveOutcome, RedriveState,
};
use twinroute_tests::{twins::ledger, wait};

use crate::{
    letters::{Letters, letters},
    scene::DEADLINE,
    undelivered::ENDPOINT,
};

/// What the topic takes at first, a change that is larger, and what it takes in the end, in bytes. Not far below a batch of
/// the sink, which finds the record that is too large by sending smaller and smaller ones, with a wait before each.
const SMALL_BYTES: usize = 200_000;
const LARGE_TEXT: usize = 400_000;
const LARGE_BYTES: usize = 1_000_000;

/// Changes of some twins that the topic does not take, with a small one behind each: the markers of the large ones, by
/// twin and in order.
async fn too_large(letters: &mut Letters<'_>, count: usize) -> Result<BTreeMap<String, Vec<String>>> {
    letters.limit_records(SMALL_BYTES).await?;
    let mut markers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for number in 0..count {
        let twin = format!("twin-{}", number % 5);
        let marker = letters.put(&twin, LARGE_TEXT).await?;
        letters.put(&twin, 10).await?;
        markers.entry(twin).or_default().push(marker);
    }
    let all: Vec<String> = markers.values().flatten().cloned().collect();
    letters.settles_without(&all).await?;
    ensure!(letters.found().await?.len() == count, "not every refused change is a letter");
    Ok(markers)
}

/// All letters.
fn selection() -> Option<DeadLetterSelection> {
    Some(DeadLetterSelection { endpoint_name: ENDPOINT.to_owned(), ..Default::default() })
}

async fn redrive(letters: &Letters<'_>, events_per_second_max: u32) -> Result<RedriveJob> {
    let request = RedriveDeadLettersRequest { selection: selection(), events_per_second_max };
    let job = letters.client().await?.redrive_dead_letters(request).await?.into_inner().job;
    job.context("no job")
}

/// The job, when it is as it should be.
async fn until(letters: &Letters<'_>, id: &str, is: impl Fn(&RedriveJob) -> bool) -> Result<RedriveJob> {
    wait::until(DEADLINE, "the redrive", async || {
        let request = GetRedriveRequest { id: id.to_owned() };
        let job = letters.client().await?.get_redrive(request).await?.into_inner().job.context("no job")?;
        ensure!(is(&job), "{job:?}");
        Ok(job)
    })
    .await
}

/// The letters have arrived, those of each twin in order; how many came more than once.
async fn arrived(letters: &Letters<'_>, markers: &BTreeMap<String, Vec<String>>) -> Result<usize> {
    let mut repeated = 0;
    for (twin, expected) in markers {
        let of_twin = |received: &twinroute_tests::consumers::Received| {
            let marker = ledger::marker(received)?.to_string();
            (received.key == *twin && expected.contains(&marker)).then_some(marker)
        };
        let check = |received: &[twinroute_tests::consumers::Received]| {
            let mut arrived: Vec<String> = Vec::new();
            let mut repeats = 0;
            for marker in received.iter().filter_map(of_twin) {
                match arrived.contains(&marker) {
                    true => repeats += 1,
                    false => arrived.push(marker),
                }
            }
            ensure!(arrived == *expected, "{twin}: {arrived:?} instead of {expected:?}");
            Ok(repeats)
        };
        repeated += letters.arrivals.inbox().until(DEADLINE, "the letters", check).await?;
    }
    Ok(repeated)
}

#[test]
fn redriven_letters_arrive_in_order_and_are_letters_no_more() -> Result<()> {
    letters("redrive_all", async |letters| {
        // Given letters of several twins, and a topic that takes them now
        letters.deliver(json!({})).await?;
        let markers = too_large(letters, 20).await?;
        letters.limit_records(LARGE_BYTES).await?;
        // When they are redriven
        let job = redrive(letters, 0).await?;
        let done = until(letters, &job.id, |job| job.state() == RedriveState::Done).await?;
        // Then each has arrived once, in order, and none is a letter
        assert_eq!((done.delivered, done.failed, done.failures.len()), (20, 0, 0), "{done:?}");
        assert_eq!(arrived(letters, &markers).await?, 0);
        assert_eq!(letters.found().await?.len(), 0);
        println!("redrive of 20 letters: delivered 20, lost 0, repeated 0, reordered 0");
        Ok(())
    })
}

#[test]
fn what_fails_again_stays_a_letter_that_says_so() -> Result<()> {
    letters("redrive_again", async |letters| {
        // Given letters, and a topic that still does not take them
        letters.deliver(json!({})).await?;
        too_large(letters, 5).await?;
        // When they are redriven
        let job = redrive(letters, 0).await?;
        let done = until(letters, &job.id, |job| job.state() == RedriveState::Done).await?;
        // Then the job has ended and says of each why, and so do the letters
        assert_eq!((done.delivered, done.failed, done.failures.len()), (0, 5, 5), "{done:?}");
        for (_, letter) in letters.found().await? {
            let by = letter.get("deadletterredrive").and_then(Value::as_str);
            assert_eq!(by, Some(&*job.id));
            let id = letter.get("id").and_then(Value::as_str).unwrap_or_default();
            assert!(done.failures.iter().any(|failure| failure.event_id == id && !failure.reason.is_empty()));
        }
        assert_eq!(letters.found().await?.len(), 5);
        Ok(())
    })
}

#[test]
fn a_letter_in_the_archive_tier_is_told_and_the_others_are_redriven() -> Result<()> {
    letters("redrive_archive", async |letters| {
        // Given letters of which one is in a tier that hands nothing out, and a topic that takes them now
        letters.deliver(json!({})).await?;
        too_large(letters, 5).await?;
        letters.limit_records(LARGE_BYTES).await?;
        let found = letters.found().await?;
        let (name, letter) = found.first().context("no letters")?;
        letters.blobs.set_tier(name, "Archive").await?;
        // When they are redriven
        let job = redrive(letters, 0).await?;
        let done = until(letters, &job.id, |job| job.state() == RedriveState::Done).await?;
        // Then the others have arrived, and of that one the job says why it has not
        assert_eq!((done.delivered, done.failed, done.failures.len()), (4, 1, 1), "{done:?}");
        let id = letter.get("id").and_then(Value::as_str).unwrap_or_default();
        let told = |failure: &RedriveOutcome| failure.event_id == id && failure.reason.contains("Archive");
        assert!(done.failures.iter().any(told), "{done:?}");
        assert_eq!(letters.blobs.names().await?, [name.as_str()]);
        // And it can be listed, and redriven when it is back
        let request = ListDeadLettersRequest { selection: selection(), ..Default::default() };
        let listed = letters.client().await?.list_dead_letters(request).await?.into_inner().dead_letters;
        assert_eq!(listed.len(), 1);
        letters.blobs.set_tier(name, "Hot").await?;
        let again = redrive(letters, 0).await?;
        let done = until(letters, &again.id, |job| job.state() == RedriveState::Done).await?;
        assert_eq!((done.delivered, done.failed), (1, 0), "{done:?}");
        Ok(())
    })
}

#[test]
fn a_job_goes_on_when_a_worker_dies_and_routes_api_restarts_and_ends_when_it_is_cancelled() -> Result<()> {
    letters("redrive_kills", async |letters| {
        // Given two workers, and a job that sends four letters a second
        letters.deliver(json!({})).await?;
        let mut second = letters.start_worker("second", json!({})).await?;
        let markers = too_large(letters, 30).await?;
        letters.limit_records(LARGE_BYTES).await?;
        let job = redrive(letters, 4).await?;
        until(letters, &job.id, |job| job.delivered >= 5).await?;
        // When one is killed, and routes-api too, which is started again
        second.kill().await?;
        letters.routes.service.kill().await?;
        letters.routes.service.start_again()?;
        letters.routes.service.until_ready().await?;
        until(letters, &job.id, |job| job.delivered >= 15).await?;
        // And the job is cancelled, and another one sends the rest as fast as it can
        let cancel = CancelRedriveRequest { id: job.id.clone() };
        let cancelled = letters.client().await?.cancel_redrive(cancel).await?.into_inner().job;
        assert_eq!(cancelled.map(|job| job.state()), Some(RedriveState::Cancelled));
        let rest = redrive(letters, 0).await?;
        let done = until(letters, &rest.id, |job| job.state() == RedriveState::Done).await?;
        // Then all have arrived, in order, repeated at most what the killed one had not told, and no letter is left
        assert!(done.failed == 0 && done.delivered > 0, "{done:?}");
        let repeated = arrived(letters, &markers).await?;
        assert_eq!(letters.found().await?.len(), 0);
        println!("redrive of 30 letters with a kill: lost 0, repeated {repeated} (the kill), reordered 0");
        assert!(repeated <= 5, "{repeated}");
        Ok(())
    })
}
