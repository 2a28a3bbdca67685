//! Many peers on one tracker, as cheap as they can be: frames are made once and patched, the masking key is zero, SDP is not parsed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// As many as official peers make.
pub(super) const OFFERS_PER_ANNOUNCE: usize = 5;

/// Bytes of JSON of an offer or an answer.
pub(super) const OFFER_BYTES: usize = 1000;

/// Handshakes at a time.
const HANDSHAKES_AT_A_TIME: usize = 64;

/// How long a handshake, or an announce until the last answer, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Offer ids have this many characters, like peer ids.
const ID_BYTES: usize = 20;

/// The end of a relayed message, where the ids are, with room for ids that need escapes.
const TAIL_BYTES: usize = 200;

/// Why a tracker cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("connection {0}: {1}")]
    Connection(usize, std::io::Error),
    #[error("connection {0} was not answered in time")]
    Slow(usize),
    #[error("the thread of the load ended early")]
    Ended,
}

/// What busy peers have done so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Announces replied to, with every offer answered.
    pub(super) completed: u64,
    /// Announces given up.
    pub(super) lost: u64,
}

/// Connected peers, in a thread of their own.
pub(super) struct Load {
    shared: Arc<Shared>,
    go: watch::Sender<bool>,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    completed: AtomicU64,
    lost: AtomicU64,
}

impl Load {
    /// Connects `peers` peers, each of which announces once: with offers that nobody answers if they are to stay idle.
    pub(super) async fn connect(server: SocketAddr, peers: usize, swarm_size: usize, idle: bool) -> Result<Self, LoadError> {
        let shared = Arc::new(Shared::default());
        let (go, gone) = watch::channel(false);
        let (stop, stopped) = oneshot::channel();
        let (connected, all_connected) = oneshot::channel();
        let counters = shared.clone();
        let thread = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async move {
                let mut handshakes = futures::stream::iter(0..peers)
                    .map(|index| Peer::join(server, index, index / swarm_size.max(1), idle))
                    .buffer_unordered(HANDSHAKES_AT_A_TIME);
                while let Some(peer) = handshakes.next().await {
                    match peer {
                        Ok(peer) => drop(tokio::spawn(peer.run(counters.clone(), gone.clone(), idle))),
                        // Nobody waits any more if this fails.
                        Err(error) => return drop(connected.send(Err(error))),
                    }
                }
                let _ = connected.send(Ok(()));
                // The handle was dropped, or it says so: either way it is over.
                let _ = stopped.await;
            });
        });
        all_connected.await.map_err(|_| LoadError::Ended)??;
        Ok(Self { shared, go, stop, thread })
    }

    /// From now on every peer announces again as soon as all its offers are answered.
    pub(super) fn announce_without_pause(&self) {
        self.go.send_replace(true);
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { completed: self.shared.completed.load(Ordering::Relaxed), lost: self.shared.lost.load(Ordering::Relaxed) }
    }

    /// Closes all connections.
    pub(super) fn end(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the load panicked");
        }
    }
}

struct Peer {
    stream: TcpStream,
    /// Bytes received, of which the first `consumed` are done with.
    received: Vec<u8>,
    consumed: usize,
    /// Bytes to send.
    out: Vec<u8>,
    announce: Template,
    answer: Template,
    announces: u64,
    /// When the announce in progress began, and what is missing: answers, and one reply.
    started: Option<Instant>,
    missing: usize,
}

/// A frame, and where ids go into it.
struct Template {
    frame: Vec<u8>,
    slots: Vec<usize>,
}

impl Peer {
    async fn join(server: SocketAddr, index: usize, swarm: usize, idle: bool) -> Result<Self, LoadError> {
        let joining = async {
            let mut stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            stream.write_all(handshake(server).as_bytes()).await?;
            let mut peer = Self::new(stream, index, swarm);
            while !peer.received.ends_with(b"\r\n\r\n") {
                peer.receive().await?;
            }
            if !peer.received.starts_with(b"HTTP/1.1 101") {
                return Err(std::io::Error::other(String::from_utf8_lossy(&peer.received).lines().next().unwrap_or_default()));
            }
            peer.received.clear();
            let first = if idle { peer.next_announce() } else { Template::text(&announce(swarm, index, 0)).frame };
            peer.stream.write_all(&first).await?;
            while peer.next_frame()?.is_none() {
                peer.receive().await?;
            }
            Ok(peer)
        };
        match tokio::time::timeout(PATIENCE, joining).await {
            Ok(joined) => joined.map_err(|error| LoadError::Connection(index, error)),
            Err(_) => Err(LoadError::Slow(index)),
        }
    }

    fn new(stream: TcpStream, index: usize, swarm: usize) -> Self {
        Self {
            stream,
            received: Vec::new(),
            consumed: 0,
            out: Vec::new(),
            announce: Template::text(&announce(swarm, index, OFFERS_PER_ANNOUNCE)),
            answer: Template::text(&answer(swarm, index)),
            announces: 0,
            started: None,
            missing: 0,
        }
    }

    /// Plays the peer until its connection or the load ends.
    async fn run(mut self, shared: Arc<Shared>, mut go: watch::Receiver<bool>, idle: bool) {
        // An idle peer needs neither again.
        if idle {
            (self.announce, self.answer) = (Template::text(""), Template::text(""));
        }
        let mut timeouts = tokio::time::interval(PATIENCE);
        loop {
            let alive = tokio::select! {
                biased;
                received = self.receive() => received.and_then(|()| self.handle_frames(&shared, idle)),
                _ = go.changed(), if self.started.is_none() && !idle => {
                    self.start_announce();
                    Ok(())
                }
                _ = timeouts.tick(), if !idle => {
                    if self.started.is_some_and(|started| started.elapsed() > PATIENCE) {
                        shared.lost.fetch_add(1, Ordering::Relaxed);
                        self.start_announce();
                    }
                    Ok(())
                }
            };
            if alive.is_err() || self.stream.write_all(&self.out).await.is_err() {
                return;
            }
            self.out.clear();
        }
    }

    async fn receive(&mut self) -> std::io::Result<()> {
        if self.consumed > 0 {
            self.received.drain(..self.consumed);
            self.consumed = 0;
        }
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn handle_frames(&mut self, shared: &Shared, idle: bool) -> std::io::Result<()> {
        while let Some((opcode, payload)) = self.next_frame()? {
            match opcode {
                0x8 => return Err(std::io::ErrorKind::ConnectionAborted.into()),
                0x9 => self.out.extend([0x8a, 0x80, 0, 0, 0, 0]),
                0x1 if !idle => self.handle_message(payload, shared),
                _ => {}
            }
        }
        Ok(())
    }

    fn handle_message(&mut self, payload: std::ops::Range<usize>, shared: &Shared) {
        let message = &self.received[payload];
        if contains(message, b"\"offer\":{") {
            if let (Some(offer_id), Some(peer_id)) = (value(message, b"\"offer_id\":\""), value(message, b"\"peer_id\":\"")) {
                self.answer.fill(&[peer_id, offer_id]);
                self.out.extend_from_slice(&self.answer.frame);
            }
            return;
        }
        let expected = if contains(message, b"\"answer\":{") {
            // Answers to an announce that was given up do not count.
            value(message, b"\"offer_id\":\"").is_some_and(|id| id.starts_with(&offer_id(self.announces, 0)[..ID_BYTES - 1]))
        } else {
            contains(message, b"\"interval\":")
        };
        if expected && self.started.is_some() {
            self.missing -= 1;
            if self.missing == 0 {
                shared.completed.fetch_add(1, Ordering::Relaxed);
                self.start_announce();
            }
        }
    }

    fn start_announce(&mut self) {
        self.started = Some(Instant::now());
        self.missing = OFFERS_PER_ANNOUNCE + 1;
        let frame = self.next_announce();
        self.out.extend_from_slice(&frame);
    }

    fn next_announce(&mut self) -> Vec<u8> {
        self.announces += 1;
        let ids: [_; OFFERS_PER_ANNOUNCE] = std::array::from_fn(|index| offer_id(self.announces, index));
        self.announce.fill(&ids.each_ref().map(Vec::as_slice));
        self.announce.frame.clone()
    }

    /// The opcode of the next complete frame, and where its payload is.
    fn next_frame(&mut self) -> std::io::Result<Option<(u8, std::ops::Range<usize>)>> {
        let bytes = &self.received[self.consumed..];
        let (header, length) = match bytes {
            [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            [_, 127, ..] => return Err(std::io::Error::other("a message of more than 64 KiB")),
            [_, length, ..] if *length < 126 => (2, usize::from(*length)),
            _ => return Ok(None),
        };
        if bytes.len() < header + length {
            return Ok(None);
        }
        let payload = self.consumed + header;
        let opcode = bytes[0] & 0x0f;
        self.consumed = payload + length;
        Ok(Some((opcode, payload..payload + length)))
    }
}

impl Template {
    /// A masked text frame (RFC 6455, 5.2) with key zero; `@` twenty times is a place for an id.
    fn text(text: &str) -> Self {
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | text.len() as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        let start = frame.len();
        frame.extend_from_slice(text.as_bytes());
        Self { slots: text.match_indices(SLOT).map(|(position, _)| start + position).collect(), frame }
    }

    /// Fills the places in their order.
    fn fill(&mut self, ids: &[&[u8]]) {
        for (slot, id) in self.slots.iter().zip(ids) {
            if id.len() == ID_BYTES {
                self.frame[*slot..slot + ID_BYTES].copy_from_slice(id);
            }
        }
    }
}

/// The place of an id in a template.
const SLOT: &str = "@@@@@@@@@@@@@@@@@@@@";

fn handshake(server: SocketAddr) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

fn announce(swarm: usize, peer: usize, offers: usize) -> String {
    let offers: Vec<String> = (0..offers).map(|_| format!(r#"{{"offer":{},"offer_id":"{SLOT}"}}"#, description("offer"))).collect();
    format!(
        r#"{{"numwant":{OFFERS_PER_ANNOUNCE},"uploaded":0,"downloaded":0,"action":"announce","info_hash":"bench-{swarm:014}","peer_id":"-BE0100-{peer:012}","offers":[{}]}}"#,
        offers.join(",")
    )
}

fn answer(swarm: usize, peer: usize) -> String {
    format!(
        r#"{{"action":"announce","info_hash":"bench-{swarm:014}","peer_id":"-BE0100-{peer:012}","to_peer_id":"{SLOT}","answer":{},"offer_id":"{SLOT}"}}"#,
        description("answer")
    )
}

/// A session description of [`OFFER_BYTES`] bytes, with as many line ends to escape as a real one.
fn description(kind: &str) -> String {
    let frame = format!(r#"{{"type":"{kind}","sdp":""}}"#).len();
    let line = r"a=candidate:842163049 1 udp 1677729535 192.0.2.7 46154 typ host\r\n";
    let mut sdp = line.repeat(OFFER_BYTES.saturating_sub(frame) / line.len());
    sdp.push_str(&"x".repeat(OFFER_BYTES.saturating_sub(frame + sdp.len())));
    format!(r#"{{"type":"{kind}","sdp":"{sdp}"}}"#)
}

fn offer_id(announce: u64, index: usize) -> Vec<u8> {
    format!("{announce:019}{index}").into_bytes()
}

/// Whether a message has a field. In most it is near the beginning.
fn contains(message: &[u8], field: &[u8]) -> bool {
    let head = &message[..message.len().min(field.len() + 30)];
    position(head, field).is_some() || (position(head, b"er\":{").is_none() && position(message, field).is_some())
}

/// The id after the name of a field. In most messages it is near the end.
fn value<'a>(message: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let tail = &message[message.len().saturating_sub(TAIL_BYTES)..];
    let after = |bytes: &'a [u8]| position(bytes, field).and_then(|at| bytes.get(at + field.len()..at + field.len() + ID_BYTES));
    after(tail).or_else(|| after(message))
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_have_their_size_and_are_json() {
        for kind in ["offer", "answer"] {
            let description = description(kind);
            assert_eq!(description.len(), OFFER_BYTES);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&description).unwrap()["type"], kind);
        }
    }

    #[test]
    fn templates_are_frames_with_places_for_ids() {
        let mut template = Template::text(&announce(1, 2, 5));
        assert_eq!(template.slots.len(), 5);
        template.fill(&[&offer_id(7, 0)]);
        let payload = &template.frame[8..];
        assert_eq!(usize::from(u16::from_be_bytes([template.frame[2], template.frame[3]])), payload.len());
        let message: serde_json::Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(message["offers"][0]["offer_id"], "00000000000000000070");
        assert_eq!(message["info_hash"].as_str().unwrap().len(), ID_BYTES);
        assert_eq!(message["peer_id"].as_str().unwrap().len(), ID_BYTES);
    }

    #[test]
    fn fields_are_found_in_any_order() {
        let first = br#"{"action":"announce","offer":{"sdp":"x"},"offer_id":"0123456789abcdefghij","peer_id":"jihgfedcba9876543210"}"#;
        let last = br#"{"action":"announce","offer_id":"0123456789abcdefghij","peer_id":"jihgfedcba9876543210","offer":{"sdp":"x"}}"#;
        for message in [&first[..], &last[..]] {
            assert!(contains(message, b"\"offer\":{"));
            assert!(!contains(message, b"\"answer\":{"));
            assert_eq!(value(message, b"\"offer_id\":\""), Some(&b"0123456789abcdefghij"[..]));
            assert_eq!(value(message, b"\"peer_id\":\""), Some(&b"jihgfedcba9876543210"[..]));
        }
    }
}
