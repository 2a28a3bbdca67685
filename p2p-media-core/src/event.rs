//! What the engine tells the user: the eleven events of the official library, and a snapshot of figures.

use std::sync::Arc;

use crate::error::RequestError;
use crate::identity::PeerId;
use crate::media::{SegmentId, StreamKey, StreamKind};

/// Where bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentSource {
    /// The origin.
    Http,
    /// A peer.
    P2p,
}

/// Which segment an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSegment {
    /// Its stream.
    pub stream: StreamKey,
    /// Main or secondary.
    pub kind: StreamKind,
    /// Its number.
    pub id: SegmentId,
    /// Its URL.
    pub url: Arc<str>,
}

/// Something the user may want to know. The official name of each is in its text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// `onSegmentStart`: an attempt to load a segment begins.
    SegmentStarted {
        /// Which.
        segment: EventSegment,
        /// From where.
        source: SegmentSource,
        /// From which peer, for P2P.
        peer: Option<PeerId>,
    },
    /// `onSegmentLoaded`: all bytes are here.
    SegmentLoaded {
        /// Which.
        segment: EventSegment,
        /// Where the last byte came from.
        source: SegmentSource,
        /// The peer that sent it, for P2P.
        peer: Option<PeerId>,
        /// Size of the segment.
        bytes: u64,
        /// Milliseconds from the start of the first attempt.
        duration_ms: f64,
    },
    /// `onSegmentError`: an attempt failed.
    SegmentError {
        /// Which.
        segment: EventSegment,
        /// From where.
        source: SegmentSource,
        /// From which peer, for P2P.
        peer: Option<PeerId>,
        /// Why.
        error: RequestError,
    },
    /// `onSegmentAbort`: an attempt was given up by us.
    SegmentAborted {
        /// Which.
        segment: EventSegment,
        /// From where.
        source: SegmentSource,
        /// From which peer, for P2P.
        peer: Option<PeerId>,
    },
    /// `onPeerConnect`.
    PeerConnected {
        /// Who.
        peer: PeerId,
        /// The kind of stream it shares.
        kind: StreamKind,
    },
    /// `onPeerClose`.
    PeerClosed {
        /// Who.
        peer: PeerId,
        /// The kind of stream it shared.
        kind: StreamKind,
    },
    /// `onPeerError`.
    PeerError {
        /// Who.
        peer: PeerId,
        /// The kind of stream it shared.
        kind: StreamKind,
        /// What went wrong.
        error: String,
    },
    /// `onChunkDownloaded`: media bytes came in.
    ChunkDownloaded {
        /// How many.
        bytes: usize,
        /// From where.
        source: SegmentSource,
        /// From which peer, for P2P.
        peer: Option<PeerId>,
    },
    /// `onChunkUploaded`: media bytes left for a peer.
    ChunkUploaded {
        /// How many.
        bytes: usize,
        /// To whom.
        peer: PeerId,
    },
    /// `onTrackerError`.
    TrackerError {
        /// The tracker's URL.
        tracker: Arc<str>,
        /// What went wrong.
        error: String,
    },
    /// `onTrackerWarning`.
    TrackerWarning {
        /// The tracker's URL.
        tracker: Arc<str>,
        /// What it said.
        warning: String,
    },
}

/// Figures since the session began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Media bytes from the origin.
    pub http_bytes: u64,
    /// Media bytes from peers.
    pub p2p_bytes: u64,
    /// Media bytes sent to peers.
    pub uploaded_bytes: u64,
    /// Media bytes given to the player.
    pub delivered_bytes: u64,
    /// Segments wholly received.
    pub segments_loaded: u64,
    /// Peers connected now.
    pub peers: usize,
    /// Most peers connected at one time.
    pub peers_max: usize,
    /// Segments held now.
    pub stored_segments: usize,
    /// Bytes held now.
    pub stored_bytes: u64,
    /// Connections closed because the peer misbehaved.
    pub peers_misbehaved: u64,
    /// Trackers whose connection is open now.
    pub trackers_connected: usize,
    /// Requests to the origin for segments.
    pub http_requests: u64,
    /// Requests to peers for segments.
    pub p2p_requests: u64,
}
