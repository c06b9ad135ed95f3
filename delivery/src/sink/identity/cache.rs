//! Keeps a token while it is good, and gets the next one before it is not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use twinroute_common::backoff::Backoff;

use super::{AccessToken, TokenSource};
use crate::sink::SinkError;

/// A token is replaced after this part of its lifetime. librdkafka asks for a new one after 0.8 of it, and must find it.
const REPLACED_AFTER: f64 = 0.7;

/// The token that is good now.
#[derive(Debug)]
pub(crate) struct TokenCache {
    source: TokenSource,
    held: Mutex<Option<AccessToken>>,
}

impl TokenCache {
    /// Holds no token yet.
    pub(crate) fn new(source: TokenSource) -> Self {
        Self { source, held: Mutex::new(None) }
    }

    /// The token that is held, if it is good. Never waits for the network.
    pub(crate) fn held(&self) -> Option<AccessToken> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|token| token.expires > SystemTime::now())
    }

    /// A token for now and for a while: the one that is held, or a new one.
    ///
    /// # Errors
    /// When a new one is needed and cannot be got.
    pub(crate) async fn token(&self) -> Result<AccessToken, SinkError> {
        if let Some(token) = self.held().filter(|token| replace_in(token, SystemTime::now()) > Duration::ZERO)
        {
            return Ok(token);
        }
        match self.source.token().await {
            Ok(token) => {
                *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
                Ok(token)
            }
            // The old one is better than none.
            Err(error) => self.held().ok_or(error),
        }
    }

    /// Replaces the token again and again before it stops to be good.
    pub(crate) async fn keep_fresh(&self, mut backoff: Backoff) {
        loop {
            let good_for = match self.token().await {
                Ok(token) => replace_in(&token, SystemTime::now()),
                Err(_) => Duration::ZERO,
            };
            if good_for.is_zero() {
                tokio::time::sleep(backoff.next()).await;
            } else {
                backoff.reset();
                tokio::time::sleep(good_for).await;
            }
        }
    }
}

/// How long until a token is to be replaced.
fn replace_in(token: &AccessToken, now: SystemTime) -> Duration {
    let lifetime = token.expires.duration_since(token.got).unwrap_or_default();
    let due = token.got + lifetime.mul_f64(REPLACED_AFTER);
    due.duration_since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_before_it_ends() {
        let got = SystemTime::UNIX_EPOCH;
        let token = AccessToken { secret: "t".into(), got, expires: got + Duration::from_secs(3600) };
        let after = |seconds| replace_in(&token, got + Duration::from_secs(seconds));
        assert_eq!(after(0), Duration::from_secs(2520));
        assert_eq!(after(2520), Duration::ZERO);
        assert_eq!(after(4000), Duration::ZERO);
    }
}
