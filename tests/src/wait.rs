//! Waiting for a condition, with a deadline and an error that tells what was missing.

use std::time::Duration;

use anyhow::{Result, anyhow};

/// How often a condition is tried: often enough to be unnoticed, seldom enough to cost nothing.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Tries `condition` until it succeeds; its errors mean "not yet, because".
///
/// # Errors
/// After `deadline`, with `what` was waited for and the last reason.
pub async fn until<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let mut last = anyhow!("the first try did not come to an end");
    let trying = async {
        loop {
            match condition().await {
                Ok(value) => break value,
                Err(reason) => last = reason,
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let outcome = tokio::time::timeout(deadline, trying).await;
    outcome.map_err(|_| last.context(format!("waited {deadline:?} in vain for {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() -> Result<()> {
        let mut tries = 0;
        let seen = until(Duration::from_secs(5), "the third try", async || {
            tries += 1;
            anyhow::ensure!(tries == 3, "only {tries}");
            Ok(tries)
        })
        .await?;
        assert_eq!(seen, 3);
        Ok(())
    }

    #[tokio::test]
    async fn a_condition_that_stays_false_says_what_and_why() {
        let outcome = until(Duration::from_millis(50), "the moon", async || -> Result<()> {
            Err(anyhow!("it is made of cheese"))
        })
        .await;
        let text = outcome.map_or_else(|e| format!("{e:#}"), |()| String::new());
        assert!(text.contains("the moon: it is made of cheese"), "{text}");
    }

    #[tokio::test]
    async fn a_condition_that_hangs_does_not_outlast_the_deadline() {
        let outcome = until(Duration::from_millis(50), "an answer", std::future::pending::<Result<()>>).await;
        assert!(outcome.is_err());
    }
}
