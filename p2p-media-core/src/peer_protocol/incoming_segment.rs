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
    /// The byte after the last one that has come.
    reached: u64,
    total: Option<u64>,
    /// The peer may leave the size open.
    may_be_open: bool,
    /// The byte after the last one wanted, where not all are.
    end: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Requested; no matching data command yet.
    Requested,
    /// Payload is coming.
    Receiving(Missing),
    /// Completed, absent or violated: everything else is somebody else's.
    Ended,
}

/// Payload still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Exactly(u64),
    /// The peer does not know the size yet: it ends with `Completed`. More than this no segment has.
    AtMost(u64),
}

impl Missing {
    const fn bytes(self) -> u64 {
        match self {
            Self::Exactly(bytes) | Self::AtMost(bytes) => bytes,
        }
    }
}

/// What a message meant to a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncomingStep {
    /// Nothing: it does not belong to this download.
    Ignored,
    /// The peer accepts; so many bytes will come.
    Started {
        /// Bytes to come; `None` while the peer does not know.
        remaining: Option<u64>,
    },
    /// The peer, which did not know before, said how many bytes come: [`IncomingSegment::total`] is known, perhaps all are here.
    SizeTold,
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
        Self { segment, request, first_byte, reached: first_byte, total, may_be_open: false, end: None, state: State::Requested }
    }

    /// The same from a peer that may be loading the segment itself, so that neither side need know the size (our extension): any `first_byte`
    /// will do, and the peer need not say how many bytes come.
    #[must_use]
    pub const fn of_any_size(self) -> Self {
        Self { may_be_open: true, ..self }
    }

    /// No byte from `end` on is wanted (our extension). The peer may have said already how many come until a later end. A request is only ever
    /// shortened: an end that was asked for before stays where it is if it is the nearer one.
    pub const fn end_at(&mut self, end: u64) {
        self.end = match self.end {
            Some(before) if before < end => Some(before),
            _ => Some(end),
        };
    }

    /// The byte after the last one wanted; `None` when all are wanted to the end of the segment.
    pub const fn end(&self) -> Option<u64> {
        self.end
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

    /// Payload that may still come, in bytes: exactly so much once the size is known; 0 before the peer accepted, and after the end.
    pub const fn remaining(&self) -> u64 {
        match self.state {
            State::Receiving(missing) => missing.bytes(),
            State::Requested | State::Ended => 0,
        }
    }

    /// True when every byte that is wanted is here, whether or not the peer has confirmed it.
    pub const fn has_all(&self) -> bool {
        match (self.state, self.end) {
            (State::Receiving(Missing::Exactly(0)), _) => true,
            (State::Receiving(_), Some(end)) => self.reached >= end,
            _ => false,
        }
    }

    /// A command arrived.
    pub fn on_command(&mut self, command: &Command) -> IncomingStep {
        let ours = |segment: SegmentId, request: RequestId| segment == self.segment && request == self.request;
        match (self.state, command) {
            (State::Requested, Command::Data { segment, request, remaining }) if ours(*segment, *request) => self.start(*remaining),
            (State::Receiving(Missing::AtMost(_)), Command::Data { segment, request, remaining: Some(remaining) })
                if ours(*segment, *request) =>
            {
                self.size_told(*remaining)
            }
            (State::Receiving(missing), Command::Completed { segment, request }) => match missing {
                _ if !ours(*segment, *request) => self.violated(PeerMisbehaved::CompletedOther),
                Missing::Exactly(0) => self.ended(IncomingStep::Completed),
                Missing::Exactly(missing) => self.violated(PeerMisbehaved::CompletedEarly { missing }),
                // No segment is empty.
                Missing::AtMost(MAX_SEGMENT_BYTES) => self.ended(IncomingStep::Absent),
                Missing::AtMost(_) => {
                    self.told_to_end_at(self.reached);
                    self.ended(IncomingStep::Completed)
                }
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
        let Some(left) = missing.bytes().checked_sub(arrived) else {
            return self.violated(match missing {
                Missing::Exactly(missing) => PeerMisbehaved::TooMuchPayload { excess: arrived - missing },
                Missing::AtMost(most) => PeerMisbehaved::SegmentTooLarge { bytes: MAX_SEGMENT_BYTES.saturating_add(arrived - most) },
            });
        };
        self.reached += arrived;
        self.state = State::Receiving(match missing {
            Missing::Exactly(_) => Missing::Exactly(left),
            Missing::AtMost(_) => Missing::AtMost(left),
        });
        IncomingStep::Bytes(payload)
    }

    fn start(&mut self, announced: Option<u64>) -> IncomingStep {
        let Some(announced) = announced else { return self.start_open() };
        let bytes = self.first_byte.saturating_add(announced);
        // Until the end of what is wanted, or until one that was told before.
        let is_of_a_stretch = self.end.is_some_and(|end| bytes >= end) && self.total.is_none_or(|total| bytes <= total);
        match self.total {
            // No segment is empty, and nobody asks for nothing. An official peer says so, and means no harm, when its player has taken the bytes
            // away to a worker.
            _ if announced == 0 => self.ended(IncomingStep::Absent),
            Some(total) if bytes != total && !is_of_a_stretch => {
                self.violated(PeerMisbehaved::WrongLength { expected: total.saturating_sub(self.first_byte), announced })
            }
            _ if bytes > MAX_SEGMENT_BYTES => self.violated(PeerMisbehaved::SegmentTooLarge { bytes }),
            _ => {
                self.total = if is_of_a_stretch { self.total } else { Some(bytes) };
                self.state = State::Receiving(Missing::Exactly(announced));
                IncomingStep::Started { remaining: Some(announced) }
            }
        }
    }

    fn start_open(&mut self) -> IncomingStep {
        // A size that is known here binds the peer, whatever it knows.
        let remaining = self.total.map(|total| total.saturating_sub(self.first_byte));
        let missing = remaining.map_or(Missing::AtMost(MAX_SEGMENT_BYTES.saturating_sub(self.first_byte)), Missing::Exactly);
        if !self.may_be_open {
            return self.violated(PeerMisbehaved::LengthMissing);
        }
        self.state = State::Receiving(missing);
        IncomingStep::Started { remaining }
    }

    /// So many bytes come in answer to the request, those included that came before it was known.
    fn size_told(&mut self, announced: u64) -> IncomingStep {
        let arrived = self.reached - self.first_byte;
        let total = self.first_byte.saturating_add(announced);
        if total > MAX_SEGMENT_BYTES {
            return self.violated(PeerMisbehaved::SegmentTooLarge { bytes: total });
        }
        let Some(missing) = announced.checked_sub(arrived) else {
            return self.violated(PeerMisbehaved::TooMuchPayload { excess: arrived - announced });
        };
        if total == 0 {
            return self.ended(IncomingStep::Absent);
        }
        self.told_to_end_at(total);
        self.state = State::Receiving(Missing::Exactly(missing));
        IncomingStep::SizeTold
    }

    /// What ends where no more was wanted need not be the end of the segment.
    fn told_to_end_at(&mut self, at: u64) {
        if self.end.is_none_or(|end| at < end) {
            self.total = Some(at);
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

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentId = SegmentId(5);
    const REQUEST: RequestId = RequestId(7);

    fn download(first_byte: u64, total: Option<u64>) -> IncomingSegment {
        IncomingSegment::new(SEGMENT, REQUEST, first_byte, total).of_any_size()
    }

    const fn data(remaining: Option<u64>) -> Command {
        Command::Data { segment: SEGMENT, request: REQUEST, remaining }
    }

    const COMPLETED: Command = Command::Completed { segment: SEGMENT, request: REQUEST };

    fn bytes(count: usize) -> Bytes {
        vec![7; count].into()
    }

    #[test]
    fn a_size_left_open_ends_with_the_completion() {
        let mut open = download(10, None);
        assert_eq!(open.on_command(&data(None)), IncomingStep::Started { remaining: None });
        assert_eq!((open.remaining(), open.total(), open.has_all()), (MAX_SEGMENT_BYTES - 10, None, false));
        assert_eq!(open.on_payload(bytes(90)), IncomingStep::Bytes(bytes(90)));
        assert_eq!(open.on_command(&COMPLETED), IncomingStep::Completed);
        assert_eq!(open.total(), Some(100));
    }

    #[test]
    fn a_size_told_later_counts_from_the_byte_asked_for() {
        for (told, expect, has_all) in [
            (90, IncomingStep::SizeTold, true),
            (91, IncomingStep::SizeTold, false),
            (89, IncomingStep::Violation(PeerMisbehaved::TooMuchPayload { excess: 1 }), false),
            (MAX_SEGMENT_BYTES, IncomingStep::Violation(PeerMisbehaved::SegmentTooLarge { bytes: MAX_SEGMENT_BYTES + 10 }), false),
            (u64::MAX, IncomingStep::Violation(PeerMisbehaved::SegmentTooLarge { bytes: u64::MAX }), false),
        ] {
            let mut open = download(10, None);
            open.on_command(&data(None));
            open.on_payload(bytes(90));
            assert_eq!((open.on_command(&data(Some(told))), open.has_all()), (expect, has_all));
        }
    }

    #[test]
    fn a_size_known_here_binds_the_peer() {
        let mut open = download(10, Some(100));
        assert_eq!(open.on_command(&data(None)), IncomingStep::Started { remaining: Some(90) });
        assert_eq!(open.on_payload(bytes(91)), IncomingStep::Violation(PeerMisbehaved::TooMuchPayload { excess: 1 }));
        let mut early = download(10, Some(100));
        early.on_command(&data(None));
        assert_eq!(early.on_command(&COMPLETED), IncomingStep::Violation(PeerMisbehaved::CompletedEarly { missing: 90 }));
    }

    #[test]
    fn what_has_no_end_is_cut_off_and_what_has_no_bytes_is_absent() {
        let mut endless = download(MAX_SEGMENT_BYTES - 10, None);
        endless.on_command(&data(None));
        let too_large = PeerMisbehaved::SegmentTooLarge { bytes: MAX_SEGMENT_BYTES + 1 };
        assert_eq!(endless.on_payload(bytes(11)), IncomingStep::Violation(too_large));
        let mut empty = download(0, None);
        empty.on_command(&data(None));
        assert_eq!(empty.on_command(&COMPLETED), IncomingStep::Absent);
        for (first_byte, total) in [(0, None), (0, Some(100)), (10, Some(100))] {
            assert_eq!(download(first_byte, total).on_command(&data(Some(0))), IncomingStep::Absent);
        }
        let mut told_later = download(0, None);
        told_later.on_command(&data(None));
        assert_eq!(told_later.on_command(&data(Some(0))), IncomingStep::Absent);
    }

    #[test]
    fn the_end_of_a_stretch_is_not_taken_for_the_end_of_the_segment() {
        for (arrived, total) in [(40, None), (30, Some(40))] {
            let mut stretch = download(10, None);
            stretch.end_at(50);
            stretch.on_command(&data(None));
            stretch.on_payload(bytes(arrived));
            assert_eq!((stretch.on_command(&COMPLETED), stretch.total()), (IncomingStep::Completed, total));
        }
    }

    #[test]
    fn a_request_is_only_ever_shortened_and_has_all_at_its_end() {
        let mut stretch = download(10, None);
        stretch.end_at(50);
        stretch.end_at(60);
        stretch.on_command(&data(Some(90)));
        stretch.on_payload(bytes(39));
        assert!(!stretch.has_all());
        stretch.on_payload(bytes(1));
        assert!(stretch.has_all(), "the peer may send no more than what was asked for first");
        let mut open = download(10, None);
        open.end_at(50);
        open.end_at(60);
        open.on_command(&data(Some(40)));
        assert_eq!(open.total(), None, "the end asked for is not the segment's");
    }

    #[test]
    fn a_stretch_may_be_told_to_its_end_or_to_a_later_one() {
        let until_50 = |total, announced| {
            let mut stretch = download(10, total);
            stretch.end_at(50);
            (stretch.on_command(&data(Some(announced))), stretch.total())
        };
        for announced in [40, 60, 90] {
            assert_eq!(until_50(Some(100), announced), (IncomingStep::Started { remaining: Some(announced) }, Some(100)));
            assert_eq!(until_50(None, announced), (IncomingStep::Started { remaining: Some(announced) }, None), "it may not be the size");
        }
        for announced in [39, 91] {
            let wrong = PeerMisbehaved::WrongLength { expected: 90, announced };
            assert_eq!(until_50(Some(100), announced), (IncomingStep::Violation(wrong), Some(100)));
        }
        assert_eq!(until_50(None, 30), (IncomingStep::Started { remaining: Some(30) }, Some(40)), "it ends before");
        for (announced, total) in [(30, Some(40)), (40, None)] {
            let mut told_later = download(10, None);
            told_later.end_at(50);
            told_later.on_command(&data(None));
            assert_eq!((told_later.on_command(&data(Some(announced))), told_later.total()), (IncomingStep::SizeTold, total));
        }
    }

    #[test]
    fn official_peers_must_say_the_size() {
        let mut official = IncomingSegment::new(SEGMENT, REQUEST, 0, None);
        assert_eq!(official.on_command(&data(None)), IncomingStep::Violation(PeerMisbehaved::LengthMissing));
    }
}
