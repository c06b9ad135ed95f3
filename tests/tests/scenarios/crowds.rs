//! Many consumers of one subscription that come and go under load, against the ledger.

use anyhow::{Result, ensure};
use serde_json::json;
use tonic::Code;
use twinroute_proto::capture::v1::Released;

use crate::{
    crowd::Crowd,
    decision::PARTITIONS,
    raw::{Request, Response},
    source::source,
};

/// Consumers at most.
const MANY: usize = 8;

/// Events between two changes of the crowd.
const BETWEEN: usize = 200;

fn name(number: usize) -> String {
    format!("consumer-{number}")
}

#[test]
fn from_one_consumer_to_eight_and_back_to_one_nothing_is_lost_and_as_few_partitions_move_as_can() -> Result<()>
{
    source("crowd", json!({ "stream": { "progress_interval_ms": 100 } }), async |source| {
        // Given one consumer of twins that are updated all the time
        source.create("twin", 200).await?;
        let updates = source.update_all_the_time("twin", 200).await?;
        let mut crowd = Crowd::new();
        crowd.join(source, &name(0)).await?;
        // When seven more come
        for count in 1..MANY {
            crowd.until_more(source, BETWEEN).await?;
            crowd.until_shared(source, count).await?;
            crowd.join(source, &name(count)).await?;
        }
        let mut shares = crowd.until_shared(source, MANY).await?;
        // Then each newcomer has taken its share, and nothing else has moved
        let shares_taken: usize = (2..=MANY).map(|count| PARTITIONS / count).sum();
        crowd.until_granted(PARTITIONS + shares_taken).await?;
        // When all but the last one go, every other one without a word
        for left in (1..MANY).rev() {
            let (leaving, before) = (name(MANY - 1 - left), crowd.granted());
            crowd.until_more(source, BETWEEN).await?;
            if left % 2 == 0 {
                crowd.drain(&leaving).await?;
            } else {
                crowd.break_off(&leaving)?;
            }
            // Then what it had is shared by the others, and nothing else moves
            let had = shares.remove(&leaving).unwrap_or_default();
            shares = crowd.until_shared(source, left).await?;
            crowd.until_granted(before + had).await?;
        }
        updates.end().await?;
        // Then all has arrived, in order, under one id each, and the slot was never ahead
        source.until_confirmed().await?;
        let verdict = crowd.verdict(source).await?;
        ensure!(verdict.is_kept(), "{verdict:?}");
        Ok(())
    })
}

#[test]
fn a_consumer_that_lives_and_acknowledges_nothing_loses_its_partitions_only_while_others_acknowledge()
-> Result<()> {
    let stream = json!({ "stream": { "progress_interval_ms": 100, "unacked_age_max_ms": 1_500 } });
    source("stuck", stream, async |source| {
        // Given a consumer that is alone, and acknowledges nothing for longer than that
        source.create("before", 100).await?;
        let mut stuck = source.join("stuck").await?;
        stuck.assignment().await?;
        stuck.credit(10_000, 1 << 30).await?;
        stuck.batches(100).await?;
        // Then nothing happens to it
        for _ in 0..10 {
            stuck.is_quiet().await?;
        }
        // When another one comes, acknowledges, and goes on to acknowledge
        let mut crowd = Crowd::new();
        crowd.join(source, "works").await?;
        loop {
            if let Response::Assignment(assignment) = stuck.next().await? {
                ensure!(assignment.revoked.len() == PARTITIONS / 2, "{assignment:?}");
                let assignment_id = assignment.assignment_id;
                stuck.send(Request::Released(Released { assignment_id })).await?;
            }
            if crowd.granted() > 0 {
                break;
            }
        }
        let updates = source.update_all_the_time("before", 100).await?;
        // Then the first one's stream is closed, with the reason
        let status = stuck.end().await?;
        ensure!(status.code() == Code::Aborted, "{status}");
        ensure!(status.message().contains("stream.unacked_age_max_ms"), "{status}");
        // And the other one gets and acknowledges everything
        crowd.until_shared(source, 1).await?;
        updates.end().await?;
        source.until_confirmed().await?;
        let verdict = crowd.verdict(source).await?;
        ensure!(verdict.is_kept(), "{verdict:?}");
        Ok(())
    })
}
