//! A call that is made again a few times when it fails: beside the lane, whose events wait by rules of their own.

use std::time::Duration;

use twinroute_common::backoff::Backoff;

/// How often a call is made at most, and how long the waits between are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    /// Calls, the first one included.
    pub(crate) attempts: u32,
    /// Upper ends of the first and of any wait.
    pub(crate) waits: (Duration, Duration),
}

impl Retries {
    /// Makes a call, and again while it fails with what may pass. The last answer.
    pub(crate) async fn run<T, E, Call>(
        self,
        may_pass: impl Fn(&E) -> bool,
        mut call: impl FnMut() -> Call,
    ) -> Result<T, E>
    where
        Call: Future<Output = Result<T, E>>,
    {
        let mut backoff = Backoff::new(self.waits.0, self.waits.1);
        for _ in 1..self.attempts {
            match call().await {
                Err(error) if may_pass(&error) => tokio::time::sleep(backoff.next()).await,
                answer => return answer,
            }
        }
        call().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries =
        Retries { attempts: 3, waits: (Duration::from_millis(1), Duration::from_millis(1)) };

    /// Calls that fail with these errors, and then succeed; how many were made, and the answer.
    async fn run(errors: &[&'static str]) -> (usize, Result<(), &'static str>) {
        let mut calls = 0;
        let call = || {
            calls += 1;
            std::future::ready(errors.get(calls - 1).map_or(Ok(()), |error| Err(*error)))
        };
        let answer = RETRIES.run(|error| *error == "passes", call).await;
        (calls, answer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_again_while_it_may_pass_and_so_often_at_most() {
        assert_eq!(run(&[]).await, (1, Ok(())));
        assert_eq!(run(&["passes"]).await, (2, Ok(())));
        assert_eq!(run(&["passes", "stays"]).await, (2, Err("stays")));
        assert_eq!(run(&["passes"; 4]).await, (3, Err("passes")));
    }
}
