//! Where a container is: read from its URL.

use std::path::PathBuf;

use axum::http::Uri;

/// Where a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine: `file:///path`.
    Directory(PathBuf),
    /// A container of Azure Blob Storage.
    Azure {
        /// `https://<account>.blob.core.windows.net`, or `http://127.0.0.1:<port>/<account>` of an emulator.
        service: String,
        /// Name of the account.
        account: String,
        /// Name of the container.
        container: String,
    },
}

/// A URL that leads to no container; the end of a sentence that begins with its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must name a container: https://<account>.blob.core.windows.net/<container>, or with the account as the first part of \
     the path, and no query: a SAS has a field of its own"
)]
pub struct NoLocation;

impl Location {
    /// Reads a URL. A container is the only part of its path, or the second behind the account.
    ///
    /// # Errors
    /// When it names no directory and no container.
    pub fn parse(url: &str) -> Result<Self, NoLocation> {
        if let Some(path) = url.strip_prefix("file://") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Directory(path)) } else { Err(NoLocation) };
        }
        let uri: Uri = url.parse().map_err(|_| NoLocation)?;
        let (Some(scheme @ ("https" | "http")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(NoLocation);
        };
        let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let (service, account, container) = match *parts.as_slice() {
            [container] => (format!("{scheme}://{authority}"), authority.host().split('.').next(), container),
            [account, container] => (format!("{scheme}://{authority}/{account}"), Some(account), container),
            _ => return Err(NoLocation),
        };
        let account = account.filter(|account| !account.is_empty()).ok_or(NoLocation)?;
        if uri.query().is_some() {
            return Err(NoLocation);
        }
        Ok(Self::Azure { service, account: account.to_owned(), container: container.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_found_in_each_form_of_its_url() {
        let azure = |service: &str, account: &str, container: &str| {
            let [service, account, container] = [service, account, container].map(str::to_owned);
            Ok(Location::Azure { service, account, container })
        };
        for (url, expected) in [
            (
                "https://plant.blob.core.windows.net/letters",
                azure("https://plant.blob.core.windows.net", "plant", "letters"),
            ),
            (
                "http://127.0.0.1:10000/devstoreaccount1/letters",
                azure("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1", "letters"),
            ),
            ("file:///var/letters", Ok(Location::Directory("/var/letters".into()))),
            ("file://letters", Err(NoLocation)),
            ("https://plant.blob.core.windows.net/", Err(NoLocation)),
            ("https://plant.blob.core.windows.net/a/b/c", Err(NoLocation)),
            ("https://plant.blob.core.windows.net/letters?sig=x", Err(NoLocation)),
            ("ftp://plant/letters", Err(NoLocation)),
            ("letters", Err(NoLocation)),
        ] {
            assert_eq!(Location::parse(url), expected, "{url}");
        }
    }
}
