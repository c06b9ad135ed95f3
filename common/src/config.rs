//! Configuration: a YAML file over the defaults, environment variables over both, every mistake reported at once.
//!
//! The tree of keys is what `T::default()` serialises to. A map whose default is empty takes any keys; a key whose
//! default is `null` takes any value its type accepts. An environment variable `TWINROUTE__SECTION__KEY` replaces
//! `section.key`: its text as it stands where the key takes a text, otherwise read as YAML (`[a, b]`, `{a: 1}`).

pub mod check;
mod example;
mod leaves;
mod nearest;
mod problem;
mod sections;
mod values;
pub mod yaml;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use example::check_example;
pub use problem::{ConfigErrors, Problem};
pub use sections::{Base, HttpSettings, LogFormat, LogSettings, RuntimeSettings, ShutdownSettings};

use leaves::Leaves;

/// Start of every environment variable that replaces a key.
pub const VARIABLE_PREFIX: &str = "TWINROUTE__";

/// The settings of one service; `Default` is the documented configuration.
pub trait Settings: Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The sections every service has. Their own problems are found without being asked for.
    fn base(&self) -> Base<'_>;

    /// What is wrong with values of the right type: ranges, addresses, keys that contradict each other.
    fn problems(&self) -> Vec<Problem>;
}

/// Reads the settings from `file` (none: defaults) and `env`, the process's variables as `std::env::vars_os` gives them.
///
/// # Errors
/// Every mistake in the file, the variables and the values, each with its key and what to do about it.
pub fn load<T: Settings>(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, ConfigErrors> {
    let text = match file.map(read) {
        None => Ok(String::new()),
        Some(read) => read,
    };
    load_text(text, env)
}

fn read(file: &Path) -> Result<String, Problem> {
    fs::read_to_string(file).map_err(|error| {
        Problem::new(
            file.display().to_string(),
            format!("cannot be read: {error}; name a readable YAML file in UTF-8 with --config"),
        )
    })
}

fn load_text<T: Settings>(
    text: Result<String, Problem>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, ConfigErrors> {
    let defaults = default_tree::<T>()?;
    let mut leaves = Leaves::over(&defaults);
    let file = text.and_then(|text| {
        yaml::parse(&text).map(|tree| leaves.add_file(&tree)).map_err(|problem| problem.in_key("the file"))
    });
    leaves.add_variables(env);
    let (leaves, mut problems) = leaves.finish();

    let merged = values::merge::<T>(&defaults, &leaves, &mut problems);
    let settings = serde_json::from_value::<T>(merged);
    match (file, settings) {
        (Err(problem), _) => problems.insert(0, problem),
        (Ok(()), Err(error)) => problems.push(Problem::new("the whole", error.to_string())),
        (Ok(()), Ok(settings)) => {
            let mut found = settings.base().problems();
            found.extend(settings.problems());
            found.retain(|found| problems.iter().all(|earlier| earlier.key != found.key));
            problems.extend(found.into_iter().map(|problem| leaves::with_origin(&leaves, problem)));
            if problems.is_empty() {
                return Ok(settings);
            }
        }
    }
    Err(ConfigErrors { problems })
}

fn default_tree<T: Settings>() -> Result<Value, ConfigErrors> {
    serde_json::to_value(T::default())
        .map_err(|error| ConfigErrors { problems: vec![Problem::new("the defaults", error.to_string())] })
}

#[cfg(test)]
mod tests;
