//! The engine's events on their way to the page.

use futures::StreamExt as _;
use p2p_media_core::error::RequestError;
use p2p_media_core::event::{Event, EventSegment, SegmentSource};
use p2p_media_core::identity::PeerId;
use p2p_media_core::media::StreamKind;
use p2p_media_core::peer_protocol::PeerMisbehaved;
use p2p_media_core::session::EventStream;

use super::host::Host;

/// Tells the page everything until the session ends.
pub(super) async fn tell(host: Host, mut events: EventStream) {
    while let Some(event) = events.next().await {
        tell_one(&host, event);
    }
}

fn tell_one(host: &Host, event: Event) {
    match event {
        Event::SegmentStarted { segment, source, peer } => of_segment(host, "onSegmentStart", &segment, source, peer, 0.0, None),
        Event::SegmentLoaded { segment, source, peer, bytes, .. } => {
            of_segment(host, "onSegmentLoaded", &segment, source, peer, bytes as f64, None);
        }
        Event::SegmentError { segment, source, peer, error } => {
            of_segment(host, "onSegmentError", &segment, source, peer, 0.0, Some(official_name(&error, source).to_owned()));
        }
        Event::SegmentAborted { segment, source, peer } => of_segment(host, "onSegmentAbort", &segment, source, peer, 0.0, None),
        Event::PeerConnected { peer, kind } => of_peer(host, "onPeerConnect", peer, kind, None),
        Event::PeerClosed { peer, kind } => of_peer(host, "onPeerClose", peer, kind, None),
        Event::PeerError { peer, kind, error } => of_peer(host, "onPeerError", peer, kind, Some(error)),
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
    peer: Option<PeerId>,
    amount: f64,
    text: Option<String>,
) {
    let (secondary, from_peer) = (segment.kind == StreamKind::Secondary, source == SegmentSource::P2p);
    host.event(name, secondary, Some(segment.stream.0), Some(segment.id.0 as f64), from_peer, text_of(peer), amount, text);
}

fn of_peer(host: &Host, name: &str, peer: PeerId, kind: StreamKind, text: Option<String>) {
    host.event(name, kind == StreamKind::Secondary, None, None, true, text_of(Some(peer)), 0.0, text);
}

fn of_tracker(host: &Host, name: &str, tracker: &str, text: &str) {
    host.event(name, false, None, None, false, None, 0.0, Some([tracker, ": ", text].concat()));
}

fn text_of(peer: Option<PeerId>) -> Option<String> {
    peer.map(|peer| peer.to_string())
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
