//! Dispatch: an item becomes deliveries in the queues of the endpoints whose routes select it.

use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;
use twinroute_common::cloud_event::CloudEvent;
use twinroute_common::event::{Discontinuity, EventData};
use twinroute_common::matching::{Deliveries, EndpointName};
use twinroute_common::render::{Poison, RenderError, Renderer};

use crate::delivery::{Delivery, Origin};
use crate::endpoint::{EndpointHandle, QueueRefused};
use crate::routing::{CurrentRouting, Routing};
use crate::settlement::ItemRef;

/// Dispatches the items of one stream.
#[derive(Debug)]
pub struct Dispatcher {
    routing: Arc<CurrentRouting>,
    renderer: Renderer,
}

/// Items that are dispatched together, under one version of the routing. Each endpoint gets one message.
#[derive(Debug)]
pub struct Round<'d> {
    renderer: &'d Renderer,
    routing: Arc<Routing>,
    messages: SmallVec<[(EndpointHandle, Vec<Delivery>); 4]>,
}

impl Dispatcher {
    /// A dispatcher for a stream of one PostgreSQL cluster.
    #[must_use]
    pub fn new(routing: Arc<CurrentRouting>, renderer: Renderer) -> Self {
        Self { routing, renderer }
    }

    /// Starts a round under the routing in force.
    #[must_use]
    pub fn round(&self) -> Round<'_> {
        Round { renderer: &self.renderer, routing: self.routing.load(), messages: SmallVec::new() }
    }
}

impl Round<'_> {
    /// Version of the routing.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.routing.version
    }

    /// Dispatches an event; the number of its deliveries.
    ///
    /// # Errors
    /// When it can't be rendered, now or later.
    pub fn event(&mut self, item: ItemRef, event: &EventData) -> Result<u32, RenderError> {
        let deliveries = self.routing.table.deliveries(event, self.renderer)?;
        Ok(self.put(item, deliveries))
    }

    /// Dispatches a hole in the stream to the routes that ask for it; the number of its deliveries.
    pub fn gap(&mut self, item: ItemRef, gap: &Discontinuity) -> u32 {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let noticed_us = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        let deliveries = self.routing.table.gap_deliveries(gap, noticed_us, self.renderer);
        self.put(item, deliveries)
    }

    /// The event that stands for an item which can never be delivered.
    #[must_use]
    pub fn poison(&self, poison: &Poison<'_>) -> CloudEvent {
        self.renderer.render_poison(poison)
    }

    /// Hands the messages to the endpoints. Never waits.
    ///
    /// # Errors
    /// When an endpoint's queue is full.
    pub fn finish(self) -> Result<(), QueueRefused> {
        self.messages.into_iter().try_for_each(|(endpoint, deliveries)| endpoint.deliver(deliveries))
    }

    fn put(&mut self, item: ItemRef, deliveries: Deliveries) -> u32 {
        let mut count = 0;
        for (name, events) in deliveries {
            // Counted in any case: what could not be handed to an endpoint would stay unsettled, not get lost.
            count += u32::try_from(events.len()).unwrap_or(u32::MAX);
            let Some(message) = self.message(&name) else {
                debug_assert!(false, "a table leads to endpoints of its own routing only: {name}");
                continue;
            };
            message.extend(events.into_iter().map(|event| Delivery { origin: Origin::Stream(item), event }));
        }
        count
    }

    fn message(&mut self, name: &EndpointName) -> Option<&mut Vec<Delivery>> {
        let known = self.messages.iter().position(|(endpoint, _)| endpoint.name() == name);
        let index = match known {
            Some(index) => index,
            None => {
                self.messages.push((self.routing.endpoints.get(name)?.clone(), Vec::new()));
                self.messages.len() - 1
            }
        };
        self.messages.get_mut(index).map(|(_, message)| message)
    }
}
