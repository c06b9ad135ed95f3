//! Section `dead_letters`: where items go that no endpoint can take.

use serde::{Deserialize, Serialize};
use twinroute_common::config::Problem;
use twinroute_common::object_container::Location;
use twinroute_common::route::DeadLetterContainer;
use twinroute_common::secret::Secret;

/// Section `dead_letters`. Endpoints have dead-letter containers of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLettersSettings {
    /// Container for rows that capture cannot read and events that cannot be rendered:
    /// `https://<account>.blob.core.windows.net/<container>`, or `file:///directory`. Empty for none: such an item then
    /// blocks its partition.
    pub url: String,
    /// SAS with write permission, best as a reference.
    pub sas: Secret,
}

impl DeadLettersSettings {
    /// The container, if there is one.
    #[must_use]
    pub fn container(&self) -> Option<DeadLetterContainer> {
        let sas = Some(self.sas.clone()).filter(|sas| !sas.is_empty());
        (!self.url.is_empty()).then(|| DeadLetterContainer { url: self.url.clone(), sas, read_sas: None })
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let refusal =
            Some(&self.url).filter(|url| !url.is_empty()).and_then(|url| Location::parse(url).err());
        refusal.map(|refusal| Problem::new("dead_letters.url", refusal.to_string())).into_iter().collect()
    }
}
