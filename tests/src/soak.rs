//! Whether long and repeated forms of scenarios are wanted: `TWINROUTE_SOAK=1`.

/// They are.
#[must_use]
pub fn is_on() -> bool {
    std::env::var_os("TWINROUTE_SOAK").is_some_and(|value| value == "1")
}
