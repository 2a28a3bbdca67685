//! What a live manifest of 24 hours costs: 20,000 segments are read, refreshed by one segment at a time, and kept.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use p2p_media_core::media::{Segment, StreamUpdate};
use p2p_media_dash::{Mpd, PresentationTimeline};
use p2p_media_hls::{MediaPlaylist, Playlist, StreamTimeline, Variables};
use serde_json::json;

const SEGMENTS: u64 = 20_000;
const SEGMENT_MILLISECONDS: u64 = 4_320;
/// Refreshes that are measured, each by one segment.
const ROUNDS: u64 = 41;
/// Segments that a delta update lists: those within six target durations of the end.
const LISTED_IN_DELTA: u64 = 7;
/// Manifests that are kept at once to see what one takes, after a few that settle what reading needs for a moment.
const KEPT: u32 = 8;
const KEPT_BEFORE: u32 = 3;
const PARSE_LIMIT_MS: f64 = 15.0;
const REFRESH_LIMIT_MS: f64 = 3.0;
const RETAINED_LIMIT_MIB: f64 = 10.0;
const HLS_URL: &str = "https://live.example/event/1080p/index.m3u8";
const MPD_URL: &str = "https://live.example/event/manifest.mpd";
const HLS: &str = "HLS";
const DASH: &str = "DASH 20,000 S";
const DASH_REPEATED: &str = "DASH S@r";
/// With this option and a manifest and a figure of it the program prints that figure alone.
pub(crate) const RETAINED_OPTION: &str = "--retained";
/// Representations of the MPDs, which share one SegmentTimeline.
const REPRESENTATIONS: usize = 3;
/// 2026-03-01T00:00:00Z, in seconds since 1970: when the first segment begins.
const BEGIN: f64 = 1_772_323_200.0;

/// What goes wrong is for a person to read.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// Medians in milliseconds, sizes in MiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ManifestFigures {
    rows: Vec<Figure>,
}

#[derive(Clone, Debug, PartialEq)]
struct Figure {
    manifest: &'static str,
    name: &'static str,
    /// Absent where the system does not tell.
    value: Option<f64>,
    limit: Option<f64>,
}

impl ManifestFigures {
    /// True when no figure exceeds its limit.
    pub(crate) fn are_within_limits(&self) -> bool {
        self.rows.iter().all(|row| row.value.zip(row.limit).is_none_or(|(value, limit)| value <= limit))
    }

    /// The figures and their limits as JSON.
    pub(crate) fn to_json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| json!({ "manifest": row.manifest, "name": row.name, "value": row.value, "limit": row.limit }))
            .collect();
        json!({ "segments": SEGMENTS, "manifest": rows, "within_limits": self.are_within_limits() }).to_string()
    }

    fn add(&mut self, manifest: &'static str, name: &'static str, value: Option<f64>, limit: Option<f64>) {
        self.rows.push(Figure { manifest, name, value, limit });
    }
}

impl fmt::Display for ManifestFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20}{:<28}{:>10}{:>10}", "manifest", "median", "figure", "limit")?;
        for row in &self.rows {
            let [value, limit] =
                [row.value, row.limit].map(|number| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}")));
            writeln!(f, "{:<20}{:<28}{value:>10}{limit:>10}", row.manifest, row.name)?;
        }
        Ok(())
    }
}

/// Measures.
///
/// # Errors
/// When a manifest of its own is not understood.
pub(crate) fn measure() -> Result<ManifestFigures, Box<dyn Error>> {
    let mut figures = ManifestFigures::default();
    measure_hls(&mut figures)?;
    measure_dash(&mut figures, DASH, false)?;
    measure_dash(&mut figures, DASH_REPEATED, true)?;
    for case in RETAINED {
        figures.add(case.manifest, case.name, measured_apart(&case)?, case.limit_mib);
    }
    Ok(figures)
}

/// What is kept, and measured in a process of its own: elsewhere memory that was given back before would be taken again unnoticed.
struct Retained {
    manifest: &'static str,
    name: &'static str,
    limit_mib: Option<f64>,
    measure: fn() -> Outcome<Option<f64>>,
}

const RETAINED: [Retained; 5] = [
    Retained {
        manifest: HLS,
        name: "retained_mib",
        limit_mib: Some(RETAINED_LIMIT_MIB),
        measure: || retained_mib(&hls_text(0, 0), hls_timeline),
    },
    Retained {
        manifest: DASH,
        name: "retained_mib",
        limit_mib: Some(RETAINED_LIMIT_MIB),
        measure: || retained_mib(&dash_text(0, false), dash_timeline_of_one),
    },
    Retained {
        manifest: DASH,
        name: "retained_all_streams_mib",
        limit_mib: None,
        measure: || retained_mib(&dash_text(0, false), dash_timeline),
    },
    Retained {
        manifest: DASH_REPEATED,
        name: "retained_mib",
        limit_mib: Some(RETAINED_LIMIT_MIB),
        measure: || retained_mib(&dash_text(0, true), dash_timeline_of_one),
    },
    Retained {
        manifest: DASH_REPEATED,
        name: "retained_all_streams_mib",
        limit_mib: None,
        measure: || retained_mib(&dash_text(0, true), dash_timeline),
    },
];

/// One figure in MiB, by the program that runs, started again.
fn measured_apart(case: &Retained) -> Outcome<Option<f64>> {
    let output = Command::new(std::env::current_exe()?).args([RETAINED_OPTION, case.manifest, case.name]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}

/// The other side of [`RETAINED_OPTION`]: measures what a manifest of this name keeps, in MiB.
///
/// # Errors
/// When there is no such case, or the manifest is not understood.
pub(crate) fn measure_retained(manifest: &str, name: &str) -> Result<Option<f64>, Box<dyn Error>> {
    let case = RETAINED.into_iter().find(|case| (case.manifest, case.name) == (manifest, name)).ok_or("no such case")?;
    (case.measure)()
}

/// Seconds that refreshes took.
#[derive(Default)]
struct Times {
    parses: Vec<f64>,
    refreshes: Vec<f64>,
    both: Vec<f64>,
}

impl Times {
    /// A refresh that ends now.
    fn note(&mut self, begin: Instant, parsed: Instant) {
        self.parses.push((parsed - begin).as_secs_f64());
        self.refreshes.push(parsed.elapsed().as_secs_f64());
        self.both.push(begin.elapsed().as_secs_f64());
    }

    fn report(self, figures: &mut ManifestFigures, manifest: &'static str) {
        figures.add(manifest, "parse_ms", median_ms(self.parses), Some(PARSE_LIMIT_MS));
        figures.add(manifest, "refresh_ms", median_ms(self.refreshes), Some(REFRESH_LIMIT_MS));
        figures.add(manifest, "parse_and_refresh_ms", median_ms(self.both), None);
    }
}

/// Figures mean something only if each refresh brought one segment and took one away.
fn check_update(update: &StreamUpdate) -> Outcome<()> {
    match (update.added.len(), update.removed.len()) {
        (1, 1) => Ok(()),
        (added, removed) => Err(format!("a refresh added {added} and removed {removed} segments, not one").into()),
    }
}

fn measure_hls(figures: &mut ManifestFigures) -> Outcome<()> {
    for (name, skipped) in [(HLS, 0), ("HLS delta update", SEGMENTS - LISTED_IN_DELTA)] {
        let (mut timeline, _) = hls_timeline(&hls_text(0, 0))?;
        let mut times = Times::default();
        for round in 1..=ROUNDS {
            let text = hls_text(round, skipped);
            let begin = Instant::now();
            let playlist = read_hls(&text)?;
            let parsed = Instant::now();
            let update = timeline.refresh(&playlist);
            drop(playlist);
            times.note(begin, parsed);
            check_update(&update)?;
        }
        times.report(figures, name);
    }
    Ok(())
}

fn read_hls(text: &str) -> Outcome<MediaPlaylist> {
    match p2p_media_hls::parse(text.as_bytes(), HLS_URL, &Variables::default())? {
        Playlist::Media(playlist) => Ok(playlist),
        Playlist::Multivariant(_) => Err("read as a multivariant playlist".into()),
    }
}

/// What is kept of a playlist: the timeline, and the engine's list.
fn hls_timeline(text: &str) -> Outcome<(StreamTimeline, Vec<Segment>)> {
    let mut timeline = StreamTimeline::default();
    let update = timeline.refresh(&read_hls(text)?);
    Ok((timeline, update.added))
}

/// A playlist whose first segment has this number; of the 20,000 it skips the first ones.
fn hls_text(first: u64, skipped: u64) -> String {
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:5\n#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=30\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    if skipped > 0 {
        let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    } else {
        text += "#EXT-X-MAP:URI=\"init.mp4\"\n";
    }
    for number in first + skipped..first + SEGMENTS {
        let milliseconds = number * SEGMENT_MILLISECONDS;
        let (seconds, minutes, hours) = (milliseconds / 1000, milliseconds / 60_000, milliseconds / 3_600_000);
        let _ = writeln!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:2026-03-{:02}T{:02}:{:02}:{:02}.{:03}Z\n#EXTINF:4.32000,\nsegment_{number:09}.m4s",
            1 + hours / 24,
            hours % 24,
            minutes % 60,
            seconds % 60,
            milliseconds % 1000,
        );
    }
    text
}

fn measure_dash(figures: &mut ManifestFigures, name: &'static str, repeats: bool) -> Outcome<()> {
    let (mut timeline, first) = dash_timeline(&dash_text(0, repeats))?;
    if first.len() != REPRESENTATIONS || first.iter().any(|segments| segments.len() != SEGMENTS as usize) {
        return Err("not all segments of the MPD are known".into());
    }
    let mut times = Times::default();
    for round in 1..=ROUNDS {
        let text = dash_text(round, repeats);
        let begin = Instant::now();
        let mpd = read_dash(&text)?;
        let parsed = Instant::now();
        timeline.refresh(mpd);
        let update = timeline.update(0, dash_now(round));
        times.note(begin, parsed);
        check_update(&update)?;
    }
    times.report(figures, name);
    Ok(())
}

fn read_dash(text: &str) -> Outcome<Mpd> {
    Ok(p2p_media_dash::parse(text.as_bytes(), MPD_URL)?)
}

/// What is kept of an MPD when all its streams are in use: the timeline, and the engine's lists.
fn dash_timeline(text: &str) -> Outcome<(PresentationTimeline, Vec<Vec<Segment>>)> {
    let mut timeline = PresentationTimeline::new(read_dash(text)?);
    let streams = timeline.streams().len();
    let lists = (0..streams).map(|stream| timeline.update(stream, dash_now(0)).added).collect();
    Ok((timeline, lists))
}

/// As [`dash_timeline`] when one stream is in use.
fn dash_timeline_of_one(text: &str) -> Outcome<(PresentationTimeline, Vec<Segment>)> {
    let mut timeline = PresentationTimeline::new(read_dash(text)?);
    let list = timeline.update(0, dash_now(0)).added;
    Ok((timeline, list))
}

/// Seconds since 1970 when the last segment of a version has just become available.
fn dash_now(first: u64) -> f64 {
    BEGIN + ((first + SEGMENTS) * SEGMENT_MILLISECONDS) as f64 / 1000.0 + 1.0
}

/// An MPD whose first segment has this number. Where it does not repeat, durations alternate, as those of frames do.
fn dash_text(first: u64, repeats: bool) -> String {
    const TICKS_PER_MILLISECOND: u64 = 90;
    let mut text = format!(
        concat!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
            "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"dynamic\" ",
            "availabilityStartTime=\"2026-03-01T00:00:00Z\" publishTime=\"2026-03-02T{:02}:{:02}:{:02}Z\" minimumUpdatePeriod=\"PT4S\" ",
            "timeShiftBufferDepth=\"PT24H1M\" minBufferTime=\"PT4S\">\n",
            "<Period id=\"1\" start=\"PT0S\">\n",
            "<AdaptationSet contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\">\n",
            "<SegmentTemplate timescale=\"90000\" initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Time$.m4s\">\n",
            "<SegmentTimeline>\n",
        ),
        first / 3600,
        first / 60 % 60,
        first % 60
    );
    let ticks = |number: u64| number * SEGMENT_MILLISECONDS * TICKS_PER_MILLISECOND + number % 2 * TICKS_PER_MILLISECOND;
    if repeats {
        let duration = SEGMENT_MILLISECONDS * TICKS_PER_MILLISECOND;
        let _ = writeln!(text, "<S t=\"{}\" d=\"{duration}\" r=\"{}\"/>", first * duration, SEGMENTS - 1);
    } else {
        for number in first..first + SEGMENTS {
            let _ = writeln!(text, "<S t=\"{}\" d=\"{}\"/>", ticks(number), ticks(number + 1) - ticks(number));
        }
    }
    text += "</SegmentTimeline>\n</SegmentTemplate>\n";
    for (index, (width, height)) in [(1920, 1080), (1280, 720), (640, 360)].into_iter().take(REPRESENTATIONS).enumerate() {
        let bandwidth = 5_000_000 >> index;
        let _ = writeln!(
            text,
            "<Representation id=\"v{height}\" codecs=\"avc1.640028\" bandwidth=\"{bandwidth}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }
    text + "</AdaptationSet>\n</Period>\n</MPD>\n"
}

fn median_ms(mut seconds: Vec<f64>) -> Option<f64> {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).map(|seconds| seconds * 1e3)
}

/// What one of many takes of the process's memory. What making one needs for a moment is there again for the next and does not count.
fn retained_mib<T>(text: &str, make: impl Fn(&str) -> Outcome<T>) -> Outcome<Option<f64>> {
    let mut kept = Vec::new();
    for _ in 0..KEPT_BEFORE {
        kept.push(make(text)?);
    }
    let before = resident_kib();
    for _ in 0..KEPT {
        kept.push(make(text)?);
    }
    let after = resident_kib();
    black_box(&kept);
    Ok(before.zip(after).map(|(before, after)| (after - before) / f64::from(KEPT) / 1024.0))
}

/// Memory of this process, where Linux tells it.
fn resident_kib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
