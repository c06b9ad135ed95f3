//! Frames that break the protocol are refused with the reason, and harm nobody else.

use anyhow::Result;
use serde_json::json;
use tonic::Code;
use twinroute_proto::capture::v1::{Ack, Batch, Credit};

use crate::{
    raw::{Request, hello},
    source::source,
};

#[test]
fn a_wrong_frame_is_refused_with_the_reason_and_harms_nobody_else() -> Result<()> {
    source("wrong_frames", json!({}), async |source| {
        // Given a consumer that does its work
        let mut good = source.join("good").await?.settle().await?;
        let name = source.subscription();
        let ack = || Some(Request::Ack(Ack::default()));
        let credit = || Some(Request::Credit(Credit { events: 1, bytes: 1 }));
        let hello = |name| Some(hello(name, "bad"));
        // When others begin with an ack, with credit, with nothing, with another subscription, say Hello twice
        for (frames, code, reason) in [
            (vec![ack()], Code::InvalidArgument, "the first frame must be Hello"),
            (vec![credit(), hello(name)], Code::InvalidArgument, "the first frame must be Hello"),
            (vec![None], Code::InvalidArgument, "the frame is empty"),
            (vec![hello("no_such")], Code::NotFound, "there is no subscription `no_such`"),
            (vec![hello(name), hello(name)], Code::InvalidArgument, "Hello came twice"),
            (vec![hello(name), None], Code::InvalidArgument, "the frame is empty"),
        ] {
            let mut bad = source.connect().await?;
            for frame in frames {
                // The first wrong frame may have ended the stream before the next is sent; `end` tells why.
                let _closed = bad.send(frame).await;
            }
            // Then each is told why its stream ends
            let status = bad.end().await?;
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(reason), "{status}");
        }
        // And so is one that acknowledges what it was not sent
        let mut bad = source.join("bad").await?;
        let grant = bad.assignment().await?.granted.first().copied().unwrap_or_default();
        bad.ack(&[Batch { partition: grant.partition, epoch: grant.epoch, batch: 7, items: vec![] }]).await?;
        let status = bad.end().await?;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("ack of batch 7"), "{status}");
        // And the good one goes on with all partitions
        source.create("after", 100).await?;
        for number in 0..100 {
            good.until_seen(&format!("after-{number}")).await?;
        }
        source.until_confirmed().await
    })
}
