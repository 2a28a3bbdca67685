//! The origin: gives the bytes of segments, whole or in part, and fails as the scenario says.

use std::collections::BTreeMap;

use bytes::Bytes;
use p2p_media_core::backend::{HttpHead, HttpRequest};
use p2p_media_core::media::SegmentKey;
use p2p_media_core::timestamp::Timestamp;

use crate::content::Presentation;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The response stops after so many bytes; the connection stays.
    Stall(u64),
    /// This status and no body.
    Status(u16),
    /// The response ends after so many bytes as if that were all.
    Truncate(u64),
    /// The connection breaks after so many bytes.
    Reset(u64),
    /// A request for a range is answered with 200 and the whole resource.
    IgnoreRange,
    /// No connection.
    Down,
}

/// A failure, and the requests that it hits.
#[derive(Clone, Debug)]
struct Fault {
    failure: Failure,
    from: Timestamp,
    until: Timestamp,
    requests_left: u64,
    /// Only requests for this segment.
    only: Option<SegmentKey>,
}

/// The origin's side of the simulation.
#[derive(Debug, Default)]
pub struct Origin {
    faults: Vec<Fault>,
    /// Requests so far.
    pub(crate) requests: u64,
    /// Bytes of each segment that left the origin.
    pub(crate) served: BTreeMap<SegmentKey, u64>,
}

/// What comes back for a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Refused(String),
    Response {
        head: HttpHead,
        body: Vec<Piece>,
        end: BodyEnd,
    },
    /// Asked again at this time: it will be made by then.
    Later(Timestamp),
}

/// Bytes of a body, sent no sooner than they are made.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) segment: SegmentKey,
    pub(crate) bytes: Bytes,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Complete,
    Silence,
    Reset,
}

impl Origin {
    /// Every request between two times, in seconds, fails in this way.
    pub fn fail_between(&mut self, failure: Failure, from_s: f64, until_s: f64) {
        let (from, until) = (Timestamp::ZERO.offset_secs(from_s), Timestamp::ZERO.offset_secs(until_s));
        self.faults.push(Fault { failure, from, until, requests_left: u64::MAX, only: None });
    }

    /// So many requests from a time on, in seconds, fail in this way.
    pub fn fail_requests(&mut self, failure: Failure, from_s: f64, requests: u64) {
        let from = Timestamp::ZERO.offset_secs(from_s);
        self.faults.push(Fault { failure, from, until: Timestamp::FAR_FUTURE, requests_left: requests, only: None });
    }

    /// Every request for a segment fails in this way. The segment must have a URL of its own.
    pub fn fail_segment(&mut self, failure: Failure, segment: SegmentKey) {
        let (from, until) = (Timestamp::ZERO, Timestamp::FAR_FUTURE);
        self.faults.push(Fault { failure, from, until, requests_left: u64::MAX, only: Some(segment) });
    }

    pub(crate) fn answer(&mut self, now: Timestamp, request: &HttpRequest, presentation: &Presentation) -> Answer {
        self.requests += 1;
        let segments = presentation.resource(&request.url);
        let hits = |fault: &Fault| {
            let is_meant = fault.only.is_none_or(|only| segments.as_deref() == Some(&[only]));
            is_meant && fault.from <= now && now < fault.until && fault.requests_left > 0
        };
        let fault = self.faults.iter_mut().find(|fault| hits(fault));
        let failure = fault.map(|fault| {
            fault.requests_left -= 1;
            fault.failure
        });
        let status =
            |status| Answer::Response { head: HttpHead { status, ..HttpHead::default() }, body: Vec::new(), end: BodyEnd::Complete };
        match failure {
            Some(Failure::Down) => return Answer::Refused("connection refused".to_owned()),
            Some(Failure::Status(code)) => return status(code),
            _ => {}
        }
        let Some(segments) = segments else { return status(404) };
        for key in &segments {
            let stream = presentation.stream(key.stream);
            let window = stream.window_at(now);
            if !key.id.is_part() {
                if stream.playlist_at(now).is_none_or(|(_, last)| key.id.0 > last) {
                    return status(404);
                }
            } else if window.is_none_or(|window| stream.unit_of(key.id) > window.last) {
                return status(404);
            } else if stream.made_at(key.id) > now {
                self.requests -= 1;
                return Answer::Later(stream.made_at(key.id));
            }
        }
        let total: u64 = segments.iter().map(|key| presentation.stream(key.stream).size_of(key.id)).sum();
        let is_range = (request.first > 0 || request.last.is_some()) && failure != Some(Failure::IgnoreRange);
        if is_range && request.first >= total {
            return status(416);
        }
        let (first, last) = if is_range { (request.first, request.last.unwrap_or(u64::MAX).min(total - 1)) } else { (0, total - 1) };
        let head = HttpHead {
            status: if is_range { 206 } else { 200 },
            range_first: is_range.then_some(first),
            range_total: is_range.then_some(total),
            content_length: Some(last - first + 1),
        };
        let unfinished = segments.first().and_then(|key| Some((*key, presentation.stream(key.stream).chunk_times(key.id, now)?)));
        let head = if unfinished.is_some() { HttpHead { range_total: None, content_length: None, ..head } } else { head };
        let (limit, end) = match failure {
            Some(Failure::Stall(bytes)) => (bytes, BodyEnd::Silence),
            Some(Failure::Truncate(bytes)) => (bytes, BodyEnd::Complete),
            Some(Failure::Reset(bytes)) => (bytes, BodyEnd::Reset),
            _ => (u64::MAX, BodyEnd::Complete),
        };
        let last = last.min(first.saturating_add(limit).saturating_sub(1));
        let body = match unfinished {
            _ if limit == 0 => Vec::new(),
            Some((key, times)) => chunks(key, &times, first, last, presentation),
            None => body(&segments, first, last, presentation),
        };
        Answer::Response { head, body, end }
    }

    /// Notes bytes that left the origin.
    pub(crate) fn note_served(&mut self, segment: SegmentKey, bytes: usize) {
        *self.served.entry(segment).or_default() += bytes as u64;
    }
}

/// The bytes from `first` to `last` of segments in a row.
fn body(segments: &[SegmentKey], first: u64, last: u64, presentation: &Presentation) -> Vec<Piece> {
    let mut begins_at = 0;
    let mut body = Vec::new();
    for key in segments {
        let ends_at = begins_at + presentation.stream(key.stream).size_of(key.id);
        if ends_at > first && begins_at <= last {
            let bytes = presentation.bytes_of(*key);
            let from = first.saturating_sub(begins_at) as usize;
            let to = (last + 1 - begins_at).min(bytes.len() as u64) as usize;
            body.push(Piece { segment: *key, bytes: bytes.slice(from..to), at: Timestamp::ZERO });
        }
        begins_at = ends_at;
    }
    body
}

/// The bytes from `first` to `last` of a segment whose chunks, of equal size, are made at these times.
fn chunks(segment: SegmentKey, times: &[Timestamp], first: u64, last: u64, presentation: &Presentation) -> Vec<Piece> {
    let bytes = presentation.bytes_of(segment);
    let end_of = |chunk: usize| bytes.len() * chunk / times.len();
    let piece = |(chunk, at): (usize, &Timestamp)| {
        let (from, to) = (end_of(chunk).max(first as usize), end_of(chunk + 1).min(last as usize + 1));
        (from < to).then(|| Piece { segment, bytes: bytes.slice(from..to), at: *at })
    };
    times.iter().enumerate().filter_map(piece).collect()
}

#[cfg(test)]
mod tests {
    use p2p_media_core::media::{SegmentId, StreamKey};

    use super::*;
    use crate::content::StreamModel;

    fn bytes_of(answer: Answer) -> (u16, Vec<u8>) {
        match answer {
            Answer::Response { head, body, .. } => (head.status, body.into_iter().map(|piece| piece.bytes).collect::<Vec<_>>().concat()),
            Answer::Refused(_) | Answer::Later(_) => (0, Vec::new()),
        }
    }

    #[test]
    fn ranges_cross_segments_and_failures_hit_as_many_requests_as_told() {
        let presentation = Presentation::new(vec![StreamModel::vod(10.0, 2.0, 1e4).in_one_resource()]);
        let key = |id| SegmentKey { stream: StreamKey(0), id: SegmentId(id) };
        let whole = [0, 1, 2, 3, 4].map(|id| presentation.bytes_of(key(id))).concat();
        let url = presentation.segment(key(0)).url;
        let request = |first, last| HttpRequest { url: url.clone(), first, last };
        let mut origin = Origin::default();
        let mut ask = |first, last| bytes_of(origin.answer(Timestamp::ZERO, &request(first, last), &presentation));
        assert_eq!(ask(0, None), (200, whole.clone()));
        assert_eq!(ask(1000, Some(6000)), (206, whole[1000..=6000].to_vec()));
        assert_eq!(ask(1_000_000, None).0, 416);
        origin.fail_requests(Failure::Truncate(10), 0.0, 1);
        origin.fail_requests(Failure::IgnoreRange, 0.0, 1);
        let mut ask = |first, last| bytes_of(origin.answer(Timestamp::ZERO, &request(first, last), &presentation));
        assert_eq!(ask(5, None), (206, whole[5..15].to_vec()));
        assert_eq!(ask(5, None), (200, whole));
    }
}
