//! Events that cannot be delivered become dead letters, and nothing waits for them but what must.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tonic::Code;
use twinroute_proto::routes::v1::{
    DeadLetterSelection, EndpointHealth, GetDeadLetterRequest, ListDeadLettersRequest,
    PurgeDeadLettersRequest, UpdateEndpointRequest,
};
use twinroute_tests::{servers::azurite::sas, wait};

use crate::{
    letters::{TOO_LARGE_BYTES, letters},
    scene::DEADLINE,
    undelivered::ENDPOINT,
};

/// Twins that are written beside.
const TWINS: i32 = 300;

fn text<'v>(letter: &'v Value, attribute: &str) -> &'v str {
    letter.get(attribute).and_then(Value::as_str).unwrap_or_default()
}

/// A metric of the worker is above 0.
fn counts(page: &str, metric: &str) -> bool {
    let line = page.lines().find(|line| line.starts_with(metric));
    line.and_then(|line| line.rsplit(' ').next()).is_some_and(|number| number != "0")
}

#[test]
fn an_event_too_large_within_a_batch_is_a_dead_letter_and_all_others_arrive_in_order() -> Result<()> {
    letters("letters_large", async |letters| {
        // Given changes before, behind and beside one that the broker does not take, all written before the worker starts
        letters.put("big", 10).await?;
        letters.source.create("before", TWINS).await?;
        let too_large = letters.put("big", TOO_LARGE_BYTES).await?;
        letters.put("big", 20).await?;
        letters.source.create("behind", TWINS).await?;
        // When they are delivered with a signature that may only write
        letters.deliver(json!({})).await?;
        // Then all arrives in order but that one, and the slot follows
        letters.settles_without(std::slice::from_ref(&too_large)).await?;
        // And that one is a letter, under its hour, with the reason
        let found = letters.found().await?;
        let [(name, letter)] = found.as_slice() else { anyhow::bail!("{} letters", found.len()) };
        let time = text(letter, "time");
        let hour = time.get(..13).unwrap_or_default().replace(['-', 'T'], "/");
        assert_eq!(*name, format!("{ENDPOINT}/{hour}/{}.json", text(letter, "id")));
        assert_eq!(text(letter, "deadlettercode"), "MSG_SIZE_TOO_LARGE");
        assert!(
            letter.get("deadletterattempts").and_then(Value::as_u64).is_some_and(|attempts| attempts >= 1)
        );
        assert!(!text(letter, "deadletterreason").is_empty() && text(letter, "deadlettertime") >= time);
        assert_eq!(text(letter, "partitionkey"), "big");
        assert!(letter.get("data").is_some_and(|data| data.to_string().contains(&too_large)));
        // And the endpoint is well, and the letter counted and told
        let page = letters.worker()?.until_page(DEADLINE, "/metrics", |_, page| {
            counts(page, "twinroute_delivery_dead_letters_total{endpoint=\"kafka\"}")
        });
        page.await?;
        let log = std::fs::read_to_string(letters.worker()?.log())?;
        let told = log.lines().filter(|line| line.contains(text(letter, "id"))).count();
        assert_eq!(told, 1, "{log}");
        wait::until(DEADLINE, "the endpoint to have nothing left", async || {
            let state = letters.state().await?;
            ensure!(state.health() == EndpointHealth::Healthy && state.backlog_events == 0, "{state:?}");
            Ok(())
        })
        .await
    })
}

#[test]
fn while_dead_letters_cannot_be_written_their_keys_wait_and_the_endpoint_says_so() -> Result<()> {
    letters("letters_down", async |letters| {
        // Given a store that is down, and a twin with an event that the broker has, and one that it does not take
        letters.deliver(json!({})).await?;
        letters.put("big", 10).await?;
        letters.settles_without(&[]).await?;
        letters.azurite.stop().await?;
        let too_large = letters.put("big", TOO_LARGE_BYTES).await?;
        let written = letters.source.postgres.wal_end().await?;
        letters.put("big", 20).await?;
        // When others are written, then they arrive
        letters.source.create("beside", TWINS).await?;
        let beside = |received: &[twinroute_tests::consumers::Received]| {
            let count = received.iter().filter(|event| event.key.starts_with("beside")).count();
            ensure!(count >= usize::try_from(TWINS)?, "{count}");
            Ok(())
        };
        letters.arrivals.inbox().until(DEADLINE, "other keys' events", beside).await?;
        // And the endpoint is degraded, with the reason, and the slot waits
        wait::until(DEADLINE, "the endpoint to say so", async || {
            let state = letters.state().await?;
            let says = state.health() == EndpointHealth::Degraded
                && state.last_error.contains("cannot be written")
                && state.backlog_events == 2;
            ensure!(says, "{state:?}");
            Ok(())
        })
        .await?;
        let fails =
            |_, page: &str| counts(page, "twinroute_delivery_dead_letter_failures_total{endpoint=\"kafka\"}");
        letters.worker()?.until_page(DEADLINE, "/metrics", fails).await?;
        let of_key = letters.arrivals.inbox().received().iter().filter(|event| event.key == "big").count();
        assert_eq!(of_key, 1, "a key went on behind its refused event");
        let confirmed = letters.source.confirmed().await?;
        assert!(confirmed < written, "{confirmed:X} is beyond {written:X}");
        // When the store is back
        letters.azurite.start_again().await?;
        // Then the letter is there, and everything else has arrived
        letters.settles_without(&[too_large]).await?;
        assert_eq!(letters.found().await?.len(), 1);
        Ok(())
    })
}

#[test]
fn a_row_that_cannot_be_read_is_passed_by_when_there_is_a_container_for_it() -> Result<()> {
    letters("letters_poison", async |letters| {
        // Given a worker with a container for what no endpoint can take
        let poison = json!({ "url": letters.blobs.url(), "sas": sas::token_with("w") });
        letters.deliver(poison).await?;
        // When a twin is nested deeper than can be read, and others are written
        let graph = letters.source.graph().await?;
        let deep = "INSERT INTO digitaltwins.\"Twin\" (id, properties)
            SELECT ag_catalog._graphid(3, nextval('digitaltwins.\"Twin_id_seq\"')), ('{\"$dtId\": \"deep\", \"a\": '
                || repeat('[', 200) || repeat(']', 200) || '}')::ag_catalog.agtype";
        graph.client().batch_execute(deep).await?;
        letters.source.create("other", TWINS).await?;
        // Then those arrive, also the ones behind it in its partition, and the slot follows
        letters.settles_without(&[]).await?;
        // And its letter has what is known of it
        let found = letters.found().await?;
        let [(name, letter)] = found.as_slice() else { anyhow::bail!("{} letters", found.len()) };
        assert!(name.starts_with("poison/"), "{name}");
        assert_eq!(text(letter, "type"), "Konnektr.DigitalTwins.Stream.Poison");
        assert_eq!(text(letter, "deadlettercode"), "UNREADABLE");
        let data = letter.get("data").unwrap_or(&Value::Null);
        assert_eq!(
            (text(data, "graph"), text(data, "label"), text(data, "key")),
            ("digitaltwins", "Twin", "deep")
        );
        assert_eq!(text(data, "position"), text(letter, "sequence"));
        // And no partition is blocked
        let free = |_, page: &str| page.lines().any(|line| line.ends_with("poisoned_partitions 0"));
        letters.worker()?.until_page(DEADLINE, "/metrics", free).await?;
        Ok(())
    })
}

#[test]
fn dead_letters_are_listed_shown_and_purged_with_a_credential_of_their_own() -> Result<()> {
    letters("letters_shown", async |letters| {
        // Given five letters, of two twins
        letters.deliver(json!({})).await?;
        let mut too_large = Vec::new();
        for twin in ["one", "two", "one", "two", "one"] {
            too_large.push(letters.put(twin, TOO_LARGE_BYTES).await?);
            letters.put(twin, 10).await?;
        }
        letters.settles_without(&too_large).await?;
        // When they are listed page by page, then each is there once, without its content
        let mut client = letters.client().await?;
        let mut listed = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListDeadLettersRequest { selection: selection("", &[]), page_size: 2, page_token };
            let page = client.list_dead_letters(request).await?.into_inner();
            ensure!(page.dead_letters.len() <= 2, "{}", page.dead_letters.len());
            listed.extend(page.dead_letters);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let ids: BTreeSet<String> = listed.iter().map(|letter| letter.event_id.clone()).collect();
        assert_eq!((listed.len(), ids.len()), (5, 5));
        for letter in &listed {
            // One that was refused behind another one of its key was sent once more when that had come to its end.
            ensure!(letter.code == "MSG_SIZE_TOO_LARGE" && letter.attempts >= 1, "{letter:?}");
            let times = (letter.event_time.is_some(), letter.dead_letter_time.is_some());
            ensure!(letter.content.is_empty() && times == (true, true), "{letter:?}");
        }
        let other = ListDeadLettersRequest { selection: selection("OTHER", &[]), ..Default::default() };
        assert_eq!(client.list_dead_letters(other).await?.into_inner().dead_letters, []);
        // When one is asked for, then it is the event
        let first = ids.first().cloned().unwrap_or_default();
        let request = GetDeadLetterRequest { endpoint_name: ENDPOINT.to_owned(), event_id: first.clone() };
        let shown = client.get_dead_letter(request).await?.into_inner().dead_letter;
        let content: Value = serde_json::from_slice(&shown.unwrap_or_default().content)?;
        assert_eq!(text(&content, "id"), first);
        assert!(content.get("data").is_some_and(|data| data.to_string().len() > TOO_LARGE_BYTES));
        // When one is purged by its id, and then all, they are gone
        let request = PurgeDeadLettersRequest { selection: selection("", &[&first]) };
        assert_eq!(client.purge_dead_letters(request).await?.into_inner().purged, 1);
        let gone = client
            .get_dead_letter(GetDeadLetterRequest { endpoint_name: ENDPOINT.to_owned(), event_id: first });
        assert_eq!(gone.await.err().map(|status| status.code()), Some(Code::NotFound));
        let request = PurgeDeadLettersRequest { selection: selection("MSG_SIZE_TOO_LARGE", &[]) };
        assert_eq!(client.purge_dead_letters(request).await?.into_inner().purged, 4);
        assert_eq!(letters.found().await?.len(), 0);
        // When the endpoint has no credential to read, then the call names the field
        let mut endpoint = letters.endpoint().await?;
        if let Some(container) = &mut endpoint.dead_letter {
            container.read_sas = None;
        }
        client.update_endpoint(UpdateEndpointRequest { endpoint: Some(endpoint), update_mask: None }).await?;
        let request = ListDeadLettersRequest { selection: selection("", &[]), ..Default::default() };
        let refused = client.list_dead_letters(request).await.err();
        let refused =
            refused.map(|status| (status.code(), status.message().contains("`dead_letter.read_sas`")));
        assert_eq!(refused, Some((Code::FailedPrecondition, true)));
        Ok(())
    })
}

fn selection(code: &str, event_ids: &[&str]) -> Option<DeadLetterSelection> {
    Some(DeadLetterSelection {
        endpoint_name: ENDPOINT.to_owned(),
        event_ids: event_ids.iter().map(|&id| id.to_owned()).collect(),
        code: code.to_owned(),
        ..DeadLetterSelection::default()
    })
}
