//! A connection: opened, negotiated, and closed when its last owner drops it.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use p2p_media_core::backend::{PeerConnection, PeerTransportError};
use rtc::ice::mdns::MulticastDnsMode;
use tokio::sync::{oneshot, watch};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{PeerConnection as Stack, RTCIceServer, RTCSessionDescription};

use super::channel::WebRtcChannel;
use super::connection_events::{ConnectionEvents, Progress, ProgressReport, ended};
use super::connection_settings::{self, FURTHER_GATHERING, GATHERING_LIMIT};
use super::farewells::Farewells;
use super::{in_own_task, remote_sdp, transport_error};

/// Longest wait for the other side to close its channel after ours.
const CHANNEL_CLOSING_LIMIT: Duration = Duration::from_millis(300);

/// A connection in the making. Dropping the last clone, and the channel it gave, closes it.
#[derive(Clone)]
pub struct WebRtcConnection {
    link: Arc<Link>,
    channel: Arc<Mutex<Option<PendingChannel>>>,
}

/// The data channel before it is open.
pub(super) enum PendingChannel {
    /// We made it with our offer.
    Ours(Arc<dyn DataChannel>),
    /// The offerer makes it.
    Theirs(oneshot::Receiver<Arc<dyn DataChannel>>),
}

/// Owns the stack's connection and closes it when dropped: the other side is told, and the socket is freed.
pub(super) struct Link {
    connection: Arc<dyn Stack>,
    report: ProgressReport,
    progress: watch::Receiver<Progress>,
    /// Once it is open.
    channel: OnceLock<Arc<dyn DataChannel>>,
    farewells: Farewells,
    runtime: tokio::runtime::Handle,
}

impl Link {
    /// A fresh connection, and the first channel that the other side will open on it.
    ///
    /// Made in a task of its own that runs to its end: a connection of the stack that is dropped half made would keep its sockets.
    pub(super) async fn open(
        ice_servers: Arc<[RTCIceServer]>,
        mdns: MulticastDnsMode,
        farewells: Farewells,
    ) -> Result<(Arc<Self>, oneshot::Receiver<Arc<dyn DataChannel>>), PeerTransportError> {
        let opened = tokio::spawn(async move {
            match Self::build(&ice_servers, mdns, farewells.clone()).await {
                // Multicast is not to be had everywhere; peers that hide behind mDNS names may then still reach us.
                Err(error) if mdns != MulticastDnsMode::Disabled => {
                    tracing::debug!("without mDNS: {error}");
                    Self::build(&ice_servers, MulticastDnsMode::Disabled, farewells).await
                }
                built => built,
            }
        });
        opened.await.unwrap_or_else(|error| Err(PeerTransportError(format!("the connection's task ended: {error}"))))
    }

    async fn build(
        ice_servers: &[RTCIceServer],
        mdns: MulticastDnsMode,
        farewells: Farewells,
    ) -> Result<(Arc<Self>, oneshot::Receiver<Arc<dyn DataChannel>>), PeerTransportError> {
        let report = ProgressReport::default();
        let (events, incoming) = ConnectionEvents::new(report.clone());
        let progress = report.subscribe();
        let connection = connection_settings::build(ice_servers, mdns, Arc::new(events), report.clone()).await.map_err(transport_error)?;
        let runtime = tokio::runtime::Handle::current();
        Ok((Arc::new(Self { connection, report, progress, channel: OnceLock::new(), farewells, runtime }), incoming))
    }

    pub(super) fn connection(&self) -> &dyn Stack {
        &*self.connection
    }

    /// Takes the other side's description; from now on the connection opens if this is the second one.
    pub(super) async fn set_remote(&self, description: RTCSessionDescription) -> Result<(), PeerTransportError> {
        self.report.set_opening(true);
        self.connection.set_remote_description(description).await.map_err(transport_error)
    }

    /// An error when the connection is of no use any more; the stack itself takes messages for a peer that is gone.
    pub(super) fn check(&self) -> Result<(), PeerTransportError> {
        self.progress.borrow().ended.map_or(Ok(()), |reason| Err(PeerTransportError(reason.to_owned())))
    }

    /// Resolves when the connection is of no use any more.
    pub(super) async fn ended(&self) -> PeerTransportError {
        ended(self.progress.clone()).await
    }

    /// Sets our description and gives it back with the candidates gathered, or with those known when the time for it is over.
    pub(super) async fn gather(&self, description: RTCSessionDescription) -> Result<String, PeerTransportError> {
        self.connection.set_local_description(description).await.map_err(transport_error)?;
        let mut progress = self.progress.clone();
        let gathered = async {
            let _ = progress.wait_for(|progress| progress.gathered || progress.reflexive || progress.ended.is_some()).await;
            let rest = progress.wait_for(|progress| progress.gathered || progress.ended.is_some());
            tokio::time::timeout(FURTHER_GATHERING, rest).await
        };
        if tokio::time::timeout(GATHERING_LIMIT, gathered).await.is_err() {
            tracing::debug!("ICE candidates were still missing after {GATHERING_LIMIT:?}");
        }
        let description = self.connection.local_description().await;
        description.map(|description| description.sdp).ok_or_else(|| PeerTransportError("there is no local description".to_owned()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let (connection, progress) = (Arc::clone(&self.connection), self.progress.clone());
        let (channel, farewell) = (self.channel.take(), self.farewells.begin());
        self.runtime.spawn(async move {
            let _farewell = farewell;
            // Ending the connection aborts SCTP, which browsers report as an error; a closed channel is none.
            if let Some(channel) = channel
                && progress.borrow().ended.is_none()
            {
                close_channel(&*channel, progress).await;
            }
            if let Err(error) = connection.close().await {
                tracing::debug!("closing a peer connection: {error}");
            }
        });
    }
}

/// Closes the channel and waits until the other side has done so too, or has ended the connection over it.
async fn close_channel(channel: &dyn DataChannel, progress: watch::Receiver<Progress>) {
    if channel.close().await.is_err() {
        return;
    }
    // Its own `OnClose` tells only that the stack has begun.
    let gone = async { while channel.poll().await.is_some() {} };
    tokio::select! {
        () = gone => {}
        _ = ended(progress) => {}
        () = tokio::time::sleep(CHANNEL_CLOSING_LIMIT) => {}
    }
}

impl WebRtcConnection {
    pub(super) fn new(link: Arc<Link>, channel: PendingChannel) -> Self {
        Self { link, channel: Arc::new(Mutex::new(Some(channel))) }
    }

    async fn open_channel(&self, pending: PendingChannel) -> Result<WebRtcChannel, PeerTransportError> {
        let closed = || PeerTransportError("the data channel closed before it was open".to_owned());
        let channel = match pending {
            PendingChannel::Ours(channel) => channel,
            PendingChannel::Theirs(incoming) => incoming.await.map_err(|_| closed())?,
        };
        loop {
            match channel.poll().await {
                Some(DataChannelEvent::OnOpen) => {
                    self.link.report.set_opening(false);
                    let _ = self.link.channel.set(Arc::clone(&channel));
                    return Ok(WebRtcChannel::new(channel, Arc::clone(&self.link)));
                }
                Some(DataChannelEvent::OnClose) | None => return Err(closed()),
                Some(_) => {}
            }
        }
    }
}

impl PeerConnection for WebRtcConnection {
    type Channel = WebRtcChannel;

    async fn accept_answer(&self, answer_sdp: String) -> Result<(), PeerTransportError> {
        let link = Arc::clone(&self.link);
        in_own_task(async move {
            let answer = remote_sdp::limited(&answer_sdp)?;
            let answer = RTCSessionDescription::answer(answer.sdp).map_err(transport_error)?;
            link.set_remote(answer).await
        })
        .await
    }

    async fn channel(&self) -> Result<WebRtcChannel, PeerTransportError> {
        let pending = self.channel.lock().unwrap_or_else(PoisonError::into_inner).take();
        let pending = pending.ok_or_else(|| PeerTransportError("the data channel was asked for twice".to_owned()))?;
        tokio::select! {
            channel = self.open_channel(pending) => channel,
            error = self.link.ended() => Err(error),
        }
    }
}

impl fmt::Debug for WebRtcConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WebRtcConnection").finish_non_exhaustive()
    }
}
