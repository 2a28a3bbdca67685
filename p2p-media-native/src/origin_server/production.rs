//! When the files of a live replay, and parts of them, come into being, and how they differ from pass to pass.

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    fmp4_samples::InitTracks,
    live::{LivePlaylist, micros},
    parts::{Part, PartedSegment},
};

/// Query parameter that tells the URL of a segment in one pass over the VOD from the same segment in the next.
const LOOP_PARAMETER: &str = "loop";
/// Query parameter that names a part of a segment.
const PART_PARAMETER: &str = "part";

/// The files that segments are in.
#[derive(Clone, Debug, Default)]
pub(super) struct Production {
    files: HashMap<String, ProducedFile>,
}

#[derive(Clone, Debug)]
struct ProducedFile {
    loop_us: u64,
    init: Arc<InitTracks>,
    segments: Vec<ProducedSegment>,
    /// Of a file that is one segment and is offered in parts.
    parts: Option<Arc<[Part]>>,
}

#[derive(Clone, Debug, PartialEq)]
struct ProducedSegment {
    range: Option<RangeInclusive<u64>>,
    start_us: u64,
    end_us: u64,
}

/// How a segment differs from its file in a later pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delay {
    pub(super) microseconds: u64,
    pub(super) init: Arc<InitTracks>,
}

/// A segment in one pass.
#[derive(Clone, Debug)]
pub(super) struct LiveSegment {
    /// Where its media are, below the folder.
    pub(super) file: String,
    pub(super) delay: Delay,
    /// When it begins, since the replay did.
    pub(super) start_us: u64,
    pub(super) duration_us: u64,
    /// None when it is offered whole only.
    pub(super) parts: Arc<[Part]>,
    /// A request for the whole is answered while it is being recorded; the manifest says that it may come so long before the end.
    pub(super) streamed_early_us: Option<u64>,
}

/// What is asked of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part(usize),
    Bytes(RangeInclusive<u64>),
}

impl Production {
    /// Adds the segments of a playlist; `path_of` gives the file that a URI names, if it is one of ours, and `init_of` reads the init
    /// segment that an EXT-X-MAP line names.
    pub(super) fn add(&mut self, playlist: &LivePlaylist, path_of: impl Fn(&str) -> Option<String>, init_of: impl Fn(&str) -> InitTracks) {
        let mut inits: HashMap<&str, Arc<InitTracks>> = HashMap::new();
        let mut start_us = 0;
        for segment in &playlist.vod.segments {
            let (segment_start_us, end_us) = (std::mem::replace(&mut start_us, segment.end_us), segment.end_us);
            let Some(path) = path_of(&segment.uri) else { continue };
            let map = segment.context.iter().find(|line| line.starts_with("#EXT-X-MAP")).map_or("", |line| line);
            let init = inits.entry(map).or_insert_with(|| Arc::new(init_of(map))).clone();
            let range = segment.byte_range.map(|(offset, length)| offset..=(offset + length).saturating_sub(1));
            let new = ProducedFile { loop_us: playlist.passes.loop_us, init, segments: Vec::new(), parts: None };
            let produced = ProducedSegment { range, start_us: segment_start_us, end_us };
            self.files.entry(path).or_insert(new).segments.push(produced);
        }
    }

    /// Offers a file in parts; `read` gives its bytes. Gives the parts: none when it can only be offered whole.
    pub(super) fn divide(&mut self, path: &str, part_us: u64, read: impl FnOnce() -> Option<Vec<u8>>) -> Arc<[Part]> {
        let Some(file) = self.files.get_mut(path) else { return [].into() };
        if let Some(parts) = &file.parts {
            return parts.clone();
        }
        let parts = file.sole_segment().and_then(|segment| {
            let parted = PartedSegment::of(read()?, &file.init, segment.end_us - segment.start_us, part_us).ok()?;
            Some(parted.parts.into())
        });
        file.parts.insert(parts.unwrap_or_else(|| [].into())).clone()
    }

    /// Whether the requested bytes (all when `None`) of a file exist in the pass that the query names. Files that are no segments, such as
    /// init segments, and the parts of a file before its segments always exist.
    pub(super) fn exists(&self, path: &str, query: &str, requested: Option<RangeInclusive<u64>>, elapsed: Duration) -> bool {
        let Some(file) = self.files.get(path) else { return true };
        let requested = requested.unwrap_or(0..=u64::MAX);
        let overlaps = |range: &RangeInclusive<u64>| range.start() <= requested.end() && requested.start() <= range.end();
        let wanted = file.segments.iter().filter(|segment| segment.range.as_ref().is_none_or(overlaps));
        let Some(last_end_us) = wanted.map(|segment| segment.end_us).max() else { return true };
        pass_of_query(query).saturating_mul(file.loop_us).saturating_add(last_end_us) <= micros(elapsed)
    }

    /// What has to be done to a file for the pass that the query names. `None` when it can be sent as it is.
    pub(super) fn delay(&self, path: &str, query: &str) -> Option<Delay> {
        let file = self.files.get(path).filter(|file| !file.init.timescales.is_empty())?;
        let microseconds = pass_of_query(query).saturating_mul(file.loop_us);
        (microseconds > 0).then(|| Delay { microseconds, init: file.init.clone() })
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The segment of that file in the pass that the query names, when it is offered in parts.
    pub(super) fn live_segment(&self, path: &str, query: &str) -> Option<LiveSegment> {
        let file = self.files.get(path)?;
        let parts = file.parts.clone().filter(|parts| !parts.is_empty())?;
        let segment = file.sole_segment()?;
        let microseconds = pass_of_query(query).saturating_mul(file.loop_us);
        Some(LiveSegment {
            file: path.to_owned(),
            delay: Delay { microseconds, init: file.init.clone() },
            start_us: microseconds.saturating_add(segment.start_us),
            duration_us: segment.end_us - segment.start_us,
            parts,
            streamed_early_us: None,
        })
    }
}

impl ProducedFile {
    /// The segment that the file is: however often it is named, always at the same time.
    fn sole_segment(&self) -> Option<&ProducedSegment> {
        let (first, others) = self.segments.split_first()?;
        (first.range.is_none() && others.iter().all(|other| other == first)).then_some(first)
    }
}

impl LiveSegment {
    /// When the recording of what is awaited begins and when it can be sent, since the replay began. `None` for what cannot be: no such
    /// part, or a range beyond the end. Of what is open-ended the first part is awaited: the rest follows as it comes.
    pub(super) fn available_us(&self, wanted: &Wanted) -> Option<(u64, u64)> {
        let last = self.parts.len().checked_sub(1)?;
        let index = match wanted {
            Wanted::Whole if self.streamed_early_us.is_some() => 0,
            Wanted::Whole => last,
            Wanted::Part(index) => *index,
            Wanted::Bytes(range) => {
                let first = self.part_at(*range.start())?;
                if *range.end() == u64::MAX { first } else { self.part_at(*range.end()).unwrap_or(last) }
            }
        };
        let begins_us = index.checked_sub(1).and_then(|before| self.parts.get(before)).map_or(0, |part| part.end_us);
        let ends_us = self.parts.get(index)?.end_us;
        Some((self.start_us.saturating_add(begins_us), self.start_us.saturating_add(ends_us)))
    }

    pub(super) fn end_us(&self) -> u64 {
        self.start_us.saturating_add(self.duration_us)
    }

    /// Bytes of the whole segment.
    pub(super) fn size(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.bytes.end as u64)
    }

    fn part_at(&self, byte: u64) -> Option<usize> {
        self.parts.iter().position(|part| part.bytes.end as u64 > byte)
    }
}

impl Wanted {
    /// What a request asks for. `None` when it names a part by nonsense.
    pub(super) fn of(query: &str, range: Option<RangeInclusive<u64>>) -> Option<Self> {
        match (parameter(query, PART_PARAMETER), range) {
            (Some(part), _) => Some(Self::Part(part.parse().ok()?)),
            (None, Some(range)) => Some(Self::Bytes(range)),
            (None, None) => Some(Self::Whole),
        }
    }
}

/// How a live playlist names a segment, or a part of it.
pub(super) fn uri_in_pass(uri: &str, pass: u64, part: Option<usize>) -> String {
    let mut uri = uri.to_owned();
    if let Some(part) = part {
        add_parameter(&mut uri, PART_PARAMETER, part as u64);
    }
    let foreign = uri.contains("://") || uri.starts_with("//"); // another origin may have signed its query
    if pass > 0 && !foreign {
        add_parameter(&mut uri, LOOP_PARAMETER, pass);
    }
    uri
}

fn add_parameter(uri: &mut String, name: &str, value: u64) {
    let end = uri.find('#').unwrap_or(uri.len());
    let separator = if uri[..end].contains('?') { '&' } else { '?' };
    uri.insert_str(end, &format!("{separator}{name}={value}"));
}

fn pass_of_query(query: &str) -> u64 {
    parameter(query, LOOP_PARAMETER).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Whether a query names a pass or a part.
pub(super) fn is_of_playlist(query: &str) -> bool {
    [LOOP_PARAMETER, PART_PARAMETER].iter().any(|name| parameter(query, name).is_some())
}

/// The last value of a parameter.
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').rev().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin_server::{mpeg_ts::tests::packet, playlist::VodPlaylist};

    fn live(vod: &str, loop_us: u64) -> LivePlaylist {
        LivePlaylist::new(VodPlaylist::parse(vod).unwrap(), loop_us)
    }

    fn init() -> InitTracks {
        InitTracks { timescales: [(1, 90_000)].into(), ..InitTracks::default() }
    }

    const VOD: &str = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n0.m4s\n#EXTINF:2,\n1.m4s\n#EXTINF:1.5,\n2.m4s\n#EXT-X-ENDLIST\n";

    #[test]
    fn segments_exist_when_they_have_ended() {
        let mut production = Production::default();
        production.add(&live(VOD, 6_000_000), |uri| Some(format!("v/{uri}")), |_| init());
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
    fn ranges_of_a_file_exist_one_after_the_other() {
        let text = "#EXTM3U\n#EXT-X-MAP:URI=\"m.mp4\",BYTERANGE=\"10@0\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:5@10\nm.mp4\n#EXTINF:1,\n\
            #EXT-X-BYTERANGE:5\nm.mp4\n";
        let mut production = Production::default();
        production.add(&live(text, 0), |uri| Some(uri.into()), |_| InitTracks::default());
        let exists = |range, seconds| production.exists("m.mp4", "", range, Duration::from_secs(seconds));
        assert!(exists(Some(0..=9), 0));
        assert!(!exists(Some(10..=14), 0));
        assert!(exists(Some(10..=14), 1));
        assert!(!exists(Some(14..=15), 1));
        assert!(!exists(None, 1));
        assert!(exists(None, 2));
        assert!(production.divide("m.mp4", 500_000, || panic!("no file of one segment")).is_empty());
    }

    #[test]
    fn a_segment_comes_in_parts() {
        let mut production = Production::default();
        production.add(&live("#EXTM3U\n#EXTINF:1,\na.ts\n#EXTINF:1,\nb.ts\n", 0), |uri| Some(uri.into()), |_| InitTracks::default());
        let packets: Vec<u8> = (0..4).flat_map(|frame| packet(1, 0xe0, &[frame * 22_500])).collect();
        assert_eq!(production.divide("b.ts", 500_000, || Some(packets)).len(), 2);
        assert!(production.divide("a.ts", 500_000, || None).is_empty());
        assert!(production.live_segment("a.ts", "").is_none());

        let segment = production.live_segment("b.ts", "part=1&loop=3").unwrap();
        assert_eq!((segment.start_us, segment.duration_us, segment.delay.microseconds), (7_000_000, 1_000_000, 6_000_000));
        let at = |wanted| segment.available_us(&wanted);
        let (first, second) = (Some((7_000_000, 7_500_000)), Some((7_500_000, 8_000_000)));
        assert_eq!(at(Wanted::Part(0)), first);
        assert_eq!(at(Wanted::Part(2)), None);
        assert_eq!(at(Wanted::Whole), second);
        assert_eq!(at(Wanted::Bytes(0..=375)), first);
        assert_eq!(at(Wanted::Bytes(0..=376)), second);
        assert_eq!(at(Wanted::Bytes(0..=u64::MAX)), first);
        assert_eq!(at(Wanted::Bytes(752..=800)), None);
        let streamed = LiveSegment { streamed_early_us: Some(1), ..segment.clone() };
        assert_eq!(streamed.available_us(&Wanted::Whole), first);
        assert_eq!(Wanted::of("part=1", None), Some(Wanted::Part(1)));
        assert_eq!(Wanted::of("part=x", None), None);
        assert_eq!(Wanted::of("loop=1", Some(1..=2)), Some(Wanted::Bytes(1..=2)));
    }

    #[test]
    fn names_of_passes_and_parts() {
        assert_eq!(uri_in_pass("a.ts", 0, None), "a.ts");
        assert_eq!(uri_in_pass("a.ts?x#y", 2, Some(1)), "a.ts?x&part=1&loop=2#y");
        assert_eq!(uri_in_pass("https://cdn/a.ts", 2, None), "https://cdn/a.ts");
    }
}
