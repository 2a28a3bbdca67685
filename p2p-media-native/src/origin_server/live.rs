//! Replays VOD playlists as endless live ones. What a playlist says and which segments exist are functions of the time alone.

use std::{
    collections::HashMap,
    fmt::Write,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    fmp4_time::Timescales,
    playlist::{VodPlaylist, VodSegment},
};

/// Query parameter that tells the URL of a segment in one pass over the VOD from the same segment in the next.
const LOOP_PARAMETER: &str = "loop";

/// When the replay began, and how much of it a playlist shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveClock {
    /// The moment at which the first segment began.
    pub(super) epoch: SystemTime,
    /// Length of the sliding window.
    pub(super) window: Duration,
}

/// One media playlist that is replayed.
#[derive(Clone, Debug)]
pub(super) struct LivePlaylist {
    vod: VodPlaylist,
    /// Length of one pass in microseconds; the same for all renditions of a presentation, so that they stay together.
    pub(super) loop_us: u64,
    /// For each segment, how many discontinuities one pass has had, its own included.
    discontinuities: Vec<u64>,
}

impl LivePlaylist {
    /// `loop_us` is raised to the length of the playlist.
    pub(super) fn new(vod: VodPlaylist, loop_us: u64) -> Self {
        let loop_us = loop_us.max(vod.length_us());
        let count = |total: &mut u64, segment: &VodSegment| {
            *total += u64::from(segment.discontinuity);
            Some(*total)
        };
        let discontinuities = vod.segments.iter().scan(0, count).collect();
        Self { vod, loop_us, discontinuities }
    }

    /// The playlist when the replay has run for `elapsed`: the segments that ended by then and not before the window.
    pub(super) fn text(&self, clock: &LiveClock, elapsed: Duration) -> String {
        let now_us = micros(elapsed);
        let window_start_us = now_us.saturating_sub(micros(clock.window));
        let per_loop = self.vod.segments.len();
        let mut pass = window_start_us / self.loop_us;
        let mut index = self.vod.segments.partition_point(|segment| segment.end_us <= window_start_us % self.loop_us);
        if index == per_loop {
            (pass, index) = (pass + 1, 0);
        }

        let mut text = String::from("#EXTM3U\n");
        let mut line = |line: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{line}"); // writing to a String cannot fail
        };
        line(format_args!("#EXT-X-VERSION:{}", self.vod.version));
        line(format_args!("#EXT-X-TARGETDURATION:{}", self.vod.target_duration_seconds));
        line(format_args!("#EXT-X-MEDIA-SEQUENCE:{}", pass * per_loop as u64 + index as u64));
        line(format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuities_before(pass, index)));
        for tag in &self.vod.header {
            line(format_args!("{tag}"));
        }

        let mut context: &[_] = &[];
        let mut first = true;
        loop {
            let segment = &self.vod.segments[index];
            let start_us = pass * self.loop_us + index.checked_sub(1).map_or(0, |before| self.vod.segments[before].end_us);
            if pass * self.loop_us + segment.end_us > now_us {
                return text;
            }
            let discontinuity = self.has_discontinuity(pass, index);
            if discontinuity {
                line(format_args!("#EXT-X-DISCONTINUITY"));
            }
            let is_key = |line: &Arc<str>| line.starts_with("#EXT-X-KEY");
            if context.iter().any(is_key) && !segment.context.iter().any(is_key) {
                line(format_args!("#EXT-X-KEY:METHOD=NONE"));
            }
            for tag in segment.context.iter().filter(|tag| !context.contains(tag)) {
                line(format_args!("{tag}"));
            }
            if first || discontinuity {
                let date = humantime::format_rfc3339_millis(clock.epoch + Duration::from_micros(start_us));
                line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{date}"));
            }
            for tag in &segment.tags {
                line(format_args!("{tag}"));
            }
            if let Some((offset, length)) = segment.byte_range {
                line(format_args!("#EXT-X-BYTERANGE:{length}@{offset}"));
            }
            line(format_args!("{}", uri_in_pass(&segment.uri, pass)));
            (context, first) = (&segment.context, false);
            index += 1;
            if index == per_loop {
                (pass, index) = (pass + 1, 0);
            }
        }
    }

    /// How many passes a window touches at most.
    pub(super) fn passes_in(&self, window: Duration) -> u64 {
        micros(window) / self.loop_us + 2
    }

    pub(super) fn target_duration(&self) -> Duration {
        Duration::from_secs(self.vod.target_duration_seconds)
    }

    /// Whether the segment begins a new timeline: every pass after the first does.
    fn has_discontinuity(&self, pass: u64, index: usize) -> bool {
        if index == 0 { pass > 0 } else { self.vod.segments[index].discontinuity }
    }

    fn discontinuities_before(&self, pass: u64, index: usize) -> u64 {
        let per_loop = self.discontinuities.last().copied().unwrap_or(0);
        pass + pass * per_loop + self.discontinuities[index] - u64::from(self.has_discontinuity(pass, index))
    }
}

/// When each file, or part of a file, comes into being.
#[derive(Clone, Debug, Default)]
pub(super) struct Production {
    files: HashMap<String, ProducedFile>,
}

#[derive(Clone, Debug)]
struct ProducedFile {
    loop_us: u64,
    timescales: Arc<Timescales>,
    segments: Vec<(Option<RangeInclusive<u64>>, u64)>,
}

impl Production {
    /// Adds the segments of a playlist; `path_of` gives the file that a URI names, if it is one of ours, and `timescales_of` reads the init
    /// segment that an EXT-X-MAP line names.
    pub(super) fn add(
        &mut self,
        playlist: &LivePlaylist,
        path_of: impl Fn(&str) -> Option<String>,
        timescales_of: impl Fn(&str) -> Timescales,
    ) {
        let mut inits: HashMap<&str, Arc<Timescales>> = HashMap::new();
        for segment in &playlist.vod.segments {
            let Some(path) = path_of(&segment.uri) else { continue };
            let map = segment.context.iter().find(|line| line.starts_with("#EXT-X-MAP")).map_or("", |line| line);
            let timescales = inits.entry(map).or_insert_with(|| Arc::new(timescales_of(map))).clone();
            let range = segment.byte_range.map(|(offset, length)| offset..=(offset + length).saturating_sub(1));
            let new = ProducedFile { loop_us: playlist.loop_us, timescales, segments: Vec::new() };
            self.files.entry(path).or_insert(new).segments.push((range, segment.end_us));
        }
    }

    /// Whether the requested bytes (all when `None`) of a file exist in the pass that the query names. Files that are no segments, such as
    /// init segments, and the parts of a file before its segments always exist.
    pub(super) fn exists(&self, path: &str, query: &str, requested: Option<RangeInclusive<u64>>, elapsed: Duration) -> bool {
        let Some(file) = self.files.get(path) else { return true };
        let requested = requested.unwrap_or(0..=u64::MAX);
        let overlaps = |range: &RangeInclusive<u64>| range.start() <= requested.end() && requested.start() <= range.end();
        let wanted = file.segments.iter().filter(|(range, _)| range.as_ref().is_none_or(overlaps));
        let Some(last_end_us) = wanted.map(|(_, end_us)| *end_us).max() else { return true };
        pass_of_query(query).saturating_mul(file.loop_us).saturating_add(last_end_us) <= micros(elapsed)
    }

    /// What has to be done to a file for the pass that the query names. `None` when it can be sent as it is.
    pub(super) fn delay(&self, path: &str, query: &str) -> Option<Delay> {
        let file = self.files.get(path).filter(|file| !file.timescales.is_empty())?;
        let microseconds = pass_of_query(query).saturating_mul(file.loop_us);
        (microseconds > 0).then(|| Delay { microseconds, timescales: file.timescales.clone() })
    }
}

/// How a segment differs from its file in a later pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delay {
    pub(super) microseconds: u64,
    pub(super) timescales: Arc<Timescales>,
}

fn uri_in_pass(uri: &str, pass: u64) -> String {
    let foreign = uri.contains("://") || uri.starts_with("//"); // another origin may have signed its query
    if pass == 0 || foreign {
        return uri.into();
    }
    let (resource, fragment) = uri.split_at(uri.find('#').unwrap_or(uri.len()));
    let separator = if resource.contains('?') { '&' } else { '?' };
    format!("{resource}{separator}{LOOP_PARAMETER}={pass}{fragment}")
}

fn pass_of_query(query: &str) -> u64 {
    let parameter = |pair: &str| pair.strip_prefix(LOOP_PARAMETER)?.strip_prefix('=')?.parse().ok();
    query.split('&').rev().find_map(parameter).unwrap_or(0)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOD: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2.000000,\n0.m4s\n#EXTINF:2.000000,\n1.m4s\n#EXTINF:1.500000,\n2.m4s\n#EXT-X-ENDLIST\n";

    fn clock(window_seconds: u64) -> LiveClock {
        LiveClock { epoch: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000), window: Duration::from_secs(window_seconds) }
    }

    fn live(vod: &str, loop_us: u64) -> LivePlaylist {
        LivePlaylist::new(VodPlaylist::parse(vod).unwrap(), loop_us)
    }

    fn at(playlist: &LivePlaylist, window_seconds: u64, milliseconds: u64) -> String {
        playlist.text(&clock(window_seconds), Duration::from_millis(milliseconds))
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

    #[test]
    fn segments_exist_when_they_have_ended() {
        let mut production = Production::default();
        production.add(&live(VOD, 6_000_000), |uri| Some(format!("v/{uri}")), |_| Timescales::from([(1, 90_000)]));
        let exists = |path: &str, query: &str, milliseconds| production.exists(path, query, None, Duration::from_millis(milliseconds));
        assert!(exists("v/init.mp4", "", 0));
        assert!(!exists("v/0.m4s", "", 1_999));
        assert!(exists("v/0.m4s", "", 2_000));
        assert!(exists("v/0.m4s", "loop=nonsense", 2_000));
        assert!(!exists("v/1.m4s", "token=a&loop=1", 9_999));
        assert!(exists("v/1.m4s", "token=a&loop=1", 10_000));
        assert!(!exists("v/1.m4s", "loop=18446744073709551615", 10_000));

        let microseconds = |path, query| production.delay(path, query).map(|delay| delay.microseconds);
        assert_eq!(microseconds("v/1.m4s", ""), None);
        assert_eq!(microseconds("v/1.m4s", "loop=2"), Some(12_000_000));
        assert_eq!(microseconds("v/init.mp4", "loop=2"), None);
    }

    #[test]
    fn parts_of_a_file_exist_one_after_the_other() {
        let text = "#EXTM3U\n#EXT-X-MAP:URI=\"m.mp4\",BYTERANGE=\"10@0\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:5@10\nm.mp4\n#EXTINF:1,\n\
            #EXT-X-BYTERANGE:5\nm.mp4\n";
        let mut production = Production::default();
        production.add(&live(text, 0), |uri| Some(uri.into()), |_| Timescales::new());
        let exists = |range, seconds| production.exists("m.mp4", "", range, Duration::from_secs(seconds));
        assert!(exists(Some(0..=9), 0));
        assert!(!exists(Some(10..=14), 0));
        assert!(exists(Some(10..=14), 1));
        assert!(!exists(Some(14..=15), 1));
        assert!(!exists(None, 1));
        assert!(exists(None, 2));
    }
}
