//! Whether the long forms of scenarios run: hundreds of repetitions and minutes instead of a few.

/// `TWINROUTE_SOAK=1` is set, as `make soak` does.
#[must_use]
pub fn is_on() -> bool {
    std::env::var_os("TWINROUTE_SOAK").is_some_and(|value| value == "1")
}
