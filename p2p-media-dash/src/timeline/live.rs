//! When a presentation goes on: the live edge, where to begin, and when to look for the next version of the MPD.

use std::sync::Arc;

use p2p_media_core::media::{SegmentForm, StreamKind};

use super::PresentationTimeline;
use super::version::{Span, View};
use crate::mpd::{Addressing, SegmentTimes};

/// Never more often than this, in seconds, is an MPD fetched, whatever it says.
const SHORTEST_REFRESH_SECONDS: f64 = 0.5;

/// How long a segment is taken to be when nothing says, in seconds.
const FALLBACK_SEGMENT_SECONDS: f64 = 4.0;

/// How far behind the edge the newest segment is looked for first, in seconds.
const NEAR_SECONDS: f64 = 30.0;

/// How many segments behind the live edge playing begins when the MPD does not say.
const SEGMENTS_BEHIND_EDGE: f64 = 3.0;

impl PresentationTimeline {
    /// True while more segments are to come, or the MPD may change.
    pub fn is_live(&self, now: f64) -> bool {
        let mpd = self.mpd();
        if !mpd.live || mpd.availability_end.is_some_and(|end| end <= now) {
            return false;
        }
        // Without an end, or with one that a later version may move.
        let end = match mpd.minimum_update_period {
            Some(_) => mpd.duration.map(|duration| mpd.periods.first().map_or(0.0, |first| first.start) + duration),
            None => self.end(),
        };
        end.is_none_or(|end| now < mpd.availability_start + end)
    }

    /// Where the presentation ends, in seconds on the timeline, where that is known.
    pub fn end(&self) -> Option<f64> {
        let last = self.mpd().periods.last()?;
        Some(last.start + last.duration?)
    }

    /// Where the newest media ends that is finished at `now`, in seconds on the timeline, for both video and audio; the end of a static presentation.
    /// `None` when there is nothing yet.
    pub fn live_edge(&self, now: f64) -> Option<f64> {
        if !self.mpd().live
            && let Some(end) = self.end()
        {
            return Some(end);
        }
        let edge_of = |kind: StreamKind| {
            let streams = (0..self.streams().len()).filter(|&stream| self.streams()[stream].kind == kind);
            streams.filter_map(|stream| self.view(stream, now).newest_end()).reduce(f64::max)
        };
        let (main, secondary) = (edge_of(StreamKind::Main), edge_of(StreamKind::Secondary));
        main.zip(secondary).map(|(main, secondary)| main.min(secondary)).or(main).or(secondary)
    }

    /// Where playing should begin: as far behind the clock as a dynamic MPD suggests (or else three segments) but within what is available, or at
    /// the beginning of a static one.
    ///
    /// In a low-latency presentation (segments available before they are finished) the target latency of its ServiceDescription comes first.
    pub fn start_position(&self, now: f64) -> f64 {
        let mpd = self.mpd();
        let beginning = mpd.periods.first().map_or(0.0, |period| period.start);
        if !mpd.live {
            return beginning;
        }
        let segment_seconds = self.segment_seconds(now);
        let is_chunked = self.has_chunked_segments();
        let (suggested, target) = (mpd.suggested_presentation_delay, mpd.target_latency);
        let delay = if is_chunked { target.or(suggested) } else { suggested.or(target) }.unwrap_or(SEGMENTS_BEHIND_EDGE * segment_seconds);
        let wanted = now - mpd.availability_start - delay;
        let Some(edge) = self.live_edge(now) else { return wanted.max(beginning) };
        // At the edge itself chunks come in, of whole segments none is there.
        let latest = if is_chunked { edge } else { edge - segment_seconds };
        let firsts = (0..self.streams().len()).filter_map(|stream| Some(self.view(stream, now).items().next()?.1.place.start));
        let earliest = firsts.reduce(f64::min).unwrap_or(beginning);
        wanted.min(latest).max(earliest)
    }

    /// When [`PresentationTimeline::update`] will have something to tell though the MPD stays as it is: a segment becomes available, is
    /// finished, or leaves the window. Seconds since 1970, later than `now`. May be late where an MPD has segments out of order.
    pub fn next_change(&self, stream: usize, now: f64) -> Option<f64> {
        if !self.mpd().live {
            return None;
        }
        let changes = self.view(stream, now).spans().flat_map(|span| {
            let next = span.representation.next_available(self.mpd(), span.period, now);
            next.into_iter().chain(span.next_finished()).chain(span.next_left())
        });
        changes.filter(|&at| at > now && at.is_finite()).reduce(f64::min)
    }

    /// Seconds from the fetch of one version to that of the next: minimumUpdatePeriod; where that is zero (the MPD may change at any time), the
    /// duration of a segment. Absent when the MPD will not change.
    pub fn refresh_after(&self) -> Option<f64> {
        let mpd = self.mpd();
        let period = mpd.minimum_update_period.filter(|_| mpd.live)?;
        let seconds = if period > 0.0 {
            period
        } else {
            mpd.max_segment_duration.or_else(|| self.listed_segment_seconds()).unwrap_or(FALLBACK_SEGMENT_SECONDS)
        };
        Some(seconds.max(SHORTEST_REFRESH_SECONDS))
    }

    /// Where the next version is: the first of [`crate::Mpd::locations`], or else `url`, from where this version came.
    pub fn next_mpd_url(&self, url: &str) -> Arc<str> {
        self.mpd().locations.first().cloned().unwrap_or_else(|| Arc::from(url))
    }

    /// Where the difference from this version to the next one is ([`crate::apply_patch`]), while the server keeps it.
    pub fn patch_url(&self, now: f64) -> Option<Arc<str>> {
        let patch = self.mpd().patch_location.as_ref()?;
        // Without them nobody could tell which version a patch is for.
        let published = self.mpd().publish_time?;
        self.mpd().id.as_ref()?;
        let is_kept = patch.ttl.is_none_or(|ttl| now < published + ttl);
        is_kept.then(|| Arc::clone(&patch.url))
    }

    fn view(&self, stream: usize, now: f64) -> View<'_> {
        View { version: &self.version, stream, now }
    }

    fn has_chunked_segments(&self) -> bool {
        let Some(last) = self.mpd().periods.last() else { return false };
        last.representations.iter().any(|representation| representation.is_chunked && representation.availability_time_offset > 0.0)
    }

    /// How long the newest segments are.
    fn segment_seconds(&self, now: f64) -> f64 {
        let newest = (0..self.streams().len())
            .find_map(|stream| self.view(stream, now).spans().rev().find_map(|span| span.segments().newest(1).places().next()));
        let seconds = newest.map(|place| place.nominal_duration).or(self.mpd().max_segment_duration);
        seconds.filter(|&seconds| seconds > 0.0).unwrap_or(FALLBACK_SEGMENT_SECONDS)
    }

    /// How long the MPD says that segments are, without a clock.
    fn listed_segment_seconds(&self) -> Option<f64> {
        let representations = self.mpd().periods.last()?.representations.iter();
        let seconds = representations.filter_map(|representation| match &representation.addressing {
            Addressing::Template(template) => match &template.times {
                SegmentTimes::Duration(ticks) => Some(ticks / template.timescale as f64),
                SegmentTimes::Timeline(entries) => Some(entries.last()?.duration as f64 / template.timescale as f64),
                SegmentTimes::Unknown => None,
            },
            _ => None,
        });
        seconds.filter(|&seconds| seconds > 0.0).reduce(f64::max)
    }
}

impl View<'_> {
    /// Where the newest finished segment ends.
    fn newest_end(self) -> Option<f64> {
        self.spans().rev().find_map(|span| span.newest_end())
    }
}

impl Span<'_> {
    fn newest_end(&self) -> Option<f64> {
        // Mostly it is near, or where the MPD ends; but anything may be missing.
        let near = self.last_start().unwrap_or(f64::INFINITY).min(self.settled_until()) - NEAR_SECONDS;
        [near, f64::NEG_INFINITY].into_iter().find_map(|from| {
            let finished = self.clone().items_ending_after(from).filter(|item| item.form == SegmentForm::Whole);
            finished.last().map(|item| item.place.end())
        })
    }

    fn next_finished(&self) -> Option<f64> {
        if !self.representation.is_chunked {
            return None;
        }
        let mut unsettled = self.clone().items_ending_after(self.settled_until());
        unsettled.find(|item| item.form == SegmentForm::Unfinished).map(|item| item.place.finished_at)
    }

    /// When the first segment leaves the window: where segments are not listed, but worked out of the time.
    fn next_left(&self) -> Option<f64> {
        let mpd = &self.view.version.mpd;
        let depth = mpd.time_shift_buffer_depth?;
        let is_windowed = self.template().is_some_and(|template| matches!(template.times, SegmentTimes::Duration(_)));
        let first = self.clone().items().next().filter(|_| is_windowed)?;
        Some(mpd.availability_start + first.place.start + first.place.nominal_duration + depth)
    }
}
