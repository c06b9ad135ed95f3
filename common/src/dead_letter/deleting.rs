//! Letters are deleted, one call for each: a batch would need other rights, and not every store has it.

use object_store::ObjectStoreExt as _;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

use super::container::{CALL_DEADLINE, Container, ContainerError};
use super::layout::LetterName;

/// How letters are deleted.
#[derive(Clone, Debug)]
pub(super) enum Deleting {
    /// By the store itself: a directory.
    ByStore,
    /// By a call to Azure Blob Storage ("Delete Blob").
    ByCall {
        http: reqwest::Client,
        /// URL of the container.
        container: String,
        sas: Option<SecretString>,
    },
}

impl Container {
    /// Deletes a letter. One that is not there is deleted already.
    ///
    /// # Errors
    /// When the store refuses, cannot be reached, or does not answer in time.
    pub async fn delete(&self, endpoint: &str, name: &LetterName) -> Result<(), ContainerError> {
        let object = name.object(endpoint);
        let Deleting::ByCall { http, container, sas } = &self.deleting else {
            return self.found(self.store.delete(&object)).await.map(|_| ());
        };
        let sas = sas.as_ref().map(SecretString::expose_secret).unwrap_or_default();
        let url = format!("{container}/{object}?{}", sas.trim_start_matches('?'));
        let answer = http.delete(url).timeout(CALL_DEADLINE).send().await;
        // The URL has the signature in it.
        let answer = answer.map_err(|error| ContainerError::Refused(error.without_url().to_string()))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(ContainerError::Refused(format!("{object} was not deleted: {status}"))),
        }
    }
}
