//! Errors that say who is to blame: the peer, the tracker, the origin or the caller.

use crate::peer_protocol::PeerMisbehaved;

/// Why a player does not get a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The caller asked for a segment that no stream has.
    #[error("the segment is not part of any registered stream")]
    UnknownSegment,
    /// The origin answered with an error, and so did every retry.
    #[error("the origin failed: {0}")]
    Origin(String),
    /// The origin does not have the segment, or refuses it.
    #[error("the origin answered with status {0}")]
    OriginStatus(u16),
    /// The segment, its stream or the session went away while it was waited for.
    #[error("the segment was removed while it was being loaded")]
    Removed,
    /// Every source gave bytes that the caller's validator refused.
    #[error("the segment's bytes were refused by the validator")]
    Refused,
    /// The session ended.
    #[error("the session has ended")]
    SessionEnded,
}

/// Why one attempt to load a segment ended without its bytes; another source may follow. The names are the official library's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// `http-error`: the origin answered with an error status, or the connection failed.
    #[error("http error: {0}")]
    Http(String),
    /// `http-bytes-mismatch`: the origin gave other bytes than asked for.
    #[error("the origin sent {got} bytes where {expected} were to come")]
    HttpBytesMismatch {
        /// Bytes that were to come.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// `http-unexpected-status-code`.
    #[error("the origin answered with status {0}")]
    HttpStatus(u16),
    /// `bytes-receiving-timeout`: no bytes for the configured time.
    #[error("no bytes came in time")]
    BytesReceivingTimeout,
    /// `peer-segment-absent`: the peer does not have what it announced.
    #[error("the peer does not have the segment")]
    PeerSegmentAbsent,
    /// `peer-closed`: the connection ended.
    #[error("the peer's connection closed")]
    PeerClosed,
    /// `peer-protocol-violation` or `peer-response-bytes-length-mismatch`.
    #[error("the peer broke the protocol: {0}")]
    PeerMisbehaved(PeerMisbehaved),
    /// `http-segment-validation-failed` or `p2p-segment-validation-failed`.
    #[error("the validator refused the bytes")]
    ValidationFailed,
}

/// Why we end a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(#[from] PeerMisbehaved),
    /// The peer sent bytes that the validator refused.
    #[error("the peer sent wrong bytes")]
    WrongBytes,
    /// The peer let too many requests time out.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// Another connection to the same peer is kept instead.
    #[error("a second connection to the same peer")]
    Duplicate,
    /// The offer was not taken, or the handshake not finished, in time.
    #[error("the handshake took too long")]
    HandshakeExpired,
    /// A more useful peer takes its place.
    #[error("replaced by a more useful peer")]
    Replaced,
    /// We leave the swarm.
    #[error("left the swarm")]
    Left,
}
