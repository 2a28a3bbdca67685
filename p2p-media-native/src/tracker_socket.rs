//! Websockets to trackers by tokio-tungstenite, plain or over TLS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use p2p_media_core::backend::{Tracker, TrackerConnection, TrackerError};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::error_chain::error_chain;
use crate::tls;

/// Longest message taken from a tracker, in bytes. An announcement relays one SDP of a few KiB.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// How long the closing handshake may take before the connection is simply dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects to trackers.
#[derive(Clone, Debug)]
pub struct WebSocketTracker {
    tls: Arc<ClientConfig>,
}

/// An open websocket. When the last clone is dropped a close frame is sent.
#[derive(Clone)]
pub struct WebSocketConnection(Arc<SharedSocket>);

struct SharedSocket {
    // `None` only while dropping.
    sink: Mutex<Option<SplitSink<Socket, Message>>>,
    stream: Mutex<SplitStream<Socket>>,
    runtime: tokio::runtime::Handle,
}

impl WebSocketTracker {
    /// A client that trusts the system's certificate authorities.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, TrackerError> {
        Ok(Self::with_tls(tls::client_config(&[]).map_err(|error| TrackerError(format!("TLS: {error}")))?))
    }

    pub(crate) fn with_tls(tls: ClientConfig) -> Self {
        Self { tls: Arc::new(tls) }
    }
}

impl Tracker for WebSocketTracker {
    type Connection = WebSocketConnection;

    async fn connect(&self, url: Arc<str>) -> Result<WebSocketConnection, TrackerError> {
        let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES)).max_frame_size(Some(MAX_MESSAGE_BYTES));
        let without_delay = true;
        let connector = Connector::Rustls(Arc::clone(&self.tls));
        let (socket, _response) =
            connect_async_tls_with_config(&*url, Some(config), without_delay, Some(connector)).await.map_err(tracker_error)?;
        let (sink, stream) = socket.split();
        let runtime = tokio::runtime::Handle::current();
        Ok(WebSocketConnection(Arc::new(SharedSocket { sink: Mutex::new(Some(sink)), stream: Mutex::new(stream), runtime })))
    }
}

impl TrackerConnection for WebSocketConnection {
    async fn send(&self, text: String) -> Result<(), TrackerError> {
        match self.0.sink.lock().await.as_mut() {
            Some(sink) => sink.send(Message::text(text)).await.map_err(tracker_error),
            None => Ok(()),
        }
    }

    async fn receive(&self) -> Result<Option<String>, TrackerError> {
        // Held while waiting: one task receives, and pings are answered by tungstenite as they are read.
        let mut stream = self.0.stream.lock().await;
        loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Some(text.as_str().to_owned())),
                Some(Ok(Message::Close(_))) | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(tracker_error(error)),
            }
        }
    }
}

impl fmt::Debug for WebSocketConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WebSocketConnection").finish_non_exhaustive()
    }
}

impl Drop for SharedSocket {
    fn drop(&mut self) {
        if let Some(mut sink) = self.sink.get_mut().take() {
            self.runtime.spawn(async move { tokio::time::timeout(CLOSE_TIMEOUT, sink.close()).await });
        }
    }
}

fn tracker_error(error: Error) -> TrackerError {
    TrackerError(error_chain(&error))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    use super::*;

    /// A tracker at the given URL that greets, pings, echoes one message and sends a binary frame before its end.
    async fn tracker() -> (Arc<str>, tokio::task::JoinHandle<Vec<Message>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Arc::from(format!("ws://{}/announce", listener.local_addr().unwrap()));
        let served = tokio::spawn(async move {
            let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
            socket.send(Message::Ping("are you there".into())).await.unwrap();
            socket.send(Message::text("hello")).await.unwrap();
            let mut received = Vec::new();
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = &message {
                    socket.send(Message::binary("ignored")).await.unwrap();
                    socket.send(Message::Text(text.clone())).await.unwrap();
                }
                received.push(message);
            }
            received
        });
        (url, served)
    }

    #[tokio::test]
    async fn text_goes_both_ways_pings_are_answered_and_dropping_closes() {
        let (url, served) = tracker().await;
        let connection = WebSocketTracker::new().unwrap().connect(url).await.unwrap();
        assert_eq!(connection.receive().await.unwrap().as_deref(), Some("hello"));
        connection.clone().send("announce".to_owned()).await.unwrap();
        assert_eq!(connection.receive().await.unwrap().as_deref(), Some("announce"));
        drop(connection);
        let received = served.await.unwrap();
        assert!(received.contains(&Message::Pong("are you there".into())), "{received:?}");
        assert!(received.contains(&Message::text("announce")) && matches!(received.last(), Some(Message::Close(_))), "{received:?}");
    }

    #[tokio::test]
    async fn a_tracker_that_closes_ends_the_messages_and_a_long_one_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Arc<str> = Arc::from(format!("ws://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move {
            let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
            socket.close(None).await.unwrap();
            let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
            socket.send(Message::text("x".repeat(MAX_MESSAGE_BYTES + 1))).await.unwrap();
            while socket.next().await.is_some() {}
        });
        let tracker = WebSocketTracker::new().unwrap();
        assert_eq!(tracker.connect(Arc::clone(&url)).await.unwrap().receive().await, Ok(None));
        assert!(tracker.connect(url).await.unwrap().receive().await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_tracker_is_an_error() {
        let tracker = WebSocketTracker::new().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(tracker.connect(Arc::from(format!("ws://{closed}"))).await.is_err());
        assert!(tracker.connect(Arc::from("http:no")).await.is_err());
    }
}
