//! One entry per segment that is being loaded or waited for: its bytes so far, where they come from, and who waits.

use super::input::{ConnectionId, HttpId, PlayerRequestId, ValidationId};
use super::stretches::Stretch;
use crate::backend::HttpRequest;
use crate::error::SegmentError;
use crate::event::SegmentSource;
use crate::identity::PeerId;
use crate::media::{Segment, SegmentForm, SegmentKey, StreamKey, StreamKind};
use crate::segment_bytes::SegmentBytes;
use crate::sorted_map::{SortedMap, SortedSet};
use crate::timestamp::Timestamp;

/// A fetch that has run for less is not judged.
const SHORTEST_JUDGED_S: f64 = 1.0;

/// A segment that is wanted and not yet here.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) segment: Segment,
    pub(super) kind: StreamKind,
    pub(super) wanted_since: Timestamp,
    /// When the first attempt began.
    pub(super) started: Option<Timestamp>,
    pub(super) bytes: SegmentBytes,
    /// Size of the segment, once a source has said it.
    pub(super) total: Option<u64>,
    /// Only a peer has said it. Players are told no size that may turn out to be a lie: they would pass it on before the bytes.
    pub(super) total_is_hearsay: bool,
    /// What brings the bytes that come next, until the first of `later`.
    pub(super) source: Source,
    /// Stretches further on that other sources bring at the same time, in order.
    pub(super) later: Vec<Stretch>,
    /// Players that wait for it; every one has been given all of `bytes` unless `held_back`.
    pub(super) players: Vec<PlayerRequestId>,
    /// True when a validator must see all bytes before a player gets any.
    pub(super) held_back: bool,
    pub(super) http_failures: u32,
    /// The origin was so slow that a peer took over; that is tried once.
    pub(super) left_origin: bool,
    pub(super) http_retry_at: Timestamp,
    pub(super) last_failure: Option<SegmentError>,
    /// Connections that failed to give it.
    pub(super) refused_by: SortedMap<ConnectionId, Refusal>,
    /// The connections that gave bytes of it.
    pub(super) given_by: SortedSet<ConnectionId>,
    /// Some of its bytes came from a peer that was itself loading it, and had checked nothing.
    pub(super) has_relayed: bool,
    /// Peers of ours that get its bytes from us as they arrive.
    pub(super) followers: SortedSet<ConnectionId>,
    pub(super) last_follower: Option<ConnectionId>,
    /// When it was first seen that a peer of ours is loading it.
    pub(super) relay_seen_at: Option<Timestamp>,
    /// When it was first seen that only peers that come after us in the order are loading it.
    pub(super) later_seen_at: Option<Timestamp>,
    /// When it was first seen that a free peer has it whole, while one that is loading it was to give it.
    pub(super) whole_seen_at: Option<Timestamp>,
}

/// For which requests a connection that failed is not asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// For none.
    Altogether,
    /// It was loading the segment itself, and that came to nothing. It may be asked once it has it whole.
    UntilWhole,
    /// It was loading the segment itself, and had enough others to pass it on to. It may be asked once it has it whole.
    Busy,
}

/// Where a segment is being loaded from; exactly one at a time.
#[derive(Debug)]
pub(super) enum Source {
    /// Nowhere yet, or between two attempts.
    None,
    /// The origin.
    Http(HttpTransfer),
    /// The peer, whose own entry holds the state of the transfer.
    Peer(ConnectionId),
    /// All bytes are here and are being checked.
    Validation(ValidationId, SegmentSource),
}

/// A fetch in progress.
#[derive(Clone, Debug)]
pub(super) struct HttpTransfer {
    pub(super) id: HttpId,
    pub(super) request: HttpRequest,
    pub(super) asked_at: Timestamp,
    pub(super) first_byte_at: Option<Timestamp>,
    pub(super) last_byte_at: Timestamp,
    /// True once the head came.
    pub(super) accepted: bool,
    /// Bytes still to be dropped: the origin ignored the range and began at 0.
    pub(super) to_skip: u64,
    /// Media bytes received by this fetch.
    pub(super) received: u64,
    /// The origin sends what it has not got yet: its pace says nothing about its speed.
    pub(super) is_paced: bool,
}

impl HttpTransfer {
    pub(super) const fn new(id: HttpId, request: HttpRequest, now: Timestamp, is_paced: bool) -> Self {
        Self { id, request, asked_at: now, first_byte_at: None, last_byte_at: now, accepted: false, to_skip: 0, received: 0, is_paced }
    }

    /// Seconds until what is missing will probably be here; `None` while there is nothing to tell from.
    pub(super) fn arrival_s(&self, missing: Option<u64>, now: Timestamp) -> Option<f64> {
        let seconds = now.since(self.asked_at).as_secs_f64();
        let rate = self.received as f64 / seconds;
        (seconds > SHORTEST_JUDGED_S).then(|| missing.map_or(f64::INFINITY, |missing| missing as f64 / rate))
    }
}

impl Download {
    pub(super) const fn new(segment: Segment, kind: StreamKind, now: Timestamp, held_back: bool) -> Self {
        let total = match segment.byte_range {
            Some(range) => Some(range.len()),
            None => None,
        };
        Self {
            segment,
            kind,
            wanted_since: now,
            started: None,
            bytes: SegmentBytes::new(),
            total,
            total_is_hearsay: false,
            source: Source::None,
            later: Vec::new(),
            players: Vec::new(),
            held_back,
            http_failures: 0,
            left_origin: false,
            http_retry_at: Timestamp::ZERO,
            last_failure: None,
            refused_by: SortedMap::new(),
            given_by: SortedSet::new(),
            has_relayed: false,
            followers: SortedSet::new(),
            last_follower: None,
            relay_seen_at: None,
            later_seen_at: None,
            whole_seen_at: None,
        }
    }

    /// The fetch that brings what is missing. Where the size is unknown all may be here already, and nothing is no range: it begins a byte earlier.
    pub(super) fn missing_over_http(&self) -> HttpRequest {
        let here = self.bytes.len();
        let offset = if self.end().is_some() { here } else { here.saturating_sub(1) };
        self.over_http(offset, self.later.first().map(|stretch| stretch.from))
    }

    /// The fetch that brings the bytes from one offset to before another, or to the end.
    pub(super) fn over_http(&self, offset: u64, end: Option<u64>) -> HttpRequest {
        let begin = self.segment.byte_range.map_or(0, |range| range.first);
        let last = end.map(|end| begin.saturating_add(end).saturating_sub(1)).or_else(|| Some(self.segment.byte_range?.last));
        HttpRequest { url: self.segment.url.clone(), first: begin.saturating_add(offset), last }
    }

    /// Where a fetch ends that was made by [`Self::over_http`]; `None` when it brings all that there is. The stretches may have changed meanwhile.
    pub(super) fn end_of_fetch(&self, request: &HttpRequest) -> Option<u64> {
        let begin = self.segment.byte_range.map_or(0, |range| range.first);
        let asked = request.last.map(|last| last.saturating_add(1).saturating_sub(begin));
        asked.map(|end| self.total.map_or(end, |total| total.min(end)))
    }

    /// The size that players may be told before the end.
    pub(super) fn sure_total(&self) -> Option<u64> {
        self.total.filter(|_| !self.held_back && !self.total_is_hearsay)
    }

    /// Where what comes next ends: where another source has begun, or at the end of the segment. `None` while that is unknown.
    pub(super) fn end(&self) -> Option<u64> {
        self.later.first().map(|stretch| stretch.from).or(self.total)
    }

    /// Bytes still missing of what comes next; `None` while the size is unknown.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.end().map(|end| end.saturating_sub(self.bytes.len()))
    }

    /// Bytes that the origin has still to send; `None` while only peers have said the size, who may lie.
    pub(super) fn sure_remaining(&self) -> Option<u64> {
        self.remaining().filter(|_| !self.total_is_hearsay || !self.later.is_empty())
    }

    /// Most peers can go on at the byte reached only if the size is known: the official peer drops the connection otherwise.
    pub(super) const fn any_peer_may_go_on(&self) -> bool {
        self.bytes.is_empty() || self.total.is_some()
    }

    /// True for what may not be finished at the origin, which then sends it no faster than it is made.
    pub(super) const fn is_paced(&self) -> bool {
        !matches!(self.segment.form, SegmentForm::Whole)
    }

    /// Notes that a connection failed to give it.
    pub(super) fn refuse(&mut self, connection: ConnectionId, refusal: Refusal) {
        let noted = self.refused_by.get_or_insert_with(connection, || refusal);
        if *noted != Refusal::Altogether {
            *noted = refusal;
        }
    }

    /// True when a connection may be asked for it, which the peer has whole or is loading.
    pub(super) fn may_be_asked(&self, connection: ConnectionId, is_whole: bool) -> bool {
        match self.refused_by.get(&connection) {
            None => true,
            Some(Refusal::UntilWhole | Refusal::Busy) => is_whole,
            Some(Refusal::Altogether) => false,
        }
    }

    /// The segment as a newer manifest has it. A transfer that runs goes on: it is the same segment.
    pub(super) fn refresh(&mut self, segment: &Segment) {
        let Segment { id: _, url, byte_range, start, duration, form } = segment;
        (self.segment.start, self.segment.duration, self.segment.form) = (*start, *duration, *form);
        if self.segment.byte_range == *byte_range {
            self.segment.url = url.clone();
        } else if self.bytes.is_empty() && self.players.is_empty() && matches!(self.source, Source::None) {
            self.segment = segment.clone();
            self.total = byte_range.map(|range| range.len());
        }
    }

    /// Forgets the bytes, for example because the validator refused them.
    pub(super) fn start_over(&mut self) {
        self.bytes = SegmentBytes::new();
        self.given_by.clear();
        self.has_relayed = false;
        self.total = self.segment.byte_range.map(|range| range.len());
        self.total_is_hearsay = false;
    }
}

/// All downloads, and the fetches by their id.
#[derive(Debug, Default)]
pub(super) struct Downloads {
    pub(super) by_segment: SortedMap<SegmentKey, Download>,
    pub(super) by_http: SortedMap<HttpId, SegmentKey>,
    /// Checks in progress, and the peer that gave the last byte.
    pub(super) by_validation: SortedMap<ValidationId, (SegmentKey, Option<PeerId>)>,
}

impl Downloads {
    pub(super) fn of_stream(&self, stream: StreamKey) -> impl Iterator<Item = (&SegmentKey, &Download)> {
        self.by_segment.range(SegmentKey::all_of(stream))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::{ByteRange, SegmentForm, SegmentId};

    #[test]
    fn a_fetch_goes_on_at_the_byte_reached_inside_the_byte_range() {
        let range = ByteRange { first: 100, last: 199 };
        let segment =
            Segment { id: SegmentId(1), url: "u".into(), byte_range: Some(range), start: 0.0, duration: 1.0, form: SegmentForm::Whole };
        let mut download = Download::new(segment, StreamKind::Main, Timestamp::ZERO, false);
        download.bytes.push(Bytes::from_static(&[0; 40]));
        assert_eq!(download.missing_over_http(), HttpRequest { url: "u".into(), first: 140, last: Some(199) });
        assert_eq!((download.remaining(), download.any_peer_may_go_on()), (Some(60), true));
        download.start_over();
        assert_eq!(download.remaining(), Some(100));
    }

    #[test]
    fn a_fetch_is_judged_by_what_it_was_asked_for() {
        let segment = Segment { id: SegmentId(1), url: "u".into(), byte_range: None, start: 0.0, duration: 1.0, form: SegmentForm::Whole };
        let mut download = Download::new(segment, StreamKind::Main, Timestamp::ZERO, false);
        let (until_40, all) = (download.over_http(10, Some(40)), download.over_http(10, None));
        assert_eq!((download.end_of_fetch(&until_40), download.end_of_fetch(&all)), (Some(40), None));
        // What follows was given up meanwhile, and the size is known.
        download.total = Some(100);
        assert_eq!(download.end_of_fetch(&until_40), Some(40));
        download.total = Some(30);
        assert_eq!(download.end_of_fetch(&until_40), Some(30), "the origin has no more");
    }
}
