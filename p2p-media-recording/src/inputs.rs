//! Inputs of the engine as lines, and back.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use p2p_media_core::backend::HttpHead;
use p2p_media_core::engine::input::{ConnectionId, HttpId, Input, LoadId, PlayerRequestId, TrackerId, ValidationId};
use p2p_media_core::media::{
    ByteRange, FetchTimes, Playhead, Segment, SegmentForm, SegmentId, SegmentKey, Stream, StreamKey, StreamKind, StreamUpdate,
};
use p2p_media_core::peer_protocol::{MAX_SEGMENT_BYTES, is_command_frame};
use p2p_media_core::segment_bytes::SegmentBytes;

use crate::lines::{FormLine, InputLine, KeyLine, KindLine, SegmentLine};
use crate::options;

/// Why a line is no input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputProblem {
    #[error("{0} bytes are more than a segment may have")]
    TooMuchMedia(u64),
    #[error("the command is not base64: {0}")]
    NotBase64(#[from] base64::DecodeError),
    #[error("a byte range that ends before it begins")]
    BackwardRange,
    #[error(transparent)]
    Options(#[from] p2p_media_core::config::ConfigError),
}

pub(crate) fn to_line(input: &Input) -> InputLine {
    match input {
        Input::SegmentRequested { request, segment } => InputLine::SegmentRequested { request: request.0, segment: key_line(*segment) },
        Input::RequestCancelled(request) => InputLine::RequestCancelled { request: request.0 },
        Input::SegmentFetched(segment, bytes, FetchTimes { response, body }) => InputLine::SegmentFetched {
            segment: key_line(*segment),
            bytes: bytes.len() as u64,
            response_us: micros(*response),
            body_us: micros(*body),
        },
        Input::PlayheadMoved(Playhead { position, rate }) => {
            InputLine::PlayheadMoved { position: (*position).into(), rate: (*rate).into() }
        }
        Input::StreamAdded(Stream { key, kind, swarm_id }) => {
            let kind = match kind {
                StreamKind::Main => KindLine::Main,
                StreamKind::Secondary => KindLine::Secondary,
            };
            InputLine::StreamAdded { stream: key.0, kind, swarm: swarm_id.to_string() }
        }
        Input::StreamUpdated(stream, StreamUpdate { added, removed, live }) => InputLine::StreamUpdated {
            stream: stream.0,
            added: added.iter().map(segment_line).collect(),
            removed: removed.iter().map(|id| id.0).collect(),
            live: *live,
        },
        Input::StreamRemoved(stream) => InputLine::StreamRemoved { stream: stream.0 },
        Input::ConfigChanged(change) => InputLine::ConfigChanged { options: options::of_change(change) },
        Input::Shutdown => InputLine::Shutdown {},

        Input::HttpHead(id, head) => {
            let HttpHead { status, range_first, range_total, content_length } = *head;
            InputLine::HttpHead { id: id.0, status, range_first, range_total, content_length }
        }
        Input::HttpChunk(id, bytes) => InputLine::HttpChunk { id: id.0, bytes: bytes.len() as u64 },
        Input::HttpEnd(id) => InputLine::HttpEnd { id: id.0 },
        Input::HttpFailed(id, error) => InputLine::HttpFailed { id: id.0, error: error.clone() },

        Input::TrackerOpened(tracker) => InputLine::TrackerOpened { tracker: tracker.0 },
        Input::TrackerMessage(tracker, text) => InputLine::TrackerMessage { tracker: tracker.0, text: text.clone() },
        Input::TrackerClosed(tracker, error) => InputLine::TrackerClosed { tracker: tracker.0, error: error.clone() },

        Input::OfferMade(connection, sdp) => InputLine::OfferMade { connection: connection.0, sdp: sdp.clone() },
        Input::AnswerMade(connection, sdp) => InputLine::AnswerMade { connection: connection.0, sdp: sdp.clone() },
        Input::ChannelOpened(connection) => InputLine::ChannelOpened { connection: connection.0 },
        Input::PeerMessage(connection, message) if is_command_frame(message) => {
            InputLine::PeerCommand { connection: connection.0, base64: BASE64.encode(message) }
        }
        Input::PeerMessage(connection, message) => InputLine::PeerPayload { connection: connection.0, bytes: message.len() as u64 },
        Input::PeerSent(connection, bytes) => InputLine::PeerSent { connection: connection.0, bytes: *bytes as u64 },
        Input::ConnectionClosed(connection, reason) => InputLine::ConnectionClosed { connection: connection.0, reason: reason.clone() },

        Input::Stored(segment) => InputLine::Stored { segment: key_line(*segment) },
        Input::StoreFailed(segment, error) => InputLine::StoreFailed { segment: key_line(*segment), error: error.clone() },
        Input::Loaded(id, bytes) => {
            let pieces = |bytes: &SegmentBytes| bytes.pieces().iter().map(|piece| piece.len() as u64).collect();
            InputLine::Loaded { id: id.0, pieces: bytes.as_ref().map(pieces) }
        }
        Input::Validated(id, right) => InputLine::Validated { id: id.0, right: *right },
        Input::DeadlineReached => InputLine::DeadlineReached {},
    }
}

/// The input of a line. `zeros` is what stands for media; it grows to the longest piece.
pub(crate) fn from_line(line: InputLine, zeros: &mut Bytes) -> Result<Input, InputProblem> {
    Ok(match line {
        InputLine::SegmentRequested { request, segment } => {
            Input::SegmentRequested { request: PlayerRequestId(request), segment: key(segment) }
        }
        InputLine::RequestCancelled { request } => Input::RequestCancelled(PlayerRequestId(request)),
        InputLine::SegmentFetched { segment, bytes, response_us, body_us } => {
            let times = FetchTimes { response: Duration::from_micros(response_us), body: Duration::from_micros(body_us) };
            Input::SegmentFetched(key(segment), media(bytes, zeros)?, times)
        }
        InputLine::PlayheadMoved { position, rate } => Input::PlayheadMoved(Playhead { position: position.into(), rate: rate.into() }),
        InputLine::StreamAdded { stream, kind, swarm } => {
            let kind = match kind {
                KindLine::Main => StreamKind::Main,
                KindLine::Secondary => StreamKind::Secondary,
            };
            Input::StreamAdded(Stream { key: StreamKey(stream), kind, swarm_id: swarm.into() })
        }
        InputLine::StreamUpdated { stream, added, removed, live } => {
            let added = added.into_iter().map(segment).collect::<Result<_, _>>()?;
            Input::StreamUpdated(StreamKey(stream), StreamUpdate { added, removed: removed.into_iter().map(SegmentId).collect(), live })
        }
        InputLine::StreamRemoved { stream } => Input::StreamRemoved(StreamKey(stream)),
        InputLine::ConfigChanged { options } => Input::ConfigChanged(Box::new(options::to_change(options)?)),
        InputLine::Shutdown {} => Input::Shutdown,

        InputLine::HttpHead { id, status, range_first, range_total, content_length } => {
            Input::HttpHead(HttpId(id), HttpHead { status, range_first, range_total, content_length })
        }
        InputLine::HttpChunk { id, bytes } => Input::HttpChunk(HttpId(id), media(bytes, zeros)?),
        InputLine::HttpEnd { id } => Input::HttpEnd(HttpId(id)),
        InputLine::HttpFailed { id, error } => Input::HttpFailed(HttpId(id), error),

        InputLine::TrackerOpened { tracker } => Input::TrackerOpened(TrackerId(tracker)),
        InputLine::TrackerMessage { tracker, text } => Input::TrackerMessage(TrackerId(tracker), text),
        InputLine::TrackerClosed { tracker, error } => Input::TrackerClosed(TrackerId(tracker), error),

        InputLine::OfferMade { connection, sdp } => Input::OfferMade(ConnectionId(connection), sdp),
        InputLine::AnswerMade { connection, sdp } => Input::AnswerMade(ConnectionId(connection), sdp),
        InputLine::ChannelOpened { connection } => Input::ChannelOpened(ConnectionId(connection)),
        InputLine::PeerCommand { connection, base64 } => Input::PeerMessage(ConnectionId(connection), BASE64.decode(base64)?.into()),
        InputLine::PeerPayload { connection, bytes } => Input::PeerMessage(ConnectionId(connection), media(bytes, zeros)?),
        InputLine::PeerSent { connection, bytes } => Input::PeerSent(ConnectionId(connection), length(bytes)?),
        InputLine::ConnectionClosed { connection, reason } => Input::ConnectionClosed(ConnectionId(connection), reason),

        InputLine::Stored { segment } => Input::Stored(key(segment)),
        InputLine::StoreFailed { segment, error } => Input::StoreFailed(key(segment), error),
        InputLine::Loaded { id, pieces } => Input::Loaded(LoadId(id), pieces.map(|pieces| stored(pieces, zeros)).transpose()?),
        InputLine::Validated { id, right } => Input::Validated(ValidationId(id), right),
        InputLine::DeadlineReached {} => Input::DeadlineReached,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

const fn key_line(key: SegmentKey) -> KeyLine {
    KeyLine { stream: key.stream.0, id: key.id.0 }
}

const fn key(line: KeyLine) -> SegmentKey {
    SegmentKey { stream: StreamKey(line.stream), id: SegmentId(line.id) }
}

fn segment_line(segment: &Segment) -> SegmentLine {
    SegmentLine {
        id: segment.id.0,
        url: segment.url.to_string(),
        byte_range: segment.byte_range.map(|range| (range.first, range.last)),
        start: segment.start.into(),
        duration: segment.duration.into(),
        form: match segment.form {
            SegmentForm::Whole => FormLine::Whole,
            SegmentForm::Unfinished => FormLine::Unfinished,
            SegmentForm::Part => FormLine::Part,
        },
    }
}

fn segment(line: SegmentLine) -> Result<Segment, InputProblem> {
    if line.byte_range.is_some_and(|(first, last)| last < first) {
        return Err(InputProblem::BackwardRange);
    }
    Ok(Segment {
        id: SegmentId(line.id),
        url: Arc::from(line.url),
        byte_range: line.byte_range.map(|(first, last)| ByteRange { first, last }),
        start: line.start.into(),
        duration: line.duration.into(),
        form: match line.form {
            FormLine::Whole => SegmentForm::Whole,
            FormLine::Unfinished => SegmentForm::Unfinished,
            FormLine::Part => SegmentForm::Part,
        },
    })
}

fn length(bytes: u64) -> Result<usize, InputProblem> {
    let length = usize::try_from(bytes).ok().filter(|_| bytes <= MAX_SEGMENT_BYTES);
    length.ok_or(InputProblem::TooMuchMedia(bytes))
}

/// So many zeros. They are never written to, so that the system has no memory to find for them.
fn media(bytes: u64, zeros: &mut Bytes) -> Result<Bytes, InputProblem> {
    let length = length(bytes)?;
    if zeros.len() < length {
        *zeros = Bytes::from(vec![0; length]);
    }
    Ok(zeros.slice(..length))
}

fn stored(pieces: Vec<u64>, zeros: &mut Bytes) -> Result<SegmentBytes, InputProblem> {
    length(pieces.iter().fold(0, |sum, piece| sum.saturating_add(*piece)))?;
    pieces.into_iter().map(|piece| media(piece, zeros)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_without_memory_for_it() {
        let mut zeros = Bytes::new();
        let mut problem = |line| from_line(line, &mut zeros).err();
        assert_eq!(problem(InputLine::HttpChunk { id: 1, bytes: u64::MAX }), Some(InputProblem::TooMuchMedia(u64::MAX)));
        assert_eq!(
            problem(InputLine::Loaded { id: 1, pieces: Some(vec![u64::MAX, 2]) }),
            Some(InputProblem::TooMuchMedia(u64::MAX)),
            "their sum counts"
        );
        assert!(matches!(problem(InputLine::PeerCommand { connection: 1, base64: "?".to_owned() }), Some(InputProblem::NotBase64(_))));
        let segment = SegmentLine {
            id: 1,
            url: String::new(),
            byte_range: Some((5, 4)),
            start: 0.0.into(),
            duration: 2.0.into(),
            form: FormLine::Whole,
        };
        let update = InputLine::StreamUpdated { stream: 0, added: vec![segment], removed: Vec::new(), live: true };
        assert_eq!(problem(update), Some(InputProblem::BackwardRange));
        assert!(zeros.is_empty());
    }
}
