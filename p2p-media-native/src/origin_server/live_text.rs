//! Writes live HLS playlists (RFC 8216; for low latency draft-pantos-hls-rfc8216bis).

use std::{
    fmt::{self, Write},
    sync::Arc,
    time::Duration,
};

use super::{
    live::{LiveClock, LivePlaylist, PlaylistParts, micros},
    parts::Part,
    passes::Position,
    production::uri_in_pass,
};

/// What a client must keep behind the last part, in part target durations (section 4.4.3.8: 2 at least, 3 recommended).
const PART_HOLD_BACK: u64 = 3;
/// How far from the end segments are that a delta update leaves out, in target durations (section 4.4.3.8: 6 at least).
const SKIP_BOUNDARY: u64 = 6;
/// How far from the end segments are whose parts are no longer listed, in target durations (section 4.4.4.9).
const LISTED_PARTS: u64 = 3;
/// EXT-X-SKIP needs this version (section 8).
const SKIP_VERSION: u64 = 9;

/// Beside the playlist itself.
#[derive(Clone, Debug, Default)]
pub(super) struct TextOptions {
    /// Leave out what a client knows already.
    pub(super) is_delta: bool,
    /// The EXT-X-RENDITION-REPORT lines.
    pub(super) rendition_reports: String,
}

impl LivePlaylist {
    /// The playlist when the replay has run for `elapsed`: the segments that ended by then and not before the window, and the parts of the
    /// segment that has not.
    pub(super) fn text(&self, clock: &LiveClock, elapsed: Duration, options: &TextOptions) -> String {
        let now_us = micros(elapsed);
        let mut text = Text { playlist: self, clock, now_us, text: String::from("#EXTM3U\n"), context: &[], is_first: true };
        let mut at = self.passes.first_ending_after(now_us.saturating_sub(micros(clock.window)));
        text.head(at);
        if options.is_delta {
            at = text.skip(at);
        }
        while self.passes.end_us(at) <= now_us {
            text.segment(at);
            at = self.passes.next(at);
        }
        if let Some(low_latency) = &self.low_latency {
            text.open_segment(at, low_latency);
            text.text.push_str(&options.rendition_reports);
        }
        text.text
    }

    /// What the playlists of the other renditions say of this one, which they name so.
    pub(super) fn rendition_report(&self, uri: &str, now_us: u64) -> String {
        let Some((sequence, part)) = self.edge(now_us) else { return String::new() };
        let part = part.map(|part| format!(",LAST-PART={part}")).unwrap_or_default();
        format!("#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN={sequence}{part}\n")
    }

    /// When the last segment or part ends that there is by then.
    fn end_of_listed_us(&self, now_us: u64) -> u64 {
        let open = self.passes.first_ending_after(now_us);
        let ended = self.ended_parts(open, now_us).checked_sub(1).and_then(|last| self.parts(open).get(last));
        self.passes.start_us(open).min(now_us) + ended.map_or(0, |part| part.end_us)
    }
}

/// A playlist being written.
struct Text<'a> {
    playlist: &'a LivePlaylist,
    clock: &'a LiveClock,
    now_us: u64,
    text: String,
    /// The tags in force.
    context: &'a [Arc<str>],
    is_first: bool,
}

impl Text<'_> {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}"); // writing to a String cannot fail
    }

    fn head(&mut self, first: Position) {
        let playlist = self.playlist;
        let vod = &playlist.vod;
        let version = if playlist.low_latency.is_some() { vod.version.max(SKIP_VERSION) } else { vod.version };
        self.line(format_args!("#EXT-X-VERSION:{version}"));
        self.line(format_args!("#EXT-X-TARGETDURATION:{}", vod.target_duration_seconds));
        if let Some(low_latency) = &playlist.low_latency {
            let (hold_back, skip) = (low_latency.target_us * PART_HOLD_BACK, vod.target_duration_seconds * SKIP_BOUNDARY);
            self.line(format_args!(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},CAN-SKIP-UNTIL={skip}",
                Seconds(hold_back)
            ));
            self.line(format_args!("#EXT-X-PART-INF:PART-TARGET={}", Seconds(low_latency.target_us)));
        }
        self.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{}", playlist.passes.sequence(first)));
        self.line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", playlist.discontinuities_before(first)));
        for tag in &vod.header {
            self.line(format_args!("{tag}"));
        }
    }

    /// Leaves out what lies before the skip boundary; gives the first segment that does not.
    fn skip(&mut self, first: Position) -> Position {
        let playlist = self.playlist;
        let boundary_us = self.before_end_us(SKIP_BOUNDARY);
        let mut at = first;
        while playlist.passes.end_us(at) <= boundary_us {
            (self.context, self.is_first) = (&playlist.vod.segments[at.index].context, false);
            at = playlist.passes.next(at);
        }
        let skipped = playlist.passes.sequence(at) - playlist.passes.sequence(first);
        if skipped > 0 {
            self.line(format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
        }
        at
    }

    fn before_end_us(&self, target_durations: u64) -> u64 {
        self.playlist.end_of_listed_us(self.now_us).saturating_sub(micros(self.playlist.target_duration()) * target_durations)
    }

    fn segment(&mut self, at: Position) {
        let playlist = self.playlist;
        self.begin(at);
        if let Some(low_latency) = playlist.low_latency.as_ref().filter(|_| playlist.passes.end_us(at) > self.before_end_us(LISTED_PARTS)) {
            self.parts(at, low_latency, playlist.parts(at).len());
        }
        let segment = &playlist.vod.segments[at.index];
        for tag in &segment.tags {
            self.line(format_args!("{tag}"));
        }
        if let Some((offset, length)) = segment.byte_range {
            self.line(format_args!("#EXT-X-BYTERANGE:{length}@{offset}"));
        }
        self.line(format_args!("{}", uri_in_pass(&segment.uri, at.pass, None)));
    }

    /// The tags that apply from this segment on.
    fn begin(&mut self, at: Position) {
        let playlist = self.playlist;
        let segment = &playlist.vod.segments[at.index];
        let discontinuity = playlist.has_discontinuity(at);
        if discontinuity {
            self.line(format_args!("#EXT-X-DISCONTINUITY"));
        }
        let context = self.context;
        let is_key = |line: &Arc<str>| line.starts_with("#EXT-X-KEY");
        if context.iter().any(is_key) && !segment.context.iter().any(is_key) {
            self.line(format_args!("#EXT-X-KEY:METHOD=NONE"));
        }
        for tag in segment.context.iter().filter(|tag| !context.contains(tag)) {
            self.line(format_args!("{tag}"));
        }
        if self.is_first || discontinuity || playlist.low_latency.is_some() {
            let date = humantime::format_rfc3339_millis(self.clock.epoch + Duration::from_micros(playlist.passes.start_us(at)));
            self.line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{date}"));
        }
        (self.context, self.is_first) = (&segment.context, false);
    }

    /// The parts of the segment that has not ended, and which one comes next.
    fn open_segment(&mut self, at: Position, low_latency: &PlaylistParts) {
        let count = self.playlist.ended_parts(at, self.now_us);
        if count > 0 {
            self.begin(at);
            self.parts(at, low_latency, count);
        }
        let Some(next) = self.playlist.parts(at).get(count) else { return };
        let uri = self.part_uri(at, low_latency, count);
        let range = if low_latency.byte_ranges {
            format!(",BYTERANGE-START={},BYTERANGE-LENGTH={}", next.bytes.start, next.bytes.len())
        } else {
            String::new()
        };
        self.line(format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{uri}\"{range}"));
    }

    fn parts(&mut self, at: Position, low_latency: &PlaylistParts, count: usize) {
        let mut start_us = 0;
        for (index, Part { bytes, end_us, is_independent }) in self.playlist.parts(at).iter().enumerate().take(count) {
            let duration = Seconds(end_us - std::mem::replace(&mut start_us, *end_us));
            let uri = self.part_uri(at, low_latency, index);
            let range = if low_latency.byte_ranges { format!(",BYTERANGE=\"{}@{}\"", bytes.len(), bytes.start) } else { String::new() };
            let independent = if *is_independent { ",INDEPENDENT=YES" } else { "" };
            self.line(format_args!("#EXT-X-PART:DURATION={duration},URI=\"{uri}\"{range}{independent}"));
        }
    }

    fn part_uri(&self, at: Position, low_latency: &PlaylistParts, index: usize) -> String {
        let uri = &self.playlist.vod.segments[at.index].uri;
        uri_in_pass(uri, at.pass, (!low_latency.byte_ranges).then_some(index))
    }
}

/// Microseconds, shown as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::origin_server::playlist::VodPlaylist;

    const VOD: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2.000000,\n0.m4s\n#EXTINF:2.000000,\n1.m4s\n#EXTINF:1.500000,\n2.m4s\n#EXT-X-ENDLIST\n";

    fn clock(window_seconds: u64) -> LiveClock {
        LiveClock { epoch: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000), window: Duration::from_secs(window_seconds) }
    }

    fn live(vod: &str, loop_us: u64) -> LivePlaylist {
        LivePlaylist::new(VodPlaylist::parse(vod).unwrap(), loop_us)
    }

    fn at(playlist: &LivePlaylist, window_seconds: u64, milliseconds: u64) -> String {
        playlist.text(&clock(window_seconds), Duration::from_millis(milliseconds), &TextOptions::default())
    }

    #[test]
    fn a_segment_is_listed_once_it_has_ended() {
        let playlist = live(VOD, 0);
        let head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
            #EXT-X-INDEPENDENT-SEGMENTS\n";
        assert_eq!(at(&playlist, 6, 1_999), head);
        let first = "#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n#EXTINF:2.000000,\n0.m4s\n";
        assert_eq!(at(&playlist, 6, 2_000), format!("{head}{first}"));
        assert_eq!(at(&playlist, 6, 4_000), format!("{head}{first}#EXTINF:2.000000,\n1.m4s\n"));
    }

    #[test]
    fn the_window_slides_over_the_seam() {
        let playlist = live(VOD, 6_000_000); // another rendition is half a second longer
        let text = at(&playlist, 6, 10_000);
        let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:2\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n\
            #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:24.000Z\n\
            #EXTINF:1.500000,\n2.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:26.000Z\n#EXTINF:2.000000,\n\
            0.m4s?loop=1\n#EXTINF:2.000000,\n1.m4s?loop=1\n";
        assert_eq!(text, expected);

        let text = at(&playlist, 4, 10_000);
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), "{text}");
        let text = at(&playlist, 4, 12_000);
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{text}");
        assert!(!text.contains("#EXT-X-DISCONTINUITY\n"), "{text}");
    }

    #[test]
    fn a_window_may_span_many_passes() {
        let playlist = live("#EXTM3U\n#EXTINF:1,\na.ts?x\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nhttps://cdn/b.ts\n", 0);
        let text = at(&playlist, 3, 1_000_000);
        let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:997\n#EXT-X-DISCONTINUITY-SEQUENCE:996\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:29:57.000Z\n#EXTINF:1,\nhttps://cdn/b.ts\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:29:58.000Z\n#EXTINF:1,\na.ts?x&loop=499\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:29:59.000Z\n#EXTINF:1,\nhttps://cdn/b.ts\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn keys_end_at_the_seam() {
        let playlist =
            live("#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n#EXTINF:1,\nb.ts\n#EXTINF:1,\nc.ts\n", 0);
        let text = at(&playlist, 3, 4_000);
        let body = text.split_once("DISCONTINUITY-SEQUENCE:0\n").unwrap().1;
        let expected = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:21.000Z\n#EXTINF:1,\nb.ts\n\
            #EXTINF:1,\nc.ts\n#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:23.000Z\n\
            #EXTINF:1,\na.ts?loop=1\n";
        assert_eq!(body, expected);
    }

    #[test]
    fn media_sequence_and_discontinuity_numbers_follow_each_other() {
        let playlist = live("#EXTM3U\n#EXTINF:1,\na\n#EXTINF:1,\nb\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nc\n", 3_200_000);
        let mut numbers = std::collections::BTreeMap::new();
        for milliseconds in (3_000..60_000).step_by(100) {
            let text = at(&playlist, 3, milliseconds);
            let number = |tag: &str| -> u64 { text.lines().find_map(|line| line.strip_prefix(tag)).unwrap().parse().unwrap() };
            let (mut sequence, mut timeline) = (number("#EXT-X-MEDIA-SEQUENCE:"), number("#EXT-X-DISCONTINUITY-SEQUENCE:"));
            for line in text.lines() {
                if line == "#EXT-X-DISCONTINUITY" {
                    timeline += 1;
                } else if !line.starts_with('#') {
                    assert_eq!(*numbers.entry(sequence).or_insert((timeline, line.to_owned())), (timeline, line.to_owned()));
                    sequence += 1;
                }
            }
        }
        assert_eq!(numbers.len(), 56);
    }

    /// Two segments of two parts and one that is offered whole only.
    fn with_parts(byte_ranges: bool) -> LivePlaylist {
        let mut playlist = live(VOD, 0);
        let part = |range: std::ops::Range<usize>, end_us| Part { is_independent: range.start == 0, bytes: range, end_us };
        let parts: Arc<[Part]> = [part(0..10, 1_200_000), part(10..30, 2_000_000)].into();
        let segments = vec![parts.clone(), parts, [].into()];
        playlist.low_latency = Some(PlaylistParts { target_us: 1_200_000, byte_ranges, segments, renditions: Vec::new() });
        playlist
    }

    const LOW_LATENCY_HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.600000,CAN-SKIP-UNTIL=12\n#EXT-X-PART-INF:PART-TARGET=1.200000\n";

    #[test]
    fn parts_are_listed_as_they_end() {
        let playlist = with_parts(false);
        let text = at(&playlist, 6, 3_200);
        let expected = format!(
            "{LOW_LATENCY_HEAD}#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n\
            #EXT-X-PART:DURATION=1.200000,URI=\"0.m4s?part=0\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.800000,URI=\"0.m4s?part=1\"\n\
            #EXTINF:2.000000,\n0.m4s\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.000Z\n\
            #EXT-X-PART:DURATION=1.200000,URI=\"1.m4s?part=0\",INDEPENDENT=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.m4s?part=1\"\n"
        );
        assert_eq!(text, expected);
        assert!(at(&playlist, 6, 4_000).ends_with("#EXTINF:2.000000,\n1.m4s\n"), "no hint for what has no parts");
        assert!(at(&playlist, 6, 5_500).ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"0.m4s?part=0&loop=1\"\n"));

        let text = at(&playlist, 20, 20_000);
        assert_eq!(text.matches("#EXT-X-PART:").count(), 5, "of the last three target durations: {text}");
    }

    #[test]
    fn parts_may_be_ranges_of_their_segment() {
        let text = at(&with_parts(true), 6, 3_200);
        assert!(text.contains("#EXT-X-PART:DURATION=0.800000,URI=\"0.m4s\",BYTERANGE=\"20@10\"\n#EXTINF"), "{text}");
        let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.m4s\",BYTERANGE-START=10,BYTERANGE-LENGTH=20\n";
        assert!(text.ends_with(hint), "{text}");
    }

    #[test]
    fn a_delta_leaves_out_old_segments() {
        let playlist = with_parts(false);
        let (clock, elapsed) = (clock(25), Duration::from_millis(31_200));
        let whole = playlist.text(&clock, elapsed, &TextOptions::default());
        let options = TextOptions { is_delta: true, rendition_reports: "#EXT-X-RENDITION-REPORT:URI=\"other\"\n".into() };
        let delta = playlist.text(&clock, elapsed, &options);
        let (head, rest) = delta.split_once("#EXT-X-SKIP:SKIPPED-SEGMENTS=7\n").unwrap();
        assert!(whole.starts_with(head));
        let rest = rest.strip_suffix(&options.rendition_reports).unwrap();
        assert!(whole.ends_with(rest));
        let listed = |text: &str| text.matches("#EXTINF").count();
        assert_eq!(listed(&whole) - listed(rest), 7);
        let short = playlist.text(&clock, Duration::from_secs(9), &TextOptions { is_delta: true, ..TextOptions::default() });
        assert!(!short.contains("SKIP:"), "{short}");
    }

    #[test]
    fn renditions_report_on_each_other() {
        let report = |ms: u64| with_parts(false).rendition_report("a.m3u8", ms * 1000);
        assert_eq!(report(1_000), "");
        assert_eq!(report(3_200), "#EXT-X-RENDITION-REPORT:URI=\"a.m3u8\",LAST-MSN=1,LAST-PART=0\n");
        assert_eq!(report(5_500), "#EXT-X-RENDITION-REPORT:URI=\"a.m3u8\",LAST-MSN=2\n");
    }
}
