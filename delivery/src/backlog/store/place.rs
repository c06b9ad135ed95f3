//! Where the store of the parked backlog is: opened when it is needed, and one over the network anew after a failure, so that
//! a SAS that was renewed takes effect.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use twinroute_common::object_container::{Location, ObjectContainer, Usage};
use twinroute_common::secret::Secret;

use super::StoreError;
use crate::config::BacklogSettings;
use crate::letter_box::ResolveSecret;

/// Of the objects' types the one for several JSON texts; claims and notes are lists of one line.
const CONTENT_TYPE: &str = "application/x-ndjson";

/// Where the store is, and the way to it while it works. Clones share it.
#[derive(Clone)]
pub(super) struct Place {
    inner: Arc<Inner>,
}

struct Inner {
    location: Location,
    sas: Secret,
    resolve: ResolveSecret,
    timeout: Duration,
    open: Mutex<Option<ObjectContainer>>,
}

impl Place {
    /// The place that the settings name. A directory is made when it is not there.
    pub(super) fn of(settings: &BacklogSettings, resolve: ResolveSecret) -> Result<Self, StoreError> {
        let location = Location::parse(&settings.url)?;
        if let Location::Directory(path) = &location {
            let directory = |source| StoreError::Directory { path: path.display().to_string(), source };
            std::fs::create_dir_all(path).map_err(directory)?;
        }
        let (sas, timeout) = (settings.sas.clone(), settings.operation_timeout());
        let open = Mutex::default();
        Ok(Self { inner: Arc::new(Inner { location, sas, resolve, timeout, open }) })
    }

    /// The way to it.
    pub(super) fn open(&self) -> Result<ObjectContainer, StoreError> {
        let Inner { location, sas, resolve, timeout, .. } = &*self.inner;
        let mut open = self.lock();
        if let Some(container) = &*open {
            return Ok(container.clone());
        }
        let sas = (!sas.is_empty()).then(|| resolve(sas)).transpose()?;
        let usage = Usage { timeout: *timeout, content_type: CONTENT_TYPE };
        let container =
            ObjectContainer::open(location.clone(), sas.as_ref(), usage).map_err(StoreError::Opening)?;
        *open = Some(container.clone());
        Ok(container)
    }

    /// Something has failed there.
    pub(super) fn failed(&self) {
        if matches!(self.inner.location, Location::Azure { .. }) {
            self.lock().take();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ObjectContainer>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
