//! What the worker's own tests share: endpoints whose sinks are played by the test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use twinroute_common::route::{
    DeliveryPolicy, Destination, Endpoint, EventRoute, MqttOptions, MqttQos, MqttVersion, RouteTable,
};
use twinroute_common::secret::SecretPolicy;

use crate::config::{EndpointSettings, MemorySettings};
use crate::endpoint::EndpointContext;
use crate::holdings::Holdings;
use crate::letter_box::resolve_by;
use crate::metrics::{EndpointMetrics, LetterMetrics};
use crate::settlement::ItemRef;
use crate::sink::{InFlight, Outcome, Reachability, Sink, SinkError, Submission, Verdict};
use crate::stream::Fence;

/// Longer than anything in a test takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What may be in flight at a test's sink.
const IN_FLIGHT: InFlight = InFlight { events_max: 8, events_per_key_max: 1 };

/// The far end of a sink.
pub(crate) struct FarEnd {
    pub(crate) topic: String,
    pub(crate) submissions: mpsc::Receiver<Submission>,
    pub(crate) outcomes: mpsc::Sender<Outcome>,
    reachability: watch::Sender<Reachability>,
    pub(crate) stop: CancellationToken,
}

impl FarEnd {
    /// The next submission: its token, and the `sequence` of its event.
    pub(crate) async fn next(&mut self) -> Option<(u64, String)> {
        let submission = tokio::time::timeout(DEADLINE, self.submissions.recv()).await.ok()??;
        Some((submission.token, submission.event.sequence.to_string()))
    }

    pub(crate) async fn answer(&self, token: u64, verdict: Verdict) {
        let _closed = self.outcomes.send(Outcome { token, verdict }).await;
    }

    /// The destination is lost.
    pub(crate) fn lose(&self) {
        self.reachability.send_replace(Reachability::Unreachable("connection refused".to_owned()));
    }

    /// The destination can be reached.
    pub(crate) fn connect(&self) {
        self.reachability.send_replace(Reachability::Connected);
    }

    /// Takes the next event, whose `sequence` is given back.
    pub(crate) async fn take(&mut self) -> Option<String> {
        let (token, sequence) = self.next().await?;
        self.answer(token, Verdict::Delivered).await;
        Some(sequence)
    }
}

/// Endpoints whose sinks are played by the test.
pub(crate) struct Scene {
    pub(crate) context: EndpointContext,
    pub(crate) settled: mpsc::Receiver<Vec<ItemRef>>,
    pub(crate) sinks: mpsc::UnboundedReceiver<FarEnd>,
    refusal: Arc<Mutex<Option<SinkError>>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let (settled_sender, settled) = mpsc::channel(16);
        let (far_ends, sinks) = mpsc::unbounded_channel();
        let refusal: Arc<Mutex<Option<SinkError>>> = Arc::default();
        let refusing = Arc::clone(&refusal);
        let start_sink = move |endpoint: &Endpoint| {
            if let Some(error) = refusing.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            let (sink, far_end) = sink(endpoint);
            let _test_ends = far_ends.send(far_end);
            Ok(sink)
        };
        let fence = Fence::closed();
        fence.open_until(std::time::Instant::now() + Duration::from_secs(3600));
        let context = EndpointContext {
            fence: Arc::new(fence),
            settled: settled_sender,
            start_sink: Arc::new(start_sink),
            resolve_secret: resolve_by(SecretPolicy::default()),
            settings: EndpointSettings::default(),
            credit_events_max: 100,
            spaces: MemorySettings::default().spaces(),
            holdings: Holdings::default(),
            parking: None,
            kusto_blob_bytes_max: 1024,
            metrics: EndpointMetrics::new(&mut Registry::default()),
            letters: LetterMetrics::default(),
            tasks: TaskTracker::new(),
        };
        Self { context, settled, sinks, refusal }
    }

    /// The next sink that is started is refused.
    pub(crate) fn refuse_next_sink(&self, error: SinkError) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The sink that was started next.
    pub(crate) async fn sink(&mut self) -> FarEnd {
        tokio::time::timeout(DEADLINE, self.sinks.recv()).await.unwrap().unwrap()
    }

    /// The numbers of the items that were settled, until there are as many.
    pub(crate) async fn settled(&mut self, count: usize) -> Vec<u32> {
        let mut items = Vec::new();
        while items.len() < count {
            let notice = tokio::time::timeout(DEADLINE, self.settled.recv()).await.unwrap().unwrap();
            items.extend(notice.into_iter().map(|item| item.item));
        }
        items
    }
}

fn sink(endpoint: &Endpoint) -> (Sink, FarEnd) {
    let (submissions, submissions_receiver) = mpsc::channel(IN_FLIGHT.events_max);
    let (outcomes, outcomes_receiver) = mpsc::channel(IN_FLIGHT.events_max);
    let (reachability, reachability_receiver) = watch::channel(Reachability::Connected);
    let stop = CancellationToken::new();
    let sink = Sink {
        submissions,
        outcomes: outcomes_receiver,
        reachability: reachability_receiver,
        cleared_until: watch::Sender::new(std::time::Instant::now()),
        in_flight: IN_FLIGHT,
        stop: stop.clone(),
        task: tokio::spawn(std::future::ready(())),
    };
    let Destination::Mqtt(MqttOptions { topic, .. }) = &endpoint.destination else { unreachable!() };
    let topic = topic.clone();
    (sink, FarEnd { topic, submissions: submissions_receiver, outcomes, reachability, stop })
}

/// An endpoint with a topic.
pub(crate) fn endpoint(name: &str, topic: &str) -> Endpoint {
    let options = MqttOptions {
        broker: "127.0.0.1".to_owned(),
        port: 1883,
        tls: None,
        topic: topic.to_owned(),
        client_id: None,
        login: None,
        qos: MqttQos::AtLeastOnce,
        retain: false,
        version: MqttVersion::V500,
    };
    Endpoint {
        name: name.to_owned(),
        destination: Destination::Mqtt(options),
        policy: DeliveryPolicy::default(),
        dead_letter: None,
    }
}

/// The texts of all letters beneath a directory.
pub(crate) fn letters(directory: &Path) -> Vec<String> {
    let mut folders: Vec<PathBuf> = vec![directory.to_owned()];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => texts.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    texts
}

/// A table in which each endpoint gets all events.
pub(crate) fn table(version: u64, endpoints: &[Endpoint]) -> RouteTable {
    let route = |endpoint: &Endpoint| EventRoute {
        name: format!("to-{}", endpoint.name),
        endpoint_name: endpoint.name.clone(),
        filter: "true".to_owned(),
        format: endpoint.destination.kind().default_format(),
        types: twinroute_common::format::TypeMappings::default(),
        disabled: false,
        notify_gaps: true,
    };
    let routes = endpoints.iter().map(route).map(|route| (route.name.clone(), route)).collect();
    let endpoints = endpoints.iter().map(|endpoint| (endpoint.name.clone(), endpoint.clone())).collect();
    RouteTable { version, endpoints, routes }
}
