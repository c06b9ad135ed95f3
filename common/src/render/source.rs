//! The instance's URI: the attribute `source`, and the namespace of the events' ids.

use std::sync::Arc;

use uuid::Uuid;

/// What stands for the graph's name in the configured URI.
const GRAPH: &str = "{graph}";

/// The configured URI.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The same for all graphs.
    Fixed(SourceUri),
    /// With the graph's name in it.
    PerGraph(Arc<str>),
}

/// One URI, and what is derived from it.
#[derive(Clone, Debug)]
pub(super) struct SourceUri {
    pub(super) uri: Arc<str>,
    /// UUIDv5 of the URI in the namespace of URLs (RFC 9562, section 6.6).
    pub(super) namespace: Uuid,
}

impl Source {
    pub(super) fn new(template: &str) -> Self {
        if template.contains(GRAPH) {
            Self::PerGraph(template.into())
        } else {
            Self::Fixed(SourceUri::new(template))
        }
    }

    pub(super) fn uri(&self, graph: &str) -> SourceUri {
        match self {
            Self::Fixed(uri) => uri.clone(),
            Self::PerGraph(template) => SourceUri::new(&template.replace(GRAPH, graph)),
        }
    }
}

impl SourceUri {
    fn new(uri: &str) -> Self {
        Self { uri: uri.into(), namespace: Uuid::new_v5(&Uuid::NAMESPACE_URL, uri.as_bytes()) }
    }
}
