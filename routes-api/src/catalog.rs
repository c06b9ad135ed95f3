//! All endpoints and routes that there are, stored ones and those of the bootstrap file, at one version.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use twinroute_common::route::{Endpoint, EventRoute, RouteTable};

/// Where a resource comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The database; the API changes it.
    Stored,
    /// The bootstrap file; the API refuses to change it.
    File(Arc<PathBuf>),
}

/// A resource with what the server knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// The resource.
    pub resource: T,
    /// Version of the table that brought its present form.
    pub version: u64,
    /// When it was created.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
}

impl<T> Entry<T> {
    /// Changes with every change of the resource, because no version repeats.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}", self.version)
    }
}

/// What the database holds.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Version of the table.
    pub version: u64,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, Entry<Endpoint>>,
    /// Routes by name.
    pub routes: BTreeMap<String, Entry<EventRoute>>,
}

/// What the bootstrap file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileResources {
    /// The file.
    pub path: Arc<PathBuf>,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Routes by name.
    pub routes: BTreeMap<String, EventRoute>,
}

/// All endpoints and routes at one version.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Version of the table.
    pub version: u64,
    /// Endpoints by name.
    pub endpoints: BTreeMap<String, Entry<Endpoint>>,
    /// Routes by name.
    pub routes: BTreeMap<String, Entry<EventRoute>>,
}

/// One change of what is stored.
#[derive(Clone, Debug)]
pub enum Write {
    /// Creates or replaces an endpoint.
    PutEndpoint(Endpoint),
    /// Deletes an endpoint.
    DeleteEndpoint(String),
    /// Creates or replaces a route.
    PutRoute(EventRoute),
    /// Deletes a route.
    DeleteRoute(String),
}

/// When and as which version a write happened.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The version that the write makes.
    pub version: u64,
    /// When.
    pub time: Timestamp,
}

impl Catalog {
    /// What is stored, over which the file's resources stand. `loaded` is when the file was read, and the version that
    /// was made for it.
    #[must_use]
    pub fn new(stored: Stored, file: Option<&FileResources>, loaded: Moment) -> Self {
        let Stored { version, mut endpoints, mut routes } = stored;
        if let Some(file) = file {
            overlay(&mut endpoints, &file.endpoints, &file.path, loaded);
            overlay(&mut routes, &file.routes, &file.path, loaded);
        }
        Self { version, endpoints, routes }
    }

    /// The catalog after a write.
    #[must_use]
    pub fn with(&self, write: Write, moment: Moment) -> Self {
        let mut catalog = self.clone();
        catalog.version = moment.version;
        match write {
            Write::PutEndpoint(endpoint) => {
                put(&mut catalog.endpoints, endpoint.name.clone(), endpoint, moment)
            }
            Write::DeleteEndpoint(name) => drop(catalog.endpoints.remove(&name)),
            Write::PutRoute(route) => put(&mut catalog.routes, route.name.clone(), route, moment),
            Write::DeleteRoute(name) => drop(catalog.routes.remove(&name)),
        }
        catalog
    }

    /// What the workers are given.
    #[must_use]
    pub fn table(&self) -> RouteTable {
        RouteTable {
            version: self.version,
            endpoints: resources(&self.endpoints),
            routes: resources(&self.routes),
        }
    }
}

fn overlay<T: Clone>(
    entries: &mut BTreeMap<String, Entry<T>>,
    resources: &BTreeMap<String, T>,
    path: &Arc<PathBuf>,
    Moment { version, time }: Moment,
) {
    entries.extend(resources.iter().map(|(name, resource)| {
        let origin = Origin::File(Arc::clone(path));
        let resource = resource.clone();
        (name.clone(), Entry { resource, version, create_time: time, update_time: time, origin })
    }));
}

fn put<T>(
    entries: &mut BTreeMap<String, Entry<T>>,
    name: String,
    resource: T,
    Moment { version, time }: Moment,
) {
    let create_time = entries.get(&name).map_or(time, |present| present.create_time);
    entries.insert(name, Entry { resource, version, create_time, update_time: time, origin: Origin::Stored });
}

fn resources<T: Clone>(entries: &BTreeMap<String, Entry<T>>) -> BTreeMap<String, T> {
    entries.iter().map(|(name, entry)| (name.clone(), entry.resource.clone())).collect()
}
