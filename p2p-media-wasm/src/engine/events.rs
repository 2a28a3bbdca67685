//! The engine's events on their way to the page.

use futures::StreamExt as _;
use js_sys::JsString;
use p2p_media_core::error::RequestError;
use p2p_media_core::event::{Event, EventSegment, SegmentSource};
use p2p_media_core::identity::PeerId;
use p2p_media_core::media::StreamKind;
use p2p_media_core::peer_protocol::PeerMisbehaved;
use p2p_media_core::session::EventStream;

use super::host::Host;

/// Peers' ids that are kept as strings of the page.
const KEPT_PEER_IDS: usize = 128;

/// Tells the page everything until the session ends.
pub(super) async fn tell(host: Host, mut events: EventStream) {
    let mut peer_ids = PeerIds(Vec::new());
    while let Some(event) = events.next().await {
        tell_one(&host, &mut peer_ids, event);
    }
}

/// Ids as strings of the page. There is an event for every chunk: to make them anew each time is most of what an event costs.
struct PeerIds(Vec<(PeerId, JsString)>);

impl PeerIds {
    fn text_of(&mut self, peer: PeerId) -> JsString {
        if let Some((_, text)) = self.0.iter().find(|(known, _)| *known == peer) {
            return text.clone();
        }
        if self.0.len() == KEPT_PEER_IDS {
            self.0.clear();
        }
        let text = JsString::from(peer.to_string());
        self.0.push((peer, text.clone()));
        text
    }
}

fn tell_one(host: &Host, peer_ids: &mut PeerIds, event: Event) {
    let mut text_of = |peer: Option<PeerId>| peer.map(|peer| peer_ids.text_of(peer));
    match event {
        Event::SegmentStarted { segment, source, peer } => of_segment(host, "onSegmentStart", &segment, source, text_of(peer), 0.0, None),
        Event::SegmentLoaded { segment, source, peer, bytes, .. } => {
            of_segment(host, "onSegmentLoaded", &segment, source, text_of(peer), bytes as f64, None);
        }
        Event::SegmentError { segment, source, peer, error } => {
            of_segment(host, "onSegmentError", &segment, source, text_of(peer), 0.0, Some(official_name(&error, source).to_owned()));
        }
        Event::SegmentAborted { segment, source, peer } => of_segment(host, "onSegmentAbort", &segment, source, text_of(peer), 0.0, None),
        Event::PeerConnected { peer, kind } => of_peer(host, "onPeerConnect", text_of(Some(peer)), kind, None),
        Event::PeerClosed { peer, kind } => of_peer(host, "onPeerClose", text_of(Some(peer)), kind, None),
        Event::PeerError { peer, kind, error } => of_peer(host, "onPeerError", text_of(Some(peer)), kind, Some(error)),
        Event::ChunkDownloaded { bytes, source, peer } => {
            let from_peer = source == SegmentSource::P2p;
            host.event("onChunkDownloaded", false, None, None, from_peer, text_of(peer), bytes as f64, None);
        }
        Event::ChunkUploaded { bytes, peer } => {
            host.event("onChunkUploaded", false, None, None, true, text_of(Some(peer)), bytes as f64, None);
        }
        Event::TrackerError { tracker, error } => of_tracker(host, "onTrackerError", &tracker, &error),
        Event::TrackerWarning { tracker, warning } => of_tracker(host, "onTrackerWarning", &tracker, &warning),
        // Events that the official library does not have are not told.
        _ => {}
    }
}

fn of_segment(
    host: &Host,
    name: &str,
    segment: &EventSegment,
    source: SegmentSource,
    peer: Option<JsString>,
    amount: f64,
    text: Option<String>,
) {
    let (secondary, from_peer) = (segment.kind == StreamKind::Secondary, source == SegmentSource::P2p);
    host.event(name, secondary, Some(segment.stream.0), Some(segment.id.0 as f64), from_peer, peer, amount, text);
}

fn of_peer(host: &Host, name: &str, peer: Option<JsString>, kind: StreamKind, text: Option<String>) {
    host.event(name, kind == StreamKind::Secondary, None, None, true, peer, 0.0, text);
}

fn of_tracker(host: &Host, name: &str, tracker: &str, text: &str) {
    host.event(name, false, None, None, false, None, 0.0, Some([tracker, ": ", text].concat()));
}

/// What the official library calls such an error.
fn official_name(error: &RequestError, source: SegmentSource) -> &'static str {
    match error {
        RequestError::HttpBytesMismatch { .. } => "http-bytes-mismatch",
        RequestError::HttpStatus(_) => "http-unexpected-status-code",
        RequestError::BytesReceivingTimeout => "bytes-receiving-timeout",
        RequestError::PeerSegmentAbsent => "peer-segment-absent",
        RequestError::PeerClosed => "peer-closed",
        RequestError::PeerMisbehaved(PeerMisbehaved::WrongLength { .. } | PeerMisbehaved::TooMuchPayload { .. }) => {
            "peer-response-bytes-length-mismatch"
        }
        RequestError::PeerMisbehaved(_) => "peer-protocol-violation",
        RequestError::ValidationFailed if source == SegmentSource::P2p => "p2p-segment-validation-failed",
        RequestError::ValidationFailed => "http-segment-validation-failed",
        _ => "http-error",
    }
}
