//! Connects again whenever the connection is lost.

use super::protocol::Protocol;
use super::session::{self, End};
use super::settings::Settings;
use crate::sink::Reachability;
use crate::sink::port::Port;

/// Runs the sink until it is stopped.
pub(super) async fn run<P: Protocol>(mut port: Port, settings: Settings) {
    let mut backoff = settings.backoff();
    while !port.stop.is_cancelled() {
        match session::run::<P>(&mut port, &settings).await {
            End::Stopped => return,
            End::Lost { why, was_up } => {
                if was_up {
                    backoff.reset();
                }
                port.tell(Reachability::Unreachable(why));
            }
        }
        tokio::select! {
            () = port.stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}
