//! The routes of one rendering, found by what an event is instead of by asking each.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::cloud_event::{EventType, TypeSet};
use crate::filter::{Candidate, Field, Filter, Key, Verdict};
use crate::format::TypeMappings;

/// Routes that render alike, by the types that they can select, and within a type by what a field must be.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteIndex {
    routes: Vec<IndexedRoute>,
    by_type: [TypedRoutes; EventType::ALL.len()],
    types: TypeSet,
}

#[derive(Clone, Debug)]
struct IndexedRoute {
    filter: Filter,
    /// Index of the endpoint.
    endpoint: usize,
}

/// Indices of the routes that can select one type.
#[derive(Clone, Debug, Default)]
struct TypedRoutes {
    /// Those of which nothing more is known.
    always: Vec<usize>,
    keyed: Vec<KeyedRoutes>,
}

/// Indices of the routes that select an event only if a field has a certain text.
#[derive(Clone, Debug)]
struct KeyedRoutes {
    field: Field,
    whole: ByText,
    /// By the length of the start in bytes, and the start.
    starts: Vec<(usize, ByText)>,
}

/// Indices of routes by a text.
type ByText = HashMap<Box<str>, Vec<usize>>;

/// Some of the endpoints, by their index.
#[derive(Clone, Debug, Default)]
pub(super) struct EndpointSet(SmallVec<[u64; 4]>);

impl RouteIndex {
    /// Adds a route that sends to the endpoint of that index what is rendered with these types.
    pub(super) fn add(&mut self, filter: Filter, endpoint: usize, types: &TypeMappings) {
        let route = self.routes.len();
        let key = filter.key();
        for (event_type, routes) in EventType::ALL.into_iter().zip(&mut self.by_type) {
            if filter.can_select(event_type, &types.emitted(event_type)) {
                self.types.insert(event_type);
                routes.add(route, key.as_ref());
            }
        }
        self.routes.push(IndexedRoute { filter, endpoint });
    }

    /// Whether an event of one of these types can be selected by any route.
    pub(super) fn can_select(&self, types: TypeSet) -> bool {
        self.types.meets(types)
    }

    /// Adds the endpoints of the routes that select the event.
    pub(super) fn select(&self, candidate: &Candidate<'_>, endpoints: &mut EndpointSet) {
        let Some(typed) = self.by_type.get(candidate.event().default_type as usize) else { return };
        let mut ask = |indices: &[usize]| {
            for route in indices.iter().filter_map(|index| self.routes.get(*index)) {
                if !endpoints.contains(route.endpoint) && route.filter.verdict(candidate) == Verdict::True {
                    endpoints.insert(route.endpoint);
                }
            }
        };
        ask(&typed.always);
        for keyed in &typed.keyed {
            let Some(text) = candidate.text(&keyed.field) else { continue };
            keyed.whole.get(&*text).into_iter().for_each(|indices| ask(indices));
            for (length, starts) in &keyed.starts {
                let start = text.get(..*length).and_then(|start| starts.get(start));
                start.into_iter().for_each(|indices| ask(indices));
            }
        }
    }
}

impl TypedRoutes {
    fn add(&mut self, route: usize, key: Option<&Key>) {
        let Some(key) = key else {
            self.always.push(route);
            return;
        };
        let known = self.keyed.iter().position(|keyed| keyed.field == key.field);
        let place = known.unwrap_or_else(|| {
            let field = key.field.clone();
            self.keyed.push(KeyedRoutes { field, whole: HashMap::new(), starts: Vec::new() });
            self.keyed.len() - 1
        });
        if let Some(keyed) = self.keyed.get_mut(place) {
            keyed.add(route, key);
        }
    }
}

impl KeyedRoutes {
    fn add(&mut self, route: usize, key: &Key) {
        for text in &key.whole {
            self.whole.entry(text.clone()).or_default().push(route);
        }
        for start in &key.starts {
            let known = self.starts.iter().position(|(length, _)| *length == start.len());
            let place = known.unwrap_or_else(|| {
                self.starts.push((start.len(), HashMap::new()));
                self.starts.len() - 1
            });
            if let Some((_, starts)) = self.starts.get_mut(place) {
                starts.entry(start.clone()).or_default().push(route);
            }
        }
    }
}

impl EndpointSet {
    pub(super) fn insert(&mut self, index: usize) {
        if self.0.len() <= index / 64 {
            self.0.resize(index / 64 + 1, 0);
        }
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn contains(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word & 1 << (index % 64) != 0)
    }

    /// The indices, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(place, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(place * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_endpoints_has_what_was_put_in() {
        let mut set = EndpointSet::default();
        for index in [200, 0, 63, 64, 200] {
            set.insert(index);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 200]);
        assert!(set.contains(63) && !set.contains(62) && !set.contains(1_000));
    }
}
