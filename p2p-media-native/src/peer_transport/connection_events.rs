//! What the stack reports about a connection, as a state that others wait on. Every report returns at once: the stack waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use p2p_media_core::backend::PeerTransportError;
use tokio::sync::{oneshot, watch};
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCIceCandidateType, RTCIceGatheringState, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// All local candidates are known.
    pub(super) gathered: bool,
    /// A server has told us how others see us.
    pub(super) reflexive: bool,
    /// Both descriptions are there, and the data channel is not open yet.
    pub(super) opening: bool,
    /// Why it is of no use any more.
    pub(super) ended: Option<&'static str>,
}

/// Sets the state; the first reason for an end stays.
#[derive(Clone, Debug, Default)]
pub(super) struct ProgressReport(watch::Sender<Progress>);

impl ProgressReport {
    pub(super) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }

    pub(super) fn end(&self, reason: &'static str) {
        self.0.send_if_modified(|progress| {
            let first = progress.ended.is_none();
            progress.ended.get_or_insert(reason);
            first
        });
    }

    /// Both descriptions are there, or the data channel is open.
    pub(super) fn set_opening(&self, opening: bool) {
        self.0.send_modify(|progress| progress.opening = opening);
    }

    pub(super) fn is_opening(&self) -> bool {
        let progress = self.0.borrow();
        progress.opening && progress.ended.is_none()
    }

    fn set(&self, flag: impl FnOnce(&mut Progress) -> &mut bool) {
        self.0.send_if_modified(|progress| !std::mem::replace(flag(progress), true));
    }
}

/// Waits until the connection is of no use any more, and says why.
pub(super) async fn ended(mut progress: watch::Receiver<Progress>) -> PeerTransportError {
    let reason = match progress.wait_for(|progress| progress.ended.is_some()).await {
        Ok(progress) => progress.ended,
        Err(_) => None,
    };
    PeerTransportError(reason.unwrap_or("the connection is gone").to_owned())
}

/// The stack's reports of one connection.
pub(super) struct ConnectionEvents {
    progress: ProgressReport,
    // The first channel that the other side opens goes here.
    incoming: Mutex<Option<oneshot::Sender<Arc<dyn DataChannel>>>>,
}

impl ConnectionEvents {
    pub(super) fn new(progress: ProgressReport) -> (Self, oneshot::Receiver<Arc<dyn DataChannel>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { progress, incoming: Mutex::new(Some(sender)) }, receiver)
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for ConnectionEvents {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if matches!(event.candidate.typ, RTCIceCandidateType::Srflx | RTCIceCandidateType::Relay) {
            self.progress.set(|progress| &mut progress.reflexive);
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.progress.set(|progress| &mut progress.gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Failed => self.progress.end("the connection failed: the peer cannot be reached (any more)"),
            RTCPeerConnectionState::Closed => self.progress.end("the connection was closed"),
            _ => {}
        }
    }

    async fn on_data_channel(&self, data_channel: Arc<dyn DataChannel>) {
        let waiting = self.incoming.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A further channel would fill with messages that nobody reads; no implementation of the protocol opens one.
        if waiting.is_none_or(|waiting| waiting.send(data_channel).is_err()) {
            self.progress.end("the peer opened a data channel that was not expected");
        }
    }
}
