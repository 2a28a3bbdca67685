//! One websocket: a single small task that writes what is in the outbox and hands over what comes in.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Sink, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::message::Id;
use super::outbox::{CloseReason, Outbox, Outgoing};
use super::tracker::Tracker;

/// Bytes read at a time. Each connection keeps a buffer of this size.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes collected before they are written; what waits beyond it waits in the outbox.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Messages handled before other tasks get a turn.
const MESSAGES_PER_TURN: usize = 16;

/// Senseless messages after which a connection is closed.
const MAX_SENSELESS_MESSAGES: usize = 10;

/// How long a peer may take to agree to the end of a connection.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// The swarms that a connection is in, and under which peer ids.
pub(super) type Memberships = Vec<(Id, Id)>;

/// What other tasks see of a connection.
pub(super) struct Connection {
    address: IpAddr,
    outbox: Outbox,
    /// How often in a row the connection was found silent.
    silences: AtomicU8,
}

impl Connection {
    pub(super) fn new(address: IpAddr, outbox_bytes: usize) -> Self {
        Self { address, outbox: Outbox::new(outbox_bytes), silences: AtomicU8::new(0) }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Called at regular intervals: pings the connection if nothing came since the last call, true if the ping before was not answered.
    pub(super) fn is_unresponsive(&self) -> bool {
        match self.silences.fetch_add(1, Ordering::Relaxed) {
            0 => false,
            1 => {
                self.outbox.ping();
                false
            }
            _ => true,
        }
    }

    fn heard(&self) {
        self.silences.store(0, Ordering::Relaxed);
    }
}

/// Runs a websocket, whose opening handshake is done, to its end.
pub(super) async fn run<S>(tracker: Arc<Tracker>, stream: S, already_read: Vec<u8>, address: IpAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &tracker.config().limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        // Beyond the size at which it is written, it grows by one message at most.
        .max_write_buffer_size(usize::MAX)
        .max_frame_size(Some(limits.message_bytes))
        .max_message_size(Some(limits.message_bytes));
    let socket = WebSocketStream::from_partially_read(stream, already_read, Role::Server, Some(config)).await;
    let connection = Arc::new(Connection::new(address, limits.outbox_bytes));
    let id = tracker.join(&connection);
    let mut peer = Peer { tracker, connection, socket, memberships: Vec::new(), senseless: 0, flushed: true };
    let close = poll_fn(|cx| peer.poll(cx)).await;
    peer.tracker.leave(id, &peer.connection, &peer.memberships);
    if let Some(reason) = close {
        tracing::debug!(%address, ?reason, "closing a connection");
        say_goodbye(peer.socket, reason).await;
    }
}

struct Peer<S> {
    tracker: Arc<Tracker>,
    connection: Arc<Connection>,
    socket: WebSocketStream<S>,
    memberships: Memberships,
    senseless: usize,
    flushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Writes and reads as far as possible. Ready when the connection is over (`None`) or has to be closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<CloseReason>> {
        self.connection.outbox.register(cx.waker());
        for _ in 0..MESSAGES_PER_TURN {
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) | Poll::Pending => {}
                Poll::Ready(Err(close)) => return Poll::Ready(close),
            }
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => self.handle(text.as_bytes()),
                Some(Ok(Message::Binary(bytes))) => self.handle(&bytes),
                // Pings are answered by the websocket library, pongs have done their work by arriving.
                Some(Ok(_)) => self.connection.heard(),
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    return Poll::Ready(Some(CloseReason::MessageTooLarge));
                }
                Some(Err(error)) => {
                    tracing::debug!(address = %self.connection.address, %error, "a connection broke");
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(None),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is in the outbox.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Option<CloseReason>>> {
        let mut socket = Pin::new(&mut self.socket);
        loop {
            let ready = socket.as_mut().poll_ready(cx);
            if let Poll::Ready(Err(_)) = ready {
                return Poll::Ready(Err(None));
            }
            if ready.is_pending() {
                return match self.connection.outbox.closing() {
                    Some(reason) => Poll::Ready(Err(Some(reason))),
                    None => Poll::Pending,
                };
            }
            let message = match self.connection.outbox.pop() {
                Some(Outgoing::Message(text)) => Message::Text(text),
                Some(Outgoing::Ping) => Message::Ping(Bytes::new()),
                Some(Outgoing::Close(reason)) => return Poll::Ready(Err(Some(reason))),
                None if self.flushed => return Poll::Ready(Ok(())),
                None => {
                    let flushed = ready!(socket.poll_flush(cx));
                    self.flushed = flushed.is_ok();
                    return Poll::Ready(flushed.map_err(|_| None));
                }
            };
            self.flushed = false;
            if socket.as_mut().start_send(message).is_err() {
                return Poll::Ready(Err(None));
            }
        }
    }

    fn handle(&mut self, text: &[u8]) {
        self.connection.heard();
        if !self.tracker.handle(text, &self.connection, &mut self.memberships) {
            self.senseless += 1;
            if self.senseless >= MAX_SENSELESS_MESSAGES {
                self.connection.outbox.close(CloseReason::Nonsense);
            }
        }
    }
}

/// Says why the connection ends and gives the peer a moment to agree.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>, reason: CloseReason) {
    let (code, text) = match reason {
        CloseReason::ShuttingDown => (CloseCode::Away, "the tracker stops"),
        CloseReason::Unresponsive => (CloseCode::Away, "no sign of life"),
        CloseReason::NotReading => (CloseCode::Policy, "replies are not read"),
        CloseReason::Nonsense => (CloseCode::Policy, "too many invalid messages"),
        CloseReason::MessageTooLarge => (CloseCode::Size, "message too large"),
    };
    let goodbye = async {
        socket.close(Some(CloseFrame { code, reason: text.into() })).await?;
        while let Some(message) = socket.next().await {
            message?;
        }
        Ok::<_, Error>(())
    };
    // Whether the peer agrees or not, the connection ends. Boxed, so that connections at work do not carry the size of this.
    let _ = tokio::time::timeout(CLOSE_PATIENCE, Box::pin(goodbye)).await;
}
