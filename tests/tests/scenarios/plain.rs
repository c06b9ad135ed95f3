//! The stack of the plain case, shared by all scenarios that break nothing: each has keys of its own.

use anyhow::{Context as _, Result, ensure};
use tokio::sync::OnceCell;
use twinroute_proto::routes::v1::{
    CreateEndpointRequest, CreateEventRouteRequest, Endpoint, EventFormat, EventRoute, KafkaOptions,
    endpoint::Destination,
};
use twinroute_tests::{
    consumers::{Consumer, Received, kafka, kusto, mqtt},
    stack::{GRAPH, KAFKA_TOPIC, KUSTO_DATABASE, MQTT_TOPIC, Stack, Steps, routes},
    twins::{Graph, graph::Change},
    wait,
};

use crate::{
    exact::{self, Told, told},
    scene::{self, DEADLINE},
};

/// Topic of the events in `DataHistory` format.
const HISTORY_TOPIC: &str = "digital-twins-history";

/// A stack with two workers, four routes, and consumers of all that is sent.
pub(crate) struct Plain {
    pub(crate) stack: Stack,
    pub(crate) kafka: Consumer,
    pub(crate) history: Consumer,
    pub(crate) mqtt: Consumer,
    pub(crate) kusto: Consumer,
}

/// Runs a scenario on the shared stack, which the first one starts.
pub(crate) fn plain(scenario: impl AsyncFnOnce(&'static Plain) -> Result<()>) -> Result<()> {
    static PLAIN: OnceCell<Plain> = OnceCell::const_new();
    scene::run(async { scenario(PLAIN.get_or_try_init(Plain::start).await?).await })
}

impl Plain {
    async fn start() -> Result<Self> {
        let stack = Stack::start(&scene::dir("plain")?, 2, &Steps::silent()).await?;
        let (database, servers) = (stack.servers.database(), &stack.servers);
        let labels =
            format!("SELECT create_vlabel('{GRAPH}', 'Fence'); SELECT create_elabel('{GRAPH}', 'feeds')");
        Graph::open(&database, GRAPH).await?.client().batch_execute(&labels).await?;
        let plain = Self {
            kafka: kafka::consume(&servers.kafka.brokers(), KAFKA_TOPIC)?,
            history: kafka::consume(&servers.kafka.brokers(), HISTORY_TOPIC)?,
            mqtt: mqtt::consume("127.0.0.1", servers.mosquitto.port(), MQTT_TOPIC).await?,
            kusto: kusto::consume(&servers.kusto.uri(), KUSTO_DATABASE, &kusto::TABLES)?,
            stack,
        };
        plain.create_history_route().await?;
        // Scenarios that change relationships ask what was there before; those of labels.rs make labels of their own.
        plain.until_followed("feeds").await?;
        Ok(plain)
    }

    /// Waits until capture has seen to the old rows of a label.
    pub(crate) async fn until_followed(&self, label: &str) -> Result<()> {
        let graph = self.graph().await?;
        wait::until(DEADLINE, "the label to have old rows", async || {
            let sql = "SELECT relreplident::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE nspname = $1 AND relname = $2";
            let identity: String = graph.client().query_one(sql, &[&GRAPH, &label]).await?.try_get(0)?;
            ensure!(identity == "f", "replica identity is {identity}");
            Ok(())
        })
        .await
    }

    async fn create_history_route(&self) -> Result<()> {
        let name = "kafka-history".to_owned();
        let kafka = KafkaOptions {
            brokers: vec![self.stack.servers.kafka.brokers()],
            topic: HISTORY_TOPIC.to_owned(),
            ..KafkaOptions::default()
        };
        let destination = Some(Destination::Kafka(kafka));
        let endpoint = Endpoint { name: name.clone(), destination, ..Endpoint::default() };
        let route = EventRoute {
            name: name.clone(),
            endpoint_name: name,
            filter: "true".to_owned(),
            event_format: EventFormat::DataHistory.into(),
            ..EventRoute::default()
        };
        let mut client = routes::client(&self.stack).await?;
        client.create_endpoint(CreateEndpointRequest { endpoint: Some(endpoint) }).await?;
        client.create_event_route(CreateEventRouteRequest { event_route: Some(route) }).await?;
        routes::until_in_force(&self.stack, "kafka-history").await
    }

    /// A session of its own on the graph.
    pub(crate) async fn graph(&self) -> Result<Graph> {
        Graph::open(&self.stack.servers.database(), GRAPH).await
    }

    /// Commits a transaction; gives back its commit time as PostgreSQL remembers it, in RFC 3339
    /// with microseconds.
    pub(crate) async fn commit(&self, work: impl AsyncFnOnce(&Change<'_>) -> Result<()>) -> Result<String> {
        let mut graph = self.graph().await?;
        let change = graph.change().await?;
        let marker = change.mark("commit").await?;
        work(&change).await?;
        change.commit().await?;
        let sql = "SELECT to_char(pg_xact_commit_timestamp(txid::xid) AT TIME ZONE 'UTC',
                'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
            FROM ledger.changes WHERE marker = $1";
        Ok(graph.client().query_one(sql, &[&marker]).await?.try_get(0)?)
    }

    /// Commits a transaction of one Cypher query.
    pub(crate) async fn cypher(&self, query: &str) -> Result<String> {
        self.commit(async |change| change.cypher(query).await.map(drop)).await
    }

    /// Of one key exactly these events arrive, byte for byte and in this order, at all four
    /// destinations; and nothing else does: a last event of the key, written now, comes after them.
    pub(crate) async fn arrives(&self, key: &str, notices: &[Told], history: &[Told]) -> Result<()> {
        let name = key.replace('\'', "\\'");
        let time = self.cypher(&format!("CREATE (:Fence {{`$dtId`: '{name}', fence: true}})")).await?;
        let last = |type_: &str, data: &str| told(&time, type_, key, &data.replace("KEY", key));
        let notices = [notices, &[last("Twin.Create", r#"{"$dtId": "KEY", "fence": true}"#)]].concat();
        let lifecycle =
            r#"{"twinId":"KEY","action":"Create","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
        let property = r#"{"twinId":"KEY","propertyName":"fence","propertyValue":true,"propertyType":"boolean","operation":"Add","timeStamp":"TIME","serviceId":"SOURCE","modelId":null}"#;
        let last = [last("Twin.Lifecycle", lifecycle), last("Property.Event", property)];
        let history = [history, &last].concat();

        let consumers = [&self.kafka, &self.history, &self.mqtt, &self.kusto];
        let compare = |expected| move |received: &[Received]| exact::compare(key, expected, received);
        let [by_kafka, by_history, by_mqtt, by_kusto] = consumers.map(Consumer::inbox);
        let of_kafka = by_kafka.until(DEADLINE, "the events at Kafka", compare(&notices)).await?;
        let of_mqtt = by_mqtt.until(DEADLINE, "the events at MQTT", compare(&notices)).await?;
        let of_history = by_history.until(DEADLINE, "the history at Kafka", compare(&history)).await?;
        let of_kusto = by_kusto.until(DEADLINE, "the rows at Kusto", compare(&history)).await?;
        ensure!(of_kafka == of_mqtt, "ids of {key} at Kafka {of_kafka:?}, at MQTT {of_mqtt:?}");
        ensure!(of_history == of_kusto, "ids of {key} at Kafka {of_history:?}, at Kusto {of_kusto:?}");
        for consumer in consumers {
            ensure!(consumer.inbox().faults().is_empty(), "{:?}", consumer.inbox().faults());
        }
        Ok(())
    }

    /// What arrived of a key at a consumer as the `index`-th, with `ID` and `SEQUENCE` for these two.
    pub(crate) fn wire(consumer: &Consumer, key: &str, index: usize) -> Result<String> {
        let received = consumer.inbox().received();
        let found = received.iter().filter(|received| received.key == key).nth(index);
        let found = found.with_context(|| format!("{key} has no event {index}"))?;
        Ok(found.wire.replace(&found.id, "ID").replace(&found.sequence, "SEQUENCE"))
    }
}
