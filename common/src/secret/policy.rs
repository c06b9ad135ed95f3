//! Where references to secrets may point, and their resolution.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::Problem;

/// A secret file is at most this long, in bytes; nothing that is one is longer.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Section `secrets`: what `env:` and `file:` references may name. Whoever may write routes can write references,
/// so they must not reach the rest of the process's environment or the machine's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretPolicy {
    /// `env:NAME` is resolved only if NAME begins with this.
    pub env_prefix: String,
    /// `file:PATH` is resolved only beneath this directory, symbolic links followed; a relative path begins there.
    pub directory: PathBuf,
}

impl Default for SecretPolicy {
    fn default() -> Self {
        Self { env_prefix: "TWINROUTE_SECRET_".to_owned(), directory: PathBuf::from("/run/secrets") }
    }
}

/// Why a reference has no value. The text names the reference and the remedy, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The policy does not let a variable of this name be read.
    #[error("env:{name} is not allowed: the name must begin with {prefix} (secrets.env_prefix)")]
    VariableNotAllowed {
        /// The variable.
        name: String,
        /// What it must begin with.
        prefix: String,
    },
    /// The variable is not set, empty, or not UTF-8.
    #[error("env:{name} has no value: set the environment variable {name} for this process")]
    VariableMissing {
        /// The variable.
        name: String,
    },
    /// The file is not beneath the directory.
    #[error("file:{path} is not allowed: it must be beneath {} (secrets.directory)", directory.display())]
    FileNotAllowed {
        /// The path as referred to.
        path: String,
        /// Where it must be.
        directory: PathBuf,
    },
    /// Neither a variable nor a file.
    #[error("{reference} is not a reference: write env:NAME or file:/path")]
    Unknown {
        /// The reference.
        reference: String,
    },
    /// The file cannot be read.
    #[error("file:{path} cannot be read: put the secret there as UTF-8 text of at most 64 KiB")]
    FileUnreadable {
        /// The path as referred to.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SecretPolicy {
    /// Problems of the section.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let open = self.env_prefix.is_empty().then(|| {
            Problem::new(
                "secrets.env_prefix",
                "is empty, which would open the whole environment to references",
            )
        });
        let relative = (!self.directory.is_absolute())
            .then(|| Problem::new("secrets.directory", "must be an absolute path"));
        open.into_iter().chain(relative).collect()
    }

    /// The value of a secret. Reads the environment or a small file, so call it at start or off the data path.
    ///
    /// # Errors
    /// When the reference points outside what is allowed, or at nothing.
    pub fn resolve(&self, secret: &Secret) -> Result<SecretString, SecretError> {
        match secret {
            Secret::Value(value) => Ok(value.clone()),
            Secret::Reference(reference) => match reference.split_once(':') {
                Some(("env", name)) => self.variable(name, std::env::var(name).ok()),
                Some(("file", path)) => self.file(path),
                _ => Err(SecretError::Unknown { reference: reference.clone() }),
            },
        }
    }

    fn variable(&self, name: &str, value: Option<String>) -> Result<SecretString, SecretError> {
        if !name.starts_with(&self.env_prefix) {
            let (name, prefix) = (name.to_owned(), self.env_prefix.clone());
            return Err(SecretError::VariableNotAllowed { name, prefix });
        }
        match value.filter(|value| !value.is_empty()) {
            Some(value) => Ok(value.into()),
            None => Err(SecretError::VariableMissing { name: name.to_owned() }),
        }
    }

    fn file(&self, path: &str) -> Result<SecretString, SecretError> {
        let unreadable = |source| SecretError::FileUnreadable { path: path.to_owned(), source };
        let refused =
            || SecretError::FileNotAllowed { path: path.to_owned(), directory: self.directory.clone() };
        let wanted = self.directory.join(path);
        // Before the file system is asked, so that the answer does not tell which other files exist.
        let climbs = Path::new(path).components().any(|part| part == Component::ParentDir);
        if climbs || !wanted.starts_with(&self.directory) {
            return Err(refused());
        }
        let directory = fs::canonicalize(&self.directory).map_err(unreadable)?;
        let found = fs::canonicalize(&wanted).map_err(unreadable)?;
        if !found.starts_with(&directory) {
            return Err(refused());
        }
        read(&found).map_err(unreadable)
    }
}

/// The text without the line end that editors and `echo` add.
fn read(path: &Path) -> io::Result<SecretString> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    let length = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 KiB"));
    }
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {

    use std::os::unix::fs::symlink;

    use secrecy::ExposeSecret as _;
    use tempfile::TempDir;

    use super::*;

    fn policy() -> (SecretPolicy, TempDir) {
        let root = TempDir::new().unwrap();
        let directory = root.path().join("secrets");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("password"), "hunter2\n").unwrap();
        fs::write(root.path().join("outside"), "not yours").unwrap();
        (SecretPolicy { env_prefix: "TWINROUTE_SECRET_".into(), directory }, root)
    }

    #[test]
    fn a_file_beneath_the_directory_is_read_without_its_line_end() {
        let (policy, _root) = policy();
        let absolute = format!("file:{}/password", policy.directory.display());
        for reference in ["file:password", absolute.as_str()] {
            assert_eq!(policy.resolve(&Secret::new(reference)).unwrap().expose_secret(), "hunter2");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_directory() {
        let (policy, root) = policy();
        symlink(root.path().join("outside"), policy.directory.join("link")).unwrap();
        let beside = format!("file:{}-more/x", policy.directory.display());
        for reference in
            ["file:../outside", "file:/etc/hostname", "file:link", "file:x/../../outside", &beside]
        {
            let error = policy.resolve(&Secret::new(reference)).unwrap_err();
            assert!(matches!(error, SecretError::FileNotAllowed { .. }), "{reference}: {error}");
            assert!(error.to_string().contains("secrets.directory"));
        }
    }

    #[test]
    fn a_file_that_is_missing_too_long_or_a_directory_is_unreadable() {
        let (policy, _root) = policy();
        fs::write(policy.directory.join("long"), "x".repeat(64 * 1024 + 1)).unwrap();
        fs::create_dir(policy.directory.join("directory")).unwrap();
        for reference in ["file:none", "file:long", "file:directory"] {
            let error = policy.resolve(&Secret::new(reference)).unwrap_err();
            assert!(matches!(error, SecretError::FileUnreadable { .. }), "{reference}: {error}");
        }
    }

    #[test]
    fn a_variable_needs_the_prefix_and_a_value() {
        let (policy, _root) = policy();
        let value = policy.variable("TWINROUTE_SECRET_A", Some("x".into())).unwrap();
        assert_eq!(value.expose_secret(), "x");
        let error = policy.resolve(&Secret::new("env:HOME")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "env:HOME is not allowed: the name must begin with TWINROUTE_SECRET_ (secrets.env_prefix)"
        );
        let error = policy.resolve(&Secret::new("env:TWINROUTE_SECRET_UNSET")).unwrap_err();
        assert!(matches!(error, SecretError::VariableMissing { .. }), "{error}");
    }

    #[test]
    fn a_policy_that_opens_everything_is_a_problem() {
        assert_eq!(SecretPolicy::default().problems(), []);
        let open = SecretPolicy { env_prefix: String::new(), directory: PathBuf::from("here") };
        assert_eq!(open.problems().len(), 2);
    }
}
