//! How a media playlist is asked for again, and where playing it begins: delivery directives, reload intervals, hold-back, rendition
//! reports (RFC 8216bis, sections 6.2.5 and 6.3). The clock is the caller's.

use crate::playlist::{MediaPlaylist, MediaSegment, Part, RenditionReport};

/// Target duration where a playlist does not say its own.
const FALLBACK_TARGET_DURATION_SECONDS: f64 = 6.0;
/// Where playing begins, in target durations (or part targets) before the end, where the playlist does not say.
const DEFAULT_HOLD_BACK: f64 = 3.0;
const SEQUENCE: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";

/// A place in a playlist that a blocking reload waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaylistPosition {
    /// A media sequence number (`_HLS_msn`).
    pub sequence: u64,
    /// A part of that segment (`_HLS_part`), which counts from 0; the whole segment when absent.
    pub part: Option<u32>,
}

impl PlaylistPosition {
    /// The URL that asks for a version of the playlist at `url` that holds this place; a server that can block answers once there is one.
    /// Other query parameters stay as they are and where they are.
    pub fn reload_url(self, url: &str) -> String {
        directed_url(url, Some(self), false)
    }
}

impl MediaPlaylist {
    /// A listed segment by its media sequence number.
    pub fn segment(&self, sequence: u64) -> Option<&MediaSegment> {
        self.segments.get(usize::try_from(sequence.checked_sub(self.first_sequence())?).ok()?)
    }

    /// The parts of the segment that is not complete yet.
    pub fn trailing_parts(&self) -> &[Part] {
        let next = self.next_sequence();
        let complete = self.parts.iter().rposition(|part| part.sequence != next).map_or(0, |last| last + 1);
        &self.parts[complete..]
    }

    /// True when the server holds a request back until there is something new (CAN-BLOCK-RELOAD): reload again as soon as an answer is in.
    pub fn can_block_reload(&self) -> bool {
        self.live && self.server_control.can_block_reload == Some(true)
    }

    /// The first place that this version does not hold yet.
    pub fn next_position(&self) -> PlaylistPosition {
        let part = self.part_target.map(|_| self.trailing_parts().last().map_or(0, |last| last.index.saturating_add(1)));
        PlaylistPosition { sequence: self.next_sequence(), part }
    }

    /// The last place that this version holds; `None` without segments and parts.
    pub fn last_position(&self) -> Option<PlaylistPosition> {
        let last_part = self.parts.last().filter(|part| part.sequence >= self.next_sequence().saturating_sub(1));
        match (last_part, self.segments.last()) {
            (Some(part), _) => Some(PlaylistPosition { sequence: part.sequence, part: Some(part.index) }),
            (None, Some(segment)) => Some(PlaylistPosition { sequence: segment.sequence, part: None }),
            (None, None) => None,
        }
    }

    /// The URL of the next reload of this playlist, which is at `url`: a blocking one where the server can block, for a delta update where
    /// that is allowed. Delivery directives in `url` are replaced; other query parameters stay as they are and where they are.
    ///
    /// `age_seconds` is the time since this version was loaded. Pass `None` when no delta update can be used, as when the timeline
    /// [lacks segments](crate::StreamTimeline::lacks_segments) that one would skip.
    pub fn reload_url(&self, url: &str, age_seconds: Option<f64>) -> String {
        let position = self.can_block_reload().then(|| self.next_position());
        // Section 6.2.5.1: of a version that is older than half the skip boundary too much may be skipped.
        let skips = age_seconds.zip(self.server_control.can_skip_until).is_some_and(|(age, boundary)| age <= boundary / 2.0);
        directed_url(url, position, skips && self.live)
    }

    /// Seconds from the beginning of one load to the next where the server does not block (section 6.3.4): the target duration, or that
    /// of parts if it has any; half of it when nothing had changed. `None` when the playlist has ended.
    pub fn reload_interval(&self, has_changed: bool) -> Option<f64> {
        let target = self.part_target.filter(|&seconds| seconds > 0.0).unwrap_or_else(|| self.target_duration_or_default());
        self.live.then_some(if has_changed { target } else { target / 2.0 })
    }

    /// Seconds between where playing a live stream should begin, at the latest, and the end of what is listed (section 4.4.3.8).
    /// `with_parts` is for a player that plays parts: then the end is that of the last part.
    pub fn hold_back(&self, with_parts: bool) -> f64 {
        let positive = |seconds: &f64| *seconds > 0.0;
        if with_parts && let Some(part_target) = self.part_target.filter(positive) {
            return self.server_control.part_hold_back.filter(positive).unwrap_or(DEFAULT_HOLD_BACK * part_target);
        }
        let told = self.server_control.hold_back.filter(positive);
        told.unwrap_or_else(|| DEFAULT_HOLD_BACK * self.target_duration_or_default())
    }

    /// Where another rendition stands, by this playlist's report on it: what the first load of that rendition should ask for
    /// ([`PlaylistPosition::reload_url`]) so that no cache answers with less. `None` without a report.
    pub fn reported_position(&self, rendition_url: &str) -> Option<PlaylistPosition> {
        let wanted = undirected(rendition_url);
        let report = self.rendition_reports.iter().find(|report| undirected(&report.url) == wanted)?;
        let position = self.position_in(report)?;
        Some(PlaylistPosition { part: position.part.filter(|_| self.part_target.is_some()), ..position })
    }

    /// Where the rendition of a report stands. What the report leaves out is as in this playlist (section 4.4.5.4).
    pub(crate) fn position_in(&self, report: &RenditionReport) -> Option<PlaylistPosition> {
        let own = self.last_position();
        let sequence = report.last_sequence.or(own.map(|own| own.sequence))?;
        let part = report.last_part.and_then(|part| u32::try_from(part).ok()).or(own.and_then(|own| own.part));
        Some(PlaylistPosition { sequence, part })
    }

    fn target_duration_or_default(&self) -> f64 {
        self.target_duration.filter(|&seconds| seconds > 0.0).unwrap_or(FALLBACK_TARGET_DURATION_SECONDS)
    }
}

/// `url` with these delivery directives and no others, in the order that section 6.2.5 wants for the sake of caches.
fn directed_url(url: &str, position: Option<PlaylistPosition>, skips: bool) -> String {
    let mut directed = undirected(url);
    let mut add = |name: &str, value: &str| {
        let mark = if directed.contains('?') { '&' } else { '?' };
        // After a query that is empty or ends in `&` no mark is needed.
        if !directed.ends_with(['?', '&']) {
            directed.push(mark);
        }
        directed.extend([name, "=", value]);
    };
    if let Some(PlaylistPosition { sequence, part }) = position {
        add(SEQUENCE, &sequence.to_string());
        if let Some(part) = part {
            add(PART, &part.to_string());
        }
    }
    if skips {
        add(SKIP, "YES");
    }
    directed
}

/// `url` without delivery directives and fragment.
fn undirected(url: &str) -> String {
    let url = url.split('#').next().unwrap_or(url);
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let is_directive = |parameter: &&str| [SEQUENCE, PART, SKIP].contains(&parameter.split('=').next().unwrap_or(parameter));
    if !query.split('&').any(|parameter| is_directive(&parameter)) {
        return url.to_owned();
    }
    let others: Vec<&str> = query.split('&').filter(|parameter| !is_directive(parameter)).collect();
    if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Playlist, Variables, parse};

    const URL: &str = "https://a.example/live/v.m3u8";

    fn read(lines: &str) -> MediaPlaylist {
        match parse(format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{lines}").as_bytes(), URL, &Variables::default()).unwrap() {
            Playlist::Media(playlist) => playlist,
            Playlist::Multivariant(_) => panic!("not a media playlist"),
        }
    }

    const CONTROL: &str = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.2,CAN-SKIP-UNTIL=24,HOLD-BACK=13\n";
    const SEGMENT: &str = "#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:4,\ns7\n";
    const PARTS: &str = "#EXT-X-PART-INF:PART-TARGET=0.4\n#EXT-X-PART:DURATION=0.4,URI=\"p8.0\"\n#EXT-X-PART:DURATION=0.4,URI=\"p8.1\"\n";

    #[test]
    fn a_reload_waits_for_the_first_part_that_is_not_listed() {
        let next = |text: &str| read(text).next_position();
        assert_eq!(next(SEGMENT), PlaylistPosition { sequence: 8, part: None });
        assert_eq!(next(&format!("{SEGMENT}{PARTS}")), PlaylistPosition { sequence: 8, part: Some(2) });
        assert_eq!(next(&format!("{SEGMENT}{PARTS}#EXTINF:0.8,\ns8\n")), PlaylistPosition { sequence: 9, part: Some(0) });
        assert_eq!(read(&format!("{SEGMENT}{PARTS}")).last_position(), Some(PlaylistPosition { sequence: 8, part: Some(1) }));
        assert_eq!(read(SEGMENT).last_position(), Some(PlaylistPosition { sequence: 7, part: None }));
    }

    #[test]
    fn directives_are_for_servers_that_know_them() {
        let plain = read(SEGMENT);
        assert_eq!((plain.can_block_reload(), plain.reload_url(URL, Some(0.0))), (false, URL.to_owned()));
        let live = read(&format!("{CONTROL}{SEGMENT}{PARTS}"));
        assert!(live.can_block_reload());
        assert_eq!(live.reload_url(URL, None), format!("{URL}?_HLS_msn=8&_HLS_part=2"));
        assert_eq!(live.reload_url(URL, Some(12.0)), format!("{URL}?_HLS_msn=8&_HLS_part=2&_HLS_skip=YES"));
        assert_eq!(live.reload_url(URL, Some(12.1)), format!("{URL}?_HLS_msn=8&_HLS_part=2"));
        let ended = read(&format!("{CONTROL}{SEGMENT}#EXT-X-ENDLIST\n"));
        assert_eq!((ended.can_block_reload(), ended.reload_url(URL, Some(0.0))), (false, URL.to_owned()));
    }

    #[test]
    fn other_query_parameters_stay_as_they_are() {
        let position = PlaylistPosition { sequence: 3, part: Some(1) };
        for (url, expected) in [
            ("https://a/v?b=%2F+x&a", "https://a/v?b=%2F+x&a&_HLS_msn=3&_HLS_part=1"),
            ("https://a/v?", "https://a/v?_HLS_msn=3&_HLS_part=1"),
            ("https://a/v?a&", "https://a/v?a&_HLS_msn=3&_HLS_part=1"),
            ("https://a/v?_HLS_msn=2&a=1&_HLS_part=9&_HLS_skip=YES#f", "https://a/v?a=1&_HLS_msn=3&_HLS_part=1"),
            ("https://a/v?_HLS_msn=2", "https://a/v?_HLS_msn=3&_HLS_part=1"),
            ("https://a/v?_HLS_msnx=2", "https://a/v?_HLS_msnx=2&_HLS_msn=3&_HLS_part=1"),
        ] {
            assert_eq!(position.reload_url(url), expected);
        }
        assert_eq!(PlaylistPosition { sequence: 3, part: None }.reload_url("https://a/v"), "https://a/v?_HLS_msn=3");
    }

    #[test]
    fn intervals_follow_what_is_added() {
        assert_eq!((read(SEGMENT).reload_interval(true), read(SEGMENT).reload_interval(false)), (Some(4.0), Some(2.0)));
        let with_parts = read(&format!("{SEGMENT}{PARTS}"));
        assert_eq!((with_parts.reload_interval(true), with_parts.reload_interval(false)), (Some(0.4), Some(0.2)));
        assert_eq!(read(&format!("{SEGMENT}#EXT-X-ENDLIST\n")).reload_interval(true), None);
    }

    #[test]
    fn playing_begins_where_the_server_says() {
        let silent = read(&format!("{SEGMENT}{PARTS}"));
        assert_eq!((silent.hold_back(false), silent.hold_back(true)), (12.0, 3.0 * 0.4));
        assert_eq!(read(SEGMENT).hold_back(true), 12.0);
        let told = read(&format!("{CONTROL}{SEGMENT}{PARTS}"));
        assert_eq!((told.hold_back(false), told.hold_back(true)), (13.0, 1.2));
    }

    #[test]
    fn reports_tell_where_other_renditions_stand() {
        let reports = "#EXT-X-RENDITION-REPORT:URI=\"../a.m3u8?t=1\",LAST-MSN=9,LAST-PART=3\n#EXT-X-RENDITION-REPORT:URI=\"b.m3u8\"\n";
        let playlist = read(&format!("{SEGMENT}{PARTS}{reports}"));
        let reported = |url: &str| playlist.reported_position(url).map(|position| (position.sequence, position.part));
        assert_eq!(reported("https://a.example/a.m3u8?t=1&_HLS_msn=1"), Some((9, Some(3))));
        assert_eq!(reported("https://a.example/live/b.m3u8"), Some((8, Some(1))));
        assert_eq!(reported("https://a.example/live/c.m3u8"), None);
        let whole = read(&format!("{SEGMENT}{reports}"));
        assert_eq!(whole.reported_position("https://a.example/a.m3u8?t=1").map(|position| position.part), Some(None));
    }
}
