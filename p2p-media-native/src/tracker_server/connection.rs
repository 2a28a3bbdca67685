//! One websocket: a single small task that writes what is in the outbox and hands over what comes in.
//!
//! Frames are read and written through buffers that all connections of a thread share, so an idle connection has none: that is what makes
//! room for many.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::frames::{self, Frame, FrameDecoder, FrameError};
use super::message::Id;
use super::outbox::{CloseReason, Outbox, Outgoing};
use super::tracker::Tracker;

/// Bytes read at a time into the buffer of the thread.
const READ_BYTES: usize = 64 * 1024;

/// Bytes read at a time while a frame is incomplete, into a buffer of the connection.
const READ_MORE_BYTES: usize = 4 * 1024;

/// Bytes collected before they are written; what waits beyond it waits in the outbox.
const WRITE_BYTES: usize = 32 * 1024;

/// Reads before other tasks get a turn.
const READS_PER_TURN: usize = 4;

/// Senseless messages after which a connection is closed.
const MAX_SENSELESS_MESSAGES: usize = 10;

/// How long a peer may take to agree to the end of a connection, and what it may still send meanwhile.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
const CLOSE_PATIENCE_BYTES: u64 = 1024 * 1024;

thread_local! {
    /// The buffers of the connections that run on this thread. Each is taken out while it is in use, and lies here empty.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITE_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

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
    let decoder = FrameDecoder::new(limits.message_bytes);
    let connection = Arc::new(Connection::new(address, limits.outbox_bytes));
    let id = tracker.join(&connection);
    let mut peer = Peer {
        tracker,
        connection,
        stream,
        decoder,
        input: Vec::new(),
        output: Vec::new(),
        flushed: true,
        pong: None,
        memberships: Vec::new(),
        senseless: 0,
    };
    let end = match peer.handle_input(already_read, false) {
        Ok(()) => poll_fn(|cx| peer.poll(cx)).await,
        Err(end) => end,
    };
    peer.tracker.leave(id, &peer.connection, &peer.memberships);
    // A peer that closes sends nothing after that; of one that is closed there may be more on its way.
    let ((code, reason), still_sends) = match end {
        End::Gone => return,
        End::ClosedByPeer(code) => ((code.unwrap_or(CloseCode::Normal), ""), false),
        End::Close(reason) => {
            tracing::debug!(%address, ?reason, "closing a connection");
            (reason.as_close(), true)
        }
    };
    frames::push_close(&mut peer.output, code, reason);
    // Boxed, so that connections at work do not carry the size of this. Whether the peer agrees in time or not, the connection ends.
    let _ = tokio::time::timeout(CLOSE_PATIENCE, Box::pin(say_goodbye(peer.stream, peer.output, still_sends))).await;
}

struct Peer<S> {
    tracker: Arc<Tracker>,
    connection: Arc<Connection>,
    stream: S,
    decoder: FrameDecoder,
    /// The beginning of a frame.
    input: Vec<u8>,
    /// What the peer did not take yet of what was begun to be written.
    output: Vec<u8>,
    flushed: bool,
    /// The payload of the latest ping that is not answered yet; earlier ones need no answer (RFC 6455, section 5.5.3).
    pong: Option<Vec<u8>>,
    memberships: Memberships,
    senseless: usize,
}

/// How a connection ends.
#[derive(Debug)]
enum End {
    /// Without a word.
    Gone,
    /// The peer said so.
    ClosedByPeer(Option<CloseCode>),
    /// We say so.
    Close(CloseReason),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Writes and reads as far as possible.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.connection.outbox.register(cx.waker());
        for _ in 0..READS_PER_TURN {
            if let Poll::Ready(Err(end)) = self.poll_write(cx) {
                return Poll::Ready(end);
            }
            if let Err(end) = ready!(self.poll_read(cx)) {
                return Poll::Ready(end);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is in the outbox.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            let shared = self.output.is_empty();
            let mut out = if shared { WRITE_BUFFER.take() } else { std::mem::take(&mut self.output) };
            let ended = self.collect(&mut out);
            let (written, result) = self.poll_write_out(cx, &out);
            if shared {
                // Bytes of a frame that was begun must be kept, or the next frame would make no sense.
                self.output = out[written..].to_vec();
                out.clear();
                WRITE_BUFFER.set(out);
            } else if written < out.len() {
                out.drain(..written);
                self.output = out;
            }
            ended?;
            if ready!(result)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes from the outbox as much as is written at a time.
    fn collect(&mut self, out: &mut Vec<u8>) -> Result<(), End> {
        while out.len() < WRITE_BYTES {
            if let Some(payload) = self.pong.take() {
                frames::push_pong(out, &payload);
            }
            match self.connection.outbox.pop() {
                Some(Outgoing::Message(text)) => frames::push_text(out, &text),
                Some(Outgoing::Ping) => frames::push_ping(out),
                Some(Outgoing::Close(reason)) => return Err(End::Close(reason)),
                None => return Ok(()),
            }
        }
        // Only as long as the peer reads nothing: then the reason to close it must still be seen.
        self.connection.outbox.closing().map_or(Ok(()), |reason| Err(End::Close(reason)))
    }

    /// How much was written, and how it went on after that: `Ready(Ok)` repeats the number when everything is on its way.
    fn poll_write_out(&mut self, cx: &mut Context<'_>, out: &[u8]) -> (usize, Poll<Result<usize, End>>) {
        let mut written = 0;
        while written < out.len() {
            self.flushed = false;
            match Pin::new(&mut self.stream).poll_write(cx, &out[written..]) {
                Poll::Ready(Ok(0) | Err(_)) => return (written, Poll::Ready(Err(End::Gone))),
                Poll::Ready(Ok(bytes)) => written += bytes,
                Poll::Pending => return (written, Poll::Pending),
            }
        }
        if !self.flushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(_)) => return (written, Poll::Ready(Err(End::Gone))),
                Poll::Pending => return (written, Poll::Pending),
            }
        }
        (written, Poll::Ready(Ok(written)))
    }

    /// Reads once and handles every message that is complete then.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let shared = self.input.is_empty();
        let mut buffer = if shared { READ_BUFFER.take() } else { std::mem::take(&mut self.input) };
        buffer.reserve(if shared { READ_BYTES } else { READ_MORE_BYTES });
        let read = pin!(self.stream.read_buf(&mut buffer)).poll(cx);
        match read {
            Poll::Ready(Ok(1..)) => Poll::Ready(self.handle_input(buffer, shared)),
            Poll::Ready(_) => Poll::Ready(Err(End::Gone)),
            Poll::Pending if shared => {
                READ_BUFFER.set(buffer);
                Poll::Pending
            }
            Poll::Pending => {
                self.input = buffer;
                Poll::Pending
            }
        }
    }

    /// Handles every complete message in a buffer and keeps the rest. A shared buffer goes back to the thread.
    fn handle_input(&mut self, mut buffer: Vec<u8>, shared: bool) -> Result<(), End> {
        let mut handled = 0;
        let result = loop {
            match self.decoder.decode(&mut buffer[handled..]) {
                Ok(None) => break Ok(()),
                Err(error) => break Err(End::Close(error.into())),
                Ok(Some((length, frame))) => {
                    handled += length;
                    self.connection.heard();
                    match frame {
                        Frame::Message(message) => self.handle_message(&message),
                        Frame::Ping(payload) => self.pong = Some(payload.to_vec()),
                        Frame::Pong | Frame::Fragment => {}
                        Frame::Close(code) => break Err(End::ClosedByPeer(code.filter(|code| code.is_allowed()))),
                    }
                }
            }
        };
        if shared {
            self.input = buffer[handled..].to_vec();
            buffer.clear();
            READ_BUFFER.set(buffer);
        } else if handled < buffer.len() {
            buffer.drain(..handled);
            self.input = buffer;
        }
        result
    }

    fn handle_message(&mut self, text: &[u8]) {
        if !self.tracker.handle(text, &self.connection, &mut self.memberships) {
            self.senseless += 1;
            if self.senseless >= MAX_SENSELESS_MESSAGES {
                self.connection.outbox.close(CloseReason::Nonsense);
            }
        }
    }
}

impl From<FrameError> for CloseReason {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Protocol => Self::ProtocolError,
            FrameError::MessageTooLarge => Self::MessageTooLarge,
        }
    }
}

impl CloseReason {
    fn as_close(self) -> (CloseCode, &'static str) {
        match self {
            Self::ShuttingDown => (CloseCode::Away, "the tracker stops"),
            Self::Unresponsive => (CloseCode::Away, "no sign of life"),
            Self::NotReading => (CloseCode::Policy, "replies are not read"),
            Self::Nonsense => (CloseCode::Policy, "too many invalid messages"),
            Self::ProtocolError => (CloseCode::Protocol, "not a valid websocket frame"),
            Self::MessageTooLarge => (CloseCode::Size, "message too large"),
        }
    }
}

/// Writes the last frame. Of a peer that still sends everything is read until it closes its side: closing with unread bytes would destroy
/// what is on its way to the peer.
async fn say_goodbye<S>(mut stream: S, last: Vec<u8>, still_sends: bool) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&last).await?;
    stream.shutdown().await?;
    if still_sends {
        tokio::io::copy(&mut stream.take(CLOSE_PATIENCE_BYTES), &mut tokio::io::sink()).await?;
    }
    Ok(())
}
