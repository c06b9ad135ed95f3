//! Logs to standard error, as text or JSON, panics included.

use std::io::{self, IsTerminal as _};
use std::panic;

use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

use crate::config::{LogFormat, LogSettings};

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not a filter.
    #[error("log.level is not a filter; write info, or info,twinroute_capture=debug")]
    Level(#[source] tracing_subscriber::filter::ParseError),
    /// Somebody else set a subscriber in this process.
    #[error("logging is already set up in this process")]
    AlreadyStarted(#[source] TryInitError),
}

/// Starts logging for the whole process. A panic becomes one line of level ERROR.
///
/// # Errors
/// When the filter cannot be parsed, or logging has been started before.
pub fn start(settings: &LogSettings) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt as _;

    let filter = EnvFilter::try_new(&settings.level).map_err(TelemetryError::Level)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match settings.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(TelemetryError::AlreadyStarted)?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let reason = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    error!(location, thread, "panic: {reason}");
}
