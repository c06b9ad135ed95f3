//! Delivery policies on the wire.

use std::time::Duration;

use twinroute_proto::routes::v1 as proto;

use crate::route::policy::{BackoffRange, DeliveryPolicy, OnExhausted, OnFull};
use crate::route::violation::Reading;

pub(super) fn read(
    reading: &mut Reading,
    policy: proto::DeliveryPolicy,
    has_dead_letters: bool,
) -> Option<DeliveryPolicy> {
    let defaults = DeliveryPolicy::default();
    let on_exhausted = on_exhausted(reading, policy.on_exhausted)?;
    let on_full = on_full(reading, policy.on_full)?;
    let needs_container = "is DEAD_LETTER, and the endpoint has no `dead_letter` container";
    if on_exhausted == Some(OnExhausted::DeadLetter) && !has_dead_letters {
        reading.refuse("on_exhausted", needs_container);
    }
    if on_full == OnFull::DeadLetter && !has_dead_letters {
        reading.refuse("on_full", needs_container);
    }
    let backoff = policy.backoff.unwrap_or_default();
    let backoff = reading.within("backoff", |reading| backoff_range(reading, &backoff))?;
    Some(DeliveryPolicy {
        attempts_max: if policy.attempts_max == 0 { defaults.attempts_max } else { policy.attempts_max },
        time_to_live: duration(reading, "time_to_live", policy.time_to_live, defaults.time_to_live)?,
        backoff,
        on_exhausted,
        park_after: duration(reading, "park_after", policy.park_after, defaults.park_after)?,
        parked_bytes_max: Some(policy.parked_bytes_max).filter(|&bytes| bytes > 0),
        on_full,
    })
}

fn backoff_range(reading: &mut Reading, backoff: &proto::Backoff) -> Option<BackoffRange> {
    let defaults = BackoffRange::default();
    let initial = duration(reading, "initial", backoff.initial, defaults.initial)?;
    let max = duration(reading, "max", backoff.max, defaults.max.max(initial))?;
    if initial > max {
        reading.refuse("initial", "must not be longer than `max`");
    }
    Some(BackoffRange { initial, max })
}

fn duration(
    reading: &mut Reading,
    field: &str,
    given: Option<prost_types::Duration>,
    default: Duration,
) -> Option<Duration> {
    let Some(given) = given else { return Some(default) };
    let duration = Duration::try_from(given).ok().filter(|duration| !duration.is_zero());
    if duration.is_none() {
        reading.refuse(field, "must be longer than 0 s");
    }
    duration
}

fn on_exhausted(reading: &mut Reading, number: i32) -> Option<Option<OnExhausted>> {
    match proto::OnExhausted::try_from(number) {
        Ok(proto::OnExhausted::Unspecified) => Some(None),
        Ok(proto::OnExhausted::Block) => Some(Some(OnExhausted::Block)),
        Ok(proto::OnExhausted::Drop) => Some(Some(OnExhausted::Drop)),
        Ok(proto::OnExhausted::DeadLetter) => Some(Some(OnExhausted::DeadLetter)),
        Err(_) => {
            reading.refuse("on_exhausted", format!("is {number}, which this version does not know"));
            None
        }
    }
}

fn on_full(reading: &mut Reading, number: i32) -> Option<OnFull> {
    match proto::OnFull::try_from(number) {
        Ok(proto::OnFull::Unspecified | proto::OnFull::Block) => Some(OnFull::Block),
        Ok(proto::OnFull::DeadLetter) => Some(OnFull::DeadLetter),
        Err(_) => {
            reading.refuse("on_full", format!("is {number}, which this version does not know"));
            None
        }
    }
}

pub(super) fn write(policy: &DeliveryPolicy) -> proto::DeliveryPolicy {
    let on_exhausted = match policy.on_exhausted {
        None => proto::OnExhausted::Unspecified,
        Some(OnExhausted::Block) => proto::OnExhausted::Block,
        Some(OnExhausted::Drop) => proto::OnExhausted::Drop,
        Some(OnExhausted::DeadLetter) => proto::OnExhausted::DeadLetter,
    };
    let on_full = match policy.on_full {
        OnFull::Block => proto::OnFull::Block,
        OnFull::DeadLetter => proto::OnFull::DeadLetter,
    };
    proto::DeliveryPolicy {
        attempts_max: policy.attempts_max,
        time_to_live: written(policy.time_to_live),
        backoff: Some(proto::Backoff {
            initial: written(policy.backoff.initial),
            max: written(policy.backoff.max),
        }),
        on_exhausted: on_exhausted.into(),
        park_after: written(policy.park_after),
        parked_bytes_max: policy.parked_bytes_max.unwrap_or(0),
        on_full: on_full.into(),
    }
}

/// A duration beyond protobuf's 10,000 years cannot have been read.
fn written(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}
