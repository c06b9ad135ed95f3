//! Free ports on 127.0.0.1, each handed out once.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::Mutex,
};

use anyhow::{Context as _, Result};
use hashbrown::HashSet;

/// Below the range from which Linux takes the ports of outgoing connections, so that none of them
/// sits on a server's port while that server restarts.
const RANGE: Range<u16> = 15_000..32_000;

/// Ports this process has handed out already.
static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port nobody listens on.
///
/// # Errors
/// When none of the range is free.
pub fn free() -> Result<u16> {
    let mut guard = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let taken = guard.get_or_insert_with(HashSet::new);
    let count = RANGE.end - RANGE.start;
    // A random start keeps test runs side by side from asking for the same ports.
    let start = u16::try_from(RandomState::new().hash_one(0) % u64::from(count))?;
    let port = (0..count)
        .map(|step| RANGE.start + (start + step) % count)
        .find(|port| !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no port of 127.0.0.1 is free")?;
    taken.insert(port);
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() -> Result<()> {
        let ports = (0..50).map(|_| free()).collect::<Result<HashSet<_>>>()?;
        assert_eq!(ports.len(), 50);
        Ok(())
    }
}
