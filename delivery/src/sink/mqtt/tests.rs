//! The sink against a server that does what the test says.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use twinroute_common::route::MqttQos;

use super::*;
use crate::config::sinks::SinkLimits;
use crate::sink::{Outcome, Reachability, Submission, Verdict, test_events};

const DEADLINE: Duration = Duration::from_secs(20);

/// CONNACK without properties.
const ACCEPTED: &[u8] = b"\x20\x03\x00\x00\x00";
/// CONNACK with Receive Maximum 2 and Maximum Packet Size 1,000.
const ACCEPTED_WITH_LIMITS: &[u8] = b"\x20\x0B\x00\x00\x08\x21\x00\x02\x27\x00\x00\x03\xE8";

/// A server's end of a connection.
struct Server(TcpStream);

impl Server {
    async fn accept(listener: &TcpListener, connack: &[u8]) -> Self {
        let (stream, _) = within(listener.accept()).await.unwrap();
        let mut server = Self(stream);
        assert_eq!(server.packet().await.0, 0x10, "CONNECT");
        server.0.write_all(connack).await.unwrap();
        server
    }

    /// The first byte of a packet, and what follows its length.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let first = within(self.0.read_u8()).await.unwrap();
        let mut length = 0;
        for index in 0..4 {
            let byte = within(self.0.read_u8()).await.unwrap();
            length |= usize::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        within(self.0.read_exact(&mut body)).await.unwrap();
        (first, body)
    }

    /// Topic and packet id of a PUBLISH with QoS 1.
    async fn publish(&mut self) -> (String, [u8; 2]) {
        let (first, body) = self.packet().await;
        assert_eq!(first, 0x32, "PUBLISH with QoS 1, not a duplicate");
        let topic_bytes = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + topic_bytes].to_vec()).unwrap();
        (topic, [body[2 + topic_bytes], body[3 + topic_bytes]])
    }

    async fn answer(&mut self, [high, low]: [u8; 2], reason: u8) {
        self.0.write_all(&[0x40, 3, high, low, reason]).await.unwrap();
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("not in time")
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn start_sink(listener: &TcpListener, change: impl FnOnce(&mut SinkLimits)) -> Sink {
    let mut limits = SinkLimits::default();
    limits.mqtt.reconnect_initial_ms = 10;
    change(&mut limits);
    let context =
        SinkContext { worker_id: "worker".to_owned(), limits: Arc::new(limits), secrets: Arc::default() };
    let options = MqttOptions {
        broker: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        tls: None,
        topic: "twins/{twinId}".to_owned(),
        client_id: None,
        login: None,
        qos: MqttQos::AtLeastOnce,
        retain: false,
        version: MqttVersion::V500,
    };
    start("events", &options, context).unwrap()
}

async fn submit(sink: &Sink, token: u64, twin: &str) {
    let event = Arc::new(test_events::twin_update(twin));
    sink.submissions.send(Submission { token, partition: 0, event }).await.unwrap();
}

async fn outcome(sink: &mut Sink) -> Outcome {
    within(sink.outcomes.recv()).await.expect("the sink has ended")
}

#[tokio::test]
async fn the_servers_answer_decides() {
    // given a sink with three messages at the server
    let listener = listen().await;
    let mut sink = start_sink(&listener, |_| {});
    let mut server = Server::accept(&listener, ACCEPTED).await;
    let mut ids = Vec::new();
    for (token, twin) in [(1, "a"), (2, "b"), (3, "c/d")] {
        submit(&sink, token, twin).await;
        ids.push(server.publish().await);
    }
    let topics: Vec<&str> = ids.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["twins/a", "twins/b", "twins/c%2Fd"]);

    // when it takes one without subscribers, refuses one for good and one for now
    for ((_, id), reason) in ids.into_iter().zip([0x10, 0x99, 0x87]) {
        server.answer(id, reason).await;
    }

    // then each has its verdict
    assert!(matches!(outcome(&mut sink).await, Outcome { token: 1, verdict: Verdict::Delivered }));
    assert!(matches!(outcome(&mut sink).await, Outcome { token: 2, verdict: Verdict::Permanent(_) }));
    let refused = outcome(&mut sink).await;
    assert!(matches!(refused, Outcome { token: 3, verdict: Verdict::Retryable(error) } if error.about_event));
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn what_was_not_acknowledged_is_not_sent_again_unasked() {
    // given a message without acknowledgement
    let listener = listen().await;
    let mut sink = start_sink(&listener, |_| {});
    let mut server = Server::accept(&listener, ACCEPTED).await;
    submit(&sink, 1, "a").await;
    server.publish().await;

    // when the connection is lost
    drop(server);
    let lost = outcome(&mut sink).await;
    let mut server = Server::accept(&listener, ACCEPTED).await;

    // then it is answered, and the first on the new connection is the next one that is handed over
    assert!(matches!(lost, Outcome { token: 1, verdict: Verdict::Retryable(error) } if !error.about_event));
    submit(&sink, 2, "b").await;
    let (topic, id) = server.publish().await;
    assert_eq!(topic, "twins/b");
    server.answer(id, 0).await;
    assert!(matches!(outcome(&mut sink).await, Outcome { token: 2, verdict: Verdict::Delivered }));
    within(sink.reachability.wait_for(|state| *state == Reachability::Connected)).await.unwrap();
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn a_server_that_never_acknowledges_is_given_up() {
    // given a server that reads and says nothing
    let listener = listen().await;
    let mut sink = start_sink(&listener, |limits| limits.mqtt.ack_deadline_ms = 50);
    let mut server = Server::accept(&listener, ACCEPTED).await;

    // when a message is published
    submit(&sink, 1, "a").await;
    server.publish().await;

    // then it is answered after the deadline, and the sink connects again
    assert!(matches!(outcome(&mut sink).await, Outcome { token: 1, verdict: Verdict::Retryable(_) }));
    Server::accept(&listener, ACCEPTED).await;
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn a_server_that_never_accepts_is_given_up() {
    // given a server that takes connections and says nothing
    let listener = listen().await;
    let mut sink = start_sink(&listener, |limits| limits.mqtt.connect_deadline_ms = 50);
    let silent = within(listener.accept()).await.unwrap();

    // when the deadline is over, then that shows, and the sink connects again
    let unreachable = |state: &Reachability| matches!(state, Reachability::Unreachable(_));
    within(sink.reachability.wait_for(unreachable)).await.unwrap();
    Server::accept(&listener, ACCEPTED).await;
    drop(silent);
    sink.close(DEADLINE).await;
}

#[tokio::test]
async fn the_servers_limits_are_obeyed() {
    // given a server that takes two messages at a time and no large ones
    let listener = listen().await;
    let mut sink = start_sink(&listener, |_| {});
    let mut server = Server::accept(&listener, ACCEPTED_WITH_LIMITS).await;
    within(sink.reachability.wait_for(|state| *state == Reachability::Connected)).await.unwrap();

    // when a large one and three small ones are handed over
    let long = "x".repeat(1_000);
    for (token, twin) in [(1, long.as_str()), (2, "a"), (3, "b"), (4, "c")] {
        submit(&sink, token, twin).await;
    }

    // then the large one is refused for good without being sent
    let refused = outcome(&mut sink).await;
    assert!(matches!(refused, Outcome { token: 1, verdict: Verdict::Permanent(error) } if error.about_event));

    // and the third small one is sent when one of the others is acknowledged
    let (_, first) = server.publish().await;
    server.publish().await;
    server.answer(first, 0).await;
    assert!(matches!(outcome(&mut sink).await, Outcome { token: 2, verdict: Verdict::Delivered }));
    assert_eq!(server.publish().await.0, "twins/c");

    // and what is not acknowledged when the sink is closed comes back
    drop(server);
    let mut left: Vec<u64> = sink.close(DEADLINE).await.iter().map(|outcome| outcome.token).collect();
    left.sort_unstable();
    assert_eq!(left, [3, 4]);
}

#[tokio::test]
async fn a_message_that_ends_the_connection_is_found_and_refused_alone() {
    // given a server that answers one of three messages in a way that the protocol does not know, as Mosquitto does
    let listener = listen().await;
    let mut sink = start_sink(&listener, |_| {});
    let mut server = Server::accept(&listener, ACCEPTED).await;
    let mut ids = Vec::new();
    for (token, twin) in [(1, "a"), (2, "b"), (3, "c")] {
        submit(&sink, token, twin).await;
        ids.push(server.publish().await.1);
    }
    server.answer(ids[1], 0x95).await;
    for _ in 0..3 {
        let lost = outcome(&mut sink).await.verdict;
        assert!(matches!(lost, Verdict::Retryable(error) if !error.about_event));
    }

    // when they are handed over again
    let mut server = Server::accept(&listener, ACCEPTED).await;
    for (token, twin) in [(4, "a"), (5, "b"), (6, "c")] {
        submit(&sink, token, twin).await;
    }
    for reason in [0, 0x95] {
        let (_, id) = server.publish().await;
        server.answer(id, reason).await;
    }

    // then they come one by one, and the one is refused for good
    assert!(matches!(outcome(&mut sink).await, Outcome { token: 4, verdict: Verdict::Delivered }));
    let refused = outcome(&mut sink).await;
    let Outcome { token: 5, verdict: Verdict::Permanent(error) } = refused else { panic!("{refused:?}") };
    assert_eq!(error.code, "PACKET_TOO_LARGE");
    sink.close(DEADLINE).await;
}
