//! A container of blobs, looked at from outside.

use anyhow::{Result, ensure};

use super::{Account, sas};

/// A container of an account.
#[derive(Clone, Debug)]
pub struct Blobs {
    url: String,
    http: reqwest::Client,
}

impl Blobs {
    /// Makes a container.
    ///
    /// # Errors
    /// When there is one of the name, or the emulator does not answer.
    pub async fn create(account: &Account, name: &str) -> Result<Self> {
        let blobs = Self { url: format!("{}/{name}", account.blob_endpoint), http: reqwest::Client::new() };
        let url = format!("{}?restype=container&{}", blobs.url, sas::token());
        let answer = blobs.http.put(url).header("content-length", 0).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(blobs)
    }

    /// Its URL, without a signature.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The names of its blobs, sorted; no more than 5,000.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn names(&self) -> Result<Vec<String>> {
        let url = format!("{}?restype=container&comp=list&{}", self.url, sas::token());
        let answer = self.http.get(url).send().await?.error_for_status()?.text().await?;
        let names = answer.split("<Name>").skip(1).filter_map(|rest| rest.split("</Name>").next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Moves a blob to another access tier (`Hot`, `Archive`): what is in the last one cannot be read.
    ///
    /// # Errors
    /// When there is none, or the emulator does not answer.
    pub async fn set_tier(&self, name: &str, tier: &str) -> Result<()> {
        let url = format!("{}/{name}?comp=tier&{}", self.url, sas::token());
        let request = self.http.put(url).header("content-length", 0).header("x-ms-access-tier", tier);
        request.header("x-ms-version", "2021-12-02").send().await?.error_for_status()?;
        Ok(())
    }

    /// The text of a blob.
    ///
    /// # Errors
    /// When there is none, or the emulator does not answer.
    pub async fn read(&self, name: &str) -> Result<String> {
        let url = format!("{}/{name}?{}", self.url, sas::token());
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }
}
