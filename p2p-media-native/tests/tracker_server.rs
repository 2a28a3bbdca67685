//! The tracker over real sockets on loopback, as peers see it.
#![cfg(feature = "program")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report, also in its helper functions")]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use p2p_media_native::tracker_server::{RunningTracker, TlsFiles, TrackerConfig, TrackerLimits, TrackerServer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest that anything in here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Peer(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Peer {
    async fn connect(tracker: &RunningTracker) -> Self {
        Self(tokio_tungstenite::connect_async(tracker.url()).await.unwrap().0)
    }

    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("no message").expect("closed").unwrap();
            match message {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code and the reason with which the tracker closes the connection, after whatever it sent before.
    async fn closed(&mut self) -> (CloseCode, String) {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("not closed");
            if let Some(Ok(Message::Close(Some(frame)))) = message {
                return (frame.code, frame.reason.to_string());
            }
            message.expect("closed without a reason").unwrap();
        }
    }

    /// Announces and returns the reply.
    async fn announce(&mut self, swarm: &str, peer: &str, more: Value) -> Value {
        self.send(announce(swarm, peer, more)).await;
        self.receive().await
    }
}

/// The 20 characters of an id: all bytes that JSON or UTF-8 treat in a special way, then the name.
fn id(name: &str) -> String {
    format!("\u{0}\n\"\\\u{7f}\u{80}\u{ff}{name:_<13}")
}

fn announce(swarm: &str, peer: &str, more: Value) -> Value {
    let mut message =
        json!({"numwant": 5, "uploaded": 0, "downloaded": 0, "action": "announce", "info_hash": id(swarm), "peer_id": id(peer)});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn offers(from: &str, count: usize) -> Value {
    let offer =
        |index: usize| json!({"offer": {"type": "offer", "sdp": format!("v=0\r\n{from} {index}")}, "offer_id": id(&index.to_string())});
    json!({"event": "started", "offers": (0..count).map(offer).collect::<Vec<_>>()})
}

fn config() -> TrackerConfig {
    TrackerConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..TrackerConfig::default() }
}

fn limits(limits: TrackerLimits) -> TrackerConfig {
    TrackerConfig { limits, ..config() }
}

async fn start(config: TrackerConfig) -> RunningTracker {
    TrackerServer::bind(config).await.unwrap().spawn()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn offers_and_answers_travel_between_peers() {
    let tracker = start(config()).await;
    let (mut a, mut b) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    let reply = a.announce("swarm", "a", offers("a", 5)).await;
    assert_eq!(reply, json!({"complete": 0, "incomplete": 1, "action": "announce", "interval": 120, "info_hash": id("swarm")}));
    let reply = b.announce("swarm", "b", offers("b", 5)).await;
    assert_eq!(reply["incomplete"], 2);

    // One offer of five: there is one other peer.
    let offer = a.receive().await;
    assert_eq!(
        offer,
        json!({"action": "announce", "offer": {"type": "offer", "sdp": "v=0\r\nb 0"}, "offer_id": id("0"), "peer_id": id("b"),
            "info_hash": id("swarm")})
    );
    a.send(json!({"action": "announce", "info_hash": id("swarm"), "peer_id": id("a"), "to_peer_id": id("b"),
        "answer": {"type": "answer", "sdp": "v=0\r\na"}, "offer_id": id("0")}))
        .await;
    assert_eq!(
        b.receive().await,
        json!({"action": "announce", "answer": {"type": "answer", "sdp": "v=0\r\na"}, "offer_id": id("0"), "peer_id": id("a"),
            "info_hash": id("swarm")})
    );
    // An answer has no reply: the next message to `a` is the reply to this announce.
    assert_eq!(a.announce("swarm", "a", json!({})).await["incomplete"], 2);
    let stats = tracker.stats();
    assert_eq!((stats.announces_total, stats.relayed_offers_total, stats.relayed_answers_total), (3, 1, 1));
}

#[tokio::test]
async fn numwant_limits_the_offers() {
    let tracker = start(config()).await;
    let mut others = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let mut peer = Peer::connect(&tracker).await;
        peer.announce("swarm", name, json!({})).await;
        others.push(peer);
    }
    let mut peer = Peer::connect(&tracker).await;
    for (numwant, relayed) in [(json!(2), 2), (json!(0), 0), (json!(9), 3), (json!(null), 3)] {
        let before = tracker.stats().relayed_offers_total;
        let mut message = offers("e", 3);
        message["numwant"] = numwant.clone();
        peer.announce("swarm", "e", message).await;
        assert_eq!(tracker.stats().relayed_offers_total - before, relayed, "{numwant}");
    }
}

#[tokio::test]
async fn peers_leave_by_saying_so_or_by_closing() {
    let tracker = start(config()).await;
    let (mut a, mut b) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    a.announce("one", "a", json!({"left": 0})).await;
    a.announce("two", "a", json!({})).await;
    let reply = b.announce("one", "b", json!({})).await;
    assert_eq!((&reply["complete"], &reply["incomplete"]), (&json!(1), &json!(1)));
    let reply = a.announce("one", "a", json!({"event": "stopped", "numwant": 0})).await;
    assert_eq!((&reply["complete"], &reply["incomplete"], &reply["info_hash"]), (&json!(0), &json!(1), &json!(id("one"))));
    assert_eq!((tracker.stats().swarms, tracker.stats().peers), (2, 2));
    // Without a closing handshake, as when a page is left.
    drop(a);
    until("the peer is gone", || tracker.stats().peers == 1).await;
    b.0.close(None).await.unwrap();
    until("all peers are gone", || tracker.stats().peers == 0 && tracker.stats().swarms == 0 && tracker.stats().connections == 0).await;
}

#[tokio::test]
async fn one_socket_serves_many_swarms_and_peer_ids() {
    let tracker = start(config()).await;
    let (mut a, mut b) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    for (swarm, peer) in [("one", "a1"), ("two", "a2"), ("three", "a2")] {
        a.announce(swarm, peer, json!({})).await;
    }
    for (swarm, peer) in [("one", "b"), ("two", "b"), ("three", "b")] {
        b.announce(swarm, peer, offers("b", 1)).await;
        assert_eq!(a.receive().await["info_hash"], id(swarm));
    }
    let scrape = json!({"action": "scrape", "info_hash": [id("one"), id("nowhere")]});
    b.send(scrape).await;
    let reply = b.receive().await;
    assert_eq!(reply["action"], "scrape");
    assert_eq!(reply["files"][id("one")], json!({"complete": 0, "incomplete": 2, "downloaded": 0}));
    assert_eq!(reply["files"][id("nowhere")], json!({"complete": 0, "incomplete": 0, "downloaded": 0}));
}

#[tokio::test]
async fn a_peer_that_reconnects_is_reached_at_its_new_connection() {
    let tracker = start(config()).await;
    let (mut old, mut new, mut other) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    old.announce("swarm", "a", json!({})).await;
    assert_eq!(new.announce("swarm", "a", json!({})).await["incomplete"], 1);
    old.0.close(None).await.unwrap();
    until("the old connection is gone", || tracker.stats().connections == 2).await;
    assert_eq!(other.announce("swarm", "b", offers("b", 5)).await["incomplete"], 2);
    assert_eq!(new.receive().await["peer_id"], id("b"));
}

#[tokio::test]
async fn senseless_messages_are_answered_then_not_tolerated() {
    let tracker = start(config()).await;
    let mut peer = Peer::connect(&tracker).await;
    peer.0.send(Message::text("{\"action\":")).await.unwrap();
    assert!(peer.receive().await["failure reason"].as_str().unwrap().starts_with("EOF while parsing"));
    peer.send(json!({"action": "announce", "info_hash": "short", "peer_id": id("a")})).await;
    assert_eq!(peer.receive().await["failure reason"], "invalid info_hash");
    peer.0.send(Message::binary(announce("swarm", "a", json!({})).to_string())).await.unwrap();
    assert_eq!(peer.receive().await["incomplete"], 1, "still served, binary frames too");
    for _ in 0..8 {
        peer.0.send(Message::text("nonsense")).await.unwrap();
    }
    assert_eq!(peer.closed().await, (CloseCode::Policy, "too many invalid messages".to_owned()));
    until("the peer is gone", || tracker.stats().peers == 0).await;
    assert_eq!(tracker.stats().invalid_messages_total, 10);
}

#[tokio::test]
async fn a_message_over_the_limit_closes_the_connection() {
    let tracker = start(limits(TrackerLimits { message_bytes: 2000, ..TrackerLimits::default() })).await;
    let mut peer = Peer::connect(&tracker).await;
    assert_eq!(peer.announce("swarm", "a", json!({"padding": "x".repeat(1500)})).await["incomplete"], 1);
    peer.send(announce("swarm", "a", json!({"padding": "x".repeat(2000)}))).await;
    assert_eq!(peer.closed().await, (CloseCode::Size, "message too large".to_owned()));
    until("the peer is gone", || tracker.stats().peers == 0).await;
}

#[tokio::test]
async fn swarms_are_limited_per_connection_and_in_all() {
    let tracker = start(limits(TrackerLimits { swarms: 3, swarms_per_connection: 2, ..TrackerLimits::default() })).await;
    let (mut a, mut b) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    a.announce("one", "a", json!({})).await;
    a.announce("two", "a", json!({})).await;
    let refused = a.announce("three", "a", json!({})).await;
    assert_eq!(refused["failure reason"], "one connection may be in 2 swarms");
    assert_eq!(refused["info_hash"], id("three"));
    assert_eq!(a.announce("one", "a", json!({})).await["incomplete"], 1, "those it is in stay");
    b.announce("three", "b", json!({})).await;
    assert_eq!(b.announce("four", "b", json!({})).await["failure reason"], "this tracker has no room for another swarm");
    a.announce("two", "a", json!({"event": "stopped"})).await;
    assert_eq!(b.announce("four", "b", json!({})).await["incomplete"], 1, "room came back");
}

#[tokio::test]
async fn connections_are_limited_per_address() {
    let tracker = start(limits(TrackerLimits { connections_per_address: 2, ..TrackerLimits::default() })).await;
    let (a, _b) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    match tokio_tungstenite::connect_async(tracker.url()).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 429),
        other => panic!("{other:?}"),
    }
    drop(a);
    until("there is room again", || tracker.stats().connections == 1).await;
    Peer::connect(&tracker).await;
}

#[tokio::test]
async fn peers_that_stop_announcing_are_dropped() {
    let interval = Duration::from_millis(400);
    let tracker = start(TrackerConfig { announce_interval: interval, ..config() }).await;
    let (mut silent, mut active) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    assert_eq!(silent.announce("swarm", "silent", json!({})).await["interval"], 1, "rounded up to whole seconds");
    let started = tokio::time::Instant::now();
    while active.announce("swarm", "active", json!({})).await["incomplete"] != 1 {
        assert!(started.elapsed() < PATIENCE, "the silent peer is never dropped");
        tokio::time::sleep(interval / 8).await;
    }
    assert!(started.elapsed() >= interval * 2, "dropped too soon: {:?}", started.elapsed());
    assert_eq!(silent.announce("swarm", "silent", json!({})).await["incomplete"], 2, "its connection lived on");
    assert!(tracker.stats().stale_peers_total >= 1);
}

#[tokio::test]
async fn connections_without_signs_of_life_are_closed() {
    let tracker = start(TrackerConfig { ping_interval: Duration::from_millis(300), ..config() }).await;
    let mut dead = Peer::connect(&tracker).await;
    let mut alive = Peer::connect(&tracker).await;
    dead.announce("swarm", "dead", json!({})).await;
    alive.announce("swarm", "alive", json!({})).await;
    // `dead` is not polled any more, so nothing answers its pings; `alive` is.
    let polled = tokio::spawn(async move { while let Some(Ok(_)) = alive.0.next().await {} });
    until("the dead connection is closed", || tracker.stats().unresponsive_connections_total == 1).await;
    until("its peer is gone", || tracker.stats().peers == 1).await;
    assert!(!polled.is_finished(), "the living connection was closed");
    polled.abort();
}

#[tokio::test]
async fn a_slow_reader_loses_messages_but_costs_no_memory() {
    let limits_of_one = TrackerLimits { outbox_bytes: 20_000, ..TrackerLimits::default() };
    let tracker = start(limits(limits_of_one)).await;
    let (mut slow, mut busy) = (Peer::connect(&tracker).await, Peer::connect(&tracker).await);
    slow.announce("swarm", "slow", json!({})).await;
    let offer = json!({"offers": [{"offer": {"sdp": "x".repeat(10_000)}, "offer_id": "1"}]});
    let started = tokio::time::Instant::now();
    while tracker.stats().dropped_messages_total == 0 {
        busy.announce("swarm", "busy", offer.clone()).await;
        assert!(started.elapsed() < PATIENCE, "nothing was dropped");
    }
    // What was kept is still delivered, in order and whole.
    let relayed = tracker.stats().relayed_offers_total;
    for _ in 0..relayed {
        assert_eq!(slow.receive().await["offer_id"], "1");
    }
    // One that does not even read the replies to its own questions is closed.
    let scrape = json!({"action": "scrape", "info_hash": (0..100).map(|n| id(&n.to_string())).collect::<Vec<_>>()});
    let scrape = Message::text(scrape.to_string());
    while tracker.stats().peers == 2 && busy.0.send(scrape.clone()).await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "it may ask on");
    }
    until("the reader of nothing is gone", || tracker.stats().peers == 1).await;
}

#[tokio::test]
async fn frames_may_arrive_in_pieces() {
    let tracker = start(config()).await;
    // More than is read at a time.
    let mut peer = Peer::connect(&tracker).await;
    assert_eq!(peer.announce("swarm", "a", json!({"padding": "x".repeat(100_000)})).await["incomplete"], 1);

    let mut stream = TcpStream::connect(tracker.local_addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let handshake = "GET / HTTP/1.1\r\nHost: tracker\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A text message in two fragments with a ping between; the masking key is zero.
    let text = announce("swarm", "b", json!({})).to_string();
    let (first, second) = text.as_bytes().split_at(100);
    let frame = |head: u8, payload: &[u8]| {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let head = if payload.len() < 126 { vec![head, 0x80 | length[1]] } else { vec![head, 0xfe, length[0], length[1]] };
        [&head[..], &[0; 4], payload].concat()
    };
    let sent = [handshake.as_bytes(), &frame(0x01, first), &frame(0x89, b"ping"), &frame(0x80, second)].concat();
    // The first piece holds the handshake and the beginning of the first frame.
    let (beginning, rest) = sent.split_at(handshake.len() + 3);
    stream.write_all(beginning).await.unwrap();
    for piece in rest.chunks(5) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut received = Vec::new();
    while !received.ends_with(b"}") {
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut received)).await.expect("no reply").unwrap();
        assert_ne!(read, 0, "closed after {}", String::from_utf8_lossy(&received));
    }
    let head_end = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let frames = &received[head_end..];
    assert_eq!(&frames[..6], b"\x8a\x04ping", "the ping is answered first, it came first");
    let reply: Value = serde_json::from_slice(&frames[8..]).unwrap();
    assert_eq!(reply["incomplete"], 2);
}

#[tokio::test]
async fn statistics_are_served_on_the_same_port() {
    let tracker = start(config()).await;
    let mut peer = Peer::connect(&tracker).await;
    peer.announce("swarm", "a", json!({"left": 0})).await;
    let address = tracker.local_addr();
    let get = |path: &'static str| async move {
        let fetch = move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: tracker\r\n\r\n").unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            (head.to_owned(), body.to_owned())
        };
        tokio::task::spawn_blocking(fetch).await.unwrap()
    };
    let (head, body) = get("/stats.json").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
    let stats: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&stats["swarms"], &stats["peers"], &stats["complete_peers"], &stats["announces_total"]),
        (&json!(1), &json!(1), &json!(1), &json!(1))
    );
    let (head, body) = get("/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("version=0.0.4"), "{head}");
    assert!(body.contains("# TYPE p2p_media_tracker_peers gauge\np2p_media_tracker_peers 1\n"), "{body}");
    let (head, _) = get("/").await;
    assert!(head.starts_with("HTTP/1.1 426"), "{head}");
}

#[tokio::test]
async fn the_shutdown_says_goodbye_and_frees_the_port() {
    let tracker = start(config()).await;
    let address = tracker.local_addr();
    let mut peer = Peer::connect(&tracker).await;
    peer.announce("swarm", "a", json!({})).await;
    let (closed, ()) = tokio::join!(peer.closed(), tracker.shutdown());
    assert_eq!(closed, (CloseCode::Away, "the tracker stops".to_owned()));
    let tracker = start(TrackerConfig { listen: address, ..config() }).await;
    let in_use = TrackerServer::bind(TrackerConfig { listen: address, ..config() }).await.err().unwrap();
    assert_eq!(in_use.to_string(), format!("--listen {address}: the port is in use by another program"));
    tracker.shutdown().await;
}

#[tokio::test]
async fn it_speaks_wss() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let tracker = start(TrackerConfig { tls: Some(files), ..config() }).await;
    assert!(tracker.url().starts_with("wss://"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_tungstenite::Connector::Rustls(std::sync::Arc::new(client));
    let connect = || tokio_tungstenite::connect_async_tls_with_config(tracker.url(), None, false, Some(connector.clone()));
    let (mut a, mut b) = (Peer(connect().await.unwrap().0), Peer(connect().await.unwrap().0));
    a.announce("swarm", "a", json!({})).await;
    b.announce("swarm", "b", offers("b", 5)).await;
    assert_eq!(a.receive().await["peer_id"], id("b"));
    // Someone who does not speak TLS is shown the door, and nobody else notices.
    assert!(tokio_tungstenite::connect_async(tracker.url().replace("wss", "ws")).await.is_err());
    assert_eq!(b.announce("swarm", "b", json!({})).await["incomplete"], 2);
}
