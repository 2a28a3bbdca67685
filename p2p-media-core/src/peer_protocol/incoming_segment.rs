//! The rules of one download over one connection: which messages belong to it, and which of them end the connection.

use bytes::Bytes;

use super::{Command, PeerMisbehaved, RequestId};
use crate::media::SegmentId;

/// Largest segment that is taken from a peer, in bytes: 20 s at 100 Mbit/s.
pub const MAX_SEGMENT_BYTES: u64 = 256 * 1024 * 1024;

/// One segment being downloaded from one peer, from the request to its end. The engine's connection to that peer has at most one, feeds it
/// every command and payload ([`super::MessageReader`] tells which), and keeps the time.
///
/// The rules are the official peer's, so that no correct peer is ever dropped:
/// payload, data and completion that do not belong to this request are left alone until the matching [`Command::Data`], because they may be
/// late messages of a download that was cancelled; from then on the channel, being ordered, can bring nothing but this download.
#[derive(Clone, Debug)]
pub struct IncomingSegment {
    segment: SegmentId,
    request: RequestId,
    first_byte: u64,
    total: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Requested; no matching data command yet.
    Requested,
    /// Payload is coming; so many bytes are missing.
    Receiving(u64),
    /// Completed, absent or violated: everything else is somebody else's.
    Ended,
}

/// What a message meant to a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncomingStep {
    /// Nothing: it does not belong to this download.
    Ignored,
    /// The peer accepts; so many bytes will come.
    Started {
        /// Bytes to come.
        remaining: u64,
    },
    /// The next bytes of the segment, in order.
    Bytes(Bytes),
    /// All bytes are there and the peer confirmed it. The download has ended.
    Completed,
    /// The peer does not have the segment. The download has ended.
    Absent,
    /// The connection must be closed. The download has ended.
    Violation(PeerMisbehaved),
}

impl IncomingSegment {
    /// A download that has just been requested: `first_byte` as in the request, `total` the segment's size when it is known. Only ask for
    /// the rest of a segment (`first_byte` > 0) when the size is known: whatever the peer then says is checked against it. Without a known
    /// size the peer's word is taken.
    pub const fn new(segment: SegmentId, request: RequestId, first_byte: u64, total: Option<u64>) -> Self {
        Self { segment, request, first_byte, total, state: State::Requested }
    }

    /// The segment asked for.
    pub const fn segment(&self) -> SegmentId {
        self.segment
    }

    /// The request's number, to cancel it by.
    pub const fn request(&self) -> RequestId {
        self.request
    }

    /// The size of the whole segment, once it is known from the caller or the peer.
    pub const fn total(&self) -> Option<u64> {
        self.total
    }

    /// True from the matching data command on.
    pub const fn is_receiving(&self) -> bool {
        matches!(self.state, State::Receiving(_))
    }

    /// Payload that must still come, in bytes; 0 before the peer said how many, and after the end.
    pub const fn remaining(&self) -> u64 {
        match self.state {
            State::Receiving(missing) => missing,
            State::Requested | State::Ended => 0,
        }
    }

    /// A command arrived.
    pub fn on_command(&mut self, command: &Command) -> IncomingStep {
        let ours = |segment: SegmentId, request: RequestId| segment == self.segment && request == self.request;
        match (self.state, command) {
            (State::Requested, Command::Data { segment, request, remaining }) if ours(*segment, *request) => self.start(*remaining),
            (State::Receiving(missing), Command::Completed { segment, request }) => match missing {
                _ if !ours(*segment, *request) => self.violated(PeerMisbehaved::CompletedOther),
                0 => self.ended(IncomingStep::Completed),
                missing => self.violated(PeerMisbehaved::CompletedEarly { missing }),
            },
            (State::Requested | State::Receiving(_), Command::Absent { segment, request }) if ours(*segment, *request) => {
                self.ended(IncomingStep::Absent)
            }
            _ => IncomingStep::Ignored,
        }
    }

    /// Payload arrived.
    pub fn on_payload(&mut self, payload: Bytes) -> IncomingStep {
        let State::Receiving(missing) = self.state else { return IncomingStep::Ignored };
        let arrived = payload.len() as u64;
        match missing.checked_sub(arrived) {
            Some(missing) => {
                self.state = State::Receiving(missing);
                IncomingStep::Bytes(payload)
            }
            None => self.violated(PeerMisbehaved::TooMuchPayload { excess: arrived - missing }),
        }
    }

    fn start(&mut self, announced: u64) -> IncomingStep {
        let bytes = self.first_byte.saturating_add(announced);
        match self.total {
            Some(total) if bytes != total => {
                self.violated(PeerMisbehaved::WrongLength { expected: total.saturating_sub(self.first_byte), announced })
            }
            _ if bytes > MAX_SEGMENT_BYTES => self.violated(PeerMisbehaved::SegmentTooLarge { bytes }),
            _ => {
                self.total = Some(bytes);
                self.state = State::Receiving(announced);
                IncomingStep::Started { remaining: announced }
            }
        }
    }

    fn violated(&mut self, misbehaved: PeerMisbehaved) -> IncomingStep {
        self.ended(IncomingStep::Violation(misbehaved))
    }

    fn ended(&mut self, step: IncomingStep) -> IncomingStep {
        self.state = State::Ended;
        step
    }
}
