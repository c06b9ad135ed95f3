//! Recalls: endpoints are asked to have nothing more to do with some leases.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use hashbrown::HashSet;
use tokio::sync::mpsc;

use crate::endpoint::LeaseSet;
use crate::routing::{CurrentRouting, Routing};
use crate::settlement::{ItemRef, LeaseId};

/// Resolves with the release's number when no endpoint has anything to do with its leases.
pub(super) fn recall_release(
    routing: &Routing,
    release: u64,
    leases: &Arc<HashSet<LeaseId>>,
) -> BoxFuture<'static, u64> {
    recall(routing, &LeaseSet::These(Arc::clone(leases))).map(move |()| release).boxed()
}

/// Recalls everything: the stream is over. What is settled meanwhile nobody can acknowledge any more.
pub(super) async fn recall_all(routing: &CurrentRouting, settled: &mut mpsc::Receiver<Vec<ItemRef>>) {
    let mut recalled = recall(&routing.load(), &LeaseSet::All).boxed();
    loop {
        tokio::select! {
            biased;
            () = &mut recalled => return,
            // The endpoints must find room for their notices, or they could not answer.
            Some(_) = settled.recv() => {}
        }
    }
}

fn recall(routing: &Routing, leases: &LeaseSet) -> impl Future<Output = ()> + Send + use<> {
    let recalls = routing.endpoints.values().map(|endpoint| endpoint.clone().recall(leases.clone()));
    join_all(recalls).map(|_| ())
}
