//! The command line that all services share.

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde_json::Value;

use super::Service;
use super::healthcheck::Question;
use crate::config::Settings;

/// Command line of a service.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
pub(super) struct Cli {
    /// YAML file with the settings; keys that it lacks keep their defaults
    #[arg(long, value_name = "FILE", env = "TWINROUTE_CONFIG", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Check the settings, print `ok` and exit; mistakes are listed all at once and give exit code 2
    #[arg(long)]
    pub(super) check: bool,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What else the binary can do than to be the service.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum Command {
    /// Ask the service that runs with the same configuration how it is; exit code 0 when it is well, 1 when it is not
    Healthcheck {
        /// What to ask
        #[arg(value_enum, default_value_t = Question::Ready)]
        question: Question,
    },
}

/// Parses the process's arguments; `--help`, `--version` and mistakes end the process here.
pub(super) fn parse<T: Settings>(service: &Service) -> Cli {
    let matches = command::<T>(service).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn command<T: Settings>(service: &Service) -> clap::Command {
    Cli::command()
        .name(service.name)
        .about(service.about)
        .version(service.version)
        .after_help(after_help::<T>(service.name))
}

fn after_help<T: Settings>(name: &str) -> String {
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    let listeners: String =
        listeners(&defaults).iter().map(|(key, address)| format!("\n  {key:14} {address}")).collect();
    format!(
        "Listens by default on{listeners}\n\n\
         Every key can be set by a variable that begins with TWINROUTE__: its sections and name in capitals,\n\
         joined by two underscores.\n  \
         http.listen    TWINROUTE__HTTP__LISTEN=0.0.0.0:9090 {name}\n\n\
         Over HTTP: /livez, /readyz (503 with the reasons), /metrics (OpenMetrics).\n\n\
         Signals: SIGTERM or SIGINT settles the work in hand and exits 0, or 1 when shutdown.grace_ms was not\n\
         enough; a second one exits at once."
    )
}

/// Every key named `listen` with its default.
fn listeners(defaults: &Value) -> Vec<(String, String)> {
    let sections = defaults.as_object().into_iter().flatten();
    sections
        .filter_map(|(section, keys)| {
            let address = keys.get("listen")?.as_str()?;
            Some((format!("{section}.listen"), address.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {

    use super::super::life::tests::Sample;
    use super::*;

    const SERVICE: Service = Service { name: "sample", about: "Does nothing", version: "1.2.3" };

    #[test]
    fn help_names_ports_variables_and_signals() {
        command::<Sample>(&SERVICE).debug_assert();
        let help = command::<Sample>(&SERVICE).render_help().to_string();
        for wanted in
            ["Does nothing", "http.listen    127.0.0.1:0", "TWINROUTE__HTTP__LISTEN", "SIGTERM", "--check"]
        {
            assert!(help.contains(wanted), "{wanted} is missing in:\n{help}");
        }
    }

    #[test]
    fn the_file_and_the_check_are_options() {
        let matches =
            command::<Sample>(&SERVICE).get_matches_from(["sample", "--config", "a.yaml", "--check"]);
        let cli = Cli::from_arg_matches(&matches).unwrap();
        assert_eq!(cli, Cli { config: Some(PathBuf::from("a.yaml")), check: true, command: None });
    }

    #[test]
    fn a_health_check_takes_the_configuration_of_the_service() {
        let parsed = |arguments: &[&str]| {
            let matches = command::<Sample>(&SERVICE).get_matches_from(arguments);
            Cli::from_arg_matches(&matches).unwrap()
        };
        let ready = parsed(&["sample", "healthcheck", "--config", "a.yaml"]);
        let question = Question::Ready;
        assert_eq!(ready.command, Some(Command::Healthcheck { question }));
        assert_eq!(ready.config, Some(PathBuf::from("a.yaml")));
        let live = parsed(&["sample", "healthcheck", "live"]);
        assert_eq!(live.command, Some(Command::Healthcheck { question: Question::Live }));
    }
}
