//! Where things are: the checkout, its ignored `.run/` folder, and the cache of installed servers.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the checkout this crate was built from.
#[must_use]
pub fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// An empty `.run/<name>` in the checkout; what an earlier run left there is removed.
///
/// # Errors
/// When the folder cannot be removed or created.
pub fn fresh_run_dir(name: &str) -> Result<PathBuf> {
    let dir = root().join(".run").join(name);
    match std::fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("cannot clear {}", dir.display()));
        }
        _ => {}
    }
    create(&dir)
}

/// Creates `dir` with its parents.
///
/// # Errors
/// When it cannot be created.
pub fn create(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir.to_owned())
}

/// Something that `tests/install/install.sh` puts into the cache, by its name there.
///
/// # Errors
/// When it is not installed; the error says how to install it.
pub fn installed(name: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    let path = cache.join("twinroute").join(name);
    anyhow::ensure!(path.exists(), "{} is missing: run tests/install/install.sh", path.display());
    Ok(path)
}

/// The path of a binary of this workspace, built beside the running one.
///
/// # Errors
/// When it has not been built; the error says how to build it.
pub fn binary(name: &str) -> Result<PathBuf> {
    let running = std::env::current_exe().context("cannot tell the running binary's path")?;
    // A test binary is in `deps/`, one below the others.
    running.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file()).with_context(
        || format!("{name} is not built beside {}: run cargo build --workspace", running.display()),
    )
}
