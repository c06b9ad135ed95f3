//! Connects again whenever the connection is lost.

use std::time::Duration;

use super::protocol::Protocol;
use super::session::{self, End};
use super::settings::Settings;
use crate::sink::Reachability;
use crate::sink::port::Port;

/// A connection that was up for so long did not end by what every new one would meet at once, such as another client of the
/// same id.
const STABLE: Duration = Duration::from_secs(5);

/// Runs the sink until it is stopped.
pub(super) async fn run<P: Protocol>(mut port: Port, settings: Settings) {
    let mut backoff = settings.backoff();
    let mut one_by_one = 0;
    while !port.stop.is_cancelled() {
        match session::run::<P>(&mut port, &settings, &mut one_by_one).await {
            End::Stopped => return,
            End::Lost { why, up } => {
                if up >= STABLE {
                    backoff.reset();
                }
                port.tell(Reachability::Unreachable(why));
            }
            End::Refused { .. } => backoff.reset(),
        }
        tokio::select! {
            () = port.stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next()) => {}
        }
    }
}
