//! Writes dynamic DASH manifests (ISO/IEC 23009-1).

use std::{
    fmt::{self, Write},
    time::Duration,
};

use p2p_media_dash::{MediaKind, Representation};

use super::{
    catalogue::FOLDER_URL,
    dash_replay::{LiveMpd, LiveRepresentation},
    live::{LiveClock, micros},
};

/// How far behind the live edge players should be, in segments.
const DELAY_SEGMENTS: u64 = 3;
/// The same in parts, with low latency: the target and its limits.
const TARGET_LATENCY_PARTS: u64 = 6;
const MIN_LATENCY_PARTS: u64 = 3;
const MAX_LATENCY_PARTS: u64 = 18;

impl LiveMpd {
    /// The manifest when the replay has run for `elapsed`; `path` is its own below the folder.
    pub(super) fn text(&self, path: &str, clock: &LiveClock, elapsed: Duration) -> String {
        let now_us = micros(elapsed);
        let window_us = micros(clock.window);
        let date = |us: u64| humantime::format_rfc3339_millis(clock.epoch + Duration::from_micros(us));
        let (delay_us, update_us, buffer_us) = match &self.low_latency {
            None => (self.longest_us * DELAY_SEGMENTS, self.shortest_us, self.longest_us),
            Some(low_latency) => {
                let update_us = if low_latency.is_uniform { self.shortest_us } else { low_latency.part_us };
                (low_latency.part_us * TARGET_LATENCY_PARTS, update_us, low_latency.part_us)
            }
        };
        let mut text = Text::default();
        text.line(format_args!("<?xml version=\"1.0\" encoding=\"utf-8\"?>"));
        text.line(format_args!(
            "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"dynamic\" \
             availabilityStartTime=\"{}\" publishTime=\"{}\" minimumUpdatePeriod=\"{}\" timeShiftBufferDepth=\"{}\" \
             suggestedPresentationDelay=\"{}\" maxSegmentDuration=\"{}\" minBufferTime=\"{}\">",
            date(0),
            date(self.published_us(now_us, window_us)),
            Seconds(update_us),
            Seconds(window_us),
            Seconds(delay_us),
            Seconds(self.longest_us),
            Seconds(buffer_us),
        ));
        if let Some(low_latency) = &self.low_latency {
            let ms = |parts| low_latency.part_us * parts / 1000;
            text.line(format_args!(
                "<ServiceDescription id=\"0\"><Latency target=\"{}\" min=\"{}\" max=\"{}\"/></ServiceDescription>",
                ms(TARGET_LATENCY_PARTS),
                ms(MIN_LATENCY_PARTS),
                ms(MAX_LATENCY_PARTS)
            ));
        }
        text.line(format_args!("<Period id=\"0\" start=\"PT0S\">"));
        let folder = format!("{FOLDER_URL}{}", super::respond::encode_path(path.rsplit_once('/').map_or("", |(folder, _)| folder)));
        for (index, set) in self.sets.iter().enumerate() {
            text.set(index, &set[0].about);
            for representation in set {
                text.representation(&representation.about);
                text.template(self, representation, folder.trim_end_matches('/'), now_us, window_us);
                text.line(format_args!("</Representation>"));
            }
            text.line(format_args!("</AdaptationSet>"));
        }
        text.line(format_args!("</Period>"));
        text.line(format_args!("<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"{}\"/>", date(now_us)));
        text.line(format_args!("</MPD>"));
        text.0
    }

    /// When what the manifest lists has changed last.
    fn published_us(&self, now_us: u64, window_us: u64) -> u64 {
        if self.low_latency.is_some_and(|low_latency| low_latency.is_uniform) {
            return 0;
        }
        let changed_us = self.representations().map(|representation| {
            let passes = &representation.passes;
            let last_us = passes.start_us(representation.first_unlisted(now_us)).saturating_sub(representation.early_us);
            let left_us = passes.start_us(passes.first_ending_after(now_us.saturating_sub(window_us))) + window_us;
            last_us.max(left_us).min(now_us)
        });
        changed_us.max().unwrap_or(0)
    }
}

impl LiveRepresentation {
    /// The first segment of which nothing can be had yet.
    fn first_unlisted(&self, now_us: u64) -> super::passes::Position {
        self.passes.first_ending_after(now_us.saturating_add(self.early_us))
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}"); // writing to a String cannot fail
    }

    /// An attribute, where there is a value.
    fn attribute(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            let _ = write!(self.0, " {name}=\"{}\"", Escaped(value)); // as above
        }
    }

    fn set(&mut self, index: usize, about: &Representation) {
        self.0.push_str("<AdaptationSet");
        self.attribute("id", Some(index));
        self.attribute("contentType", Some(about.kind).filter(|kind| *kind != MediaKind::Other).map(MediaKind::as_str));
        self.attribute("lang", about.language.as_ref());
        self.0.push_str(" segmentAlignment=\"true\" startWithSAP=\"1\">\n");
        for role in &about.roles {
            self.line(format_args!("<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{}\"/>", Escaped(role)));
        }
        if let Some(label) = &about.label {
            self.line(format_args!("<Label>{}</Label>", Escaped(label)));
        }
    }

    fn representation(&mut self, about: &Representation) {
        self.0.push_str("<Representation");
        self.attribute("id", about.id.as_ref());
        self.attribute("bandwidth", about.bandwidth);
        self.attribute("mimeType", about.mime_type.as_ref());
        self.attribute("codecs", about.codecs.as_ref());
        self.attribute("width", about.width);
        self.attribute("height", about.height);
        self.attribute("frameRate", about.frame_rate.as_ref());
        self.0.push_str(">\n");
        if let Some(channels) = about.channels {
            let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
            self.line(format_args!("<AudioChannelConfiguration schemeIdUri=\"{scheme}\" value=\"{channels}\"/>"));
        }
    }

    fn template(&mut self, mpd: &LiveMpd, representation: &LiveRepresentation, folder: &str, now_us: u64, window_us: u64) {
        let LiveRepresentation { about, template, passes, segments, early_us, .. } = representation;
        let uniform = mpd.low_latency.is_some_and(|low_latency| low_latency.is_uniform);
        let first = passes.first_ending_after(now_us.saturating_sub(window_us));
        self.0.push_str("<SegmentTemplate");
        self.attribute("timescale", Some(template.timescale));
        self.attribute("presentationTimeOffset", Some(template.presentation_time_offset).filter(|offset| *offset != 0));
        self.attribute("initialization", about.init.as_ref().map(|init| template_text(folder, &init.url)));
        self.attribute("media", template.media.as_ref().map(|media| relative(folder, media).to_owned()));
        self.attribute("startNumber", Some(if uniform { segments[0].number } else { representation.number(first) }));
        if *early_us > 0 {
            self.attribute("availabilityTimeOffset", Some(*early_us as f64 / 1e6));
            self.attribute("availabilityTimeComplete", Some(false));
        }
        if uniform {
            self.attribute("duration", Some(representation.uniform_duration()));
            self.0.push_str("/>\n");
            return;
        }
        self.0.push_str("><SegmentTimeline>\n");
        let end = representation.first_unlisted(now_us);
        let mut at = first;
        let mut run: Option<(u64, u64, u64)> = None; // where its last segment ends, how long each is, how often it is repeated
        while at != end {
            let (time, duration) = (representation.time(at), segments[at.index].duration);
            match &mut run {
                Some((run_end, length, repeats)) if *run_end == time && *length == duration => {
                    (*run_end, *repeats) = (time + duration, *repeats + 1);
                }
                _ => {
                    let follows = run.is_some_and(|(run_end, ..)| run_end == time);
                    self.end_run(run.take());
                    self.0.push_str("<S");
                    self.attribute("t", Some(time).filter(|_| !follows));
                    self.attribute("d", Some(duration));
                    run = Some((time + duration, duration, 0));
                }
            }
            at = passes.next(at);
        }
        self.end_run(run);
        self.line(format_args!("</SegmentTimeline></SegmentTemplate>"));
    }

    fn end_run(&mut self, run: Option<(u64, u64, u64)>) {
        if let Some((.., repeats)) = run {
            self.attribute("r", Some(repeats).filter(|repeats| *repeats > 0));
            self.0.push_str("/>\n");
        }
    }
}

/// A URL below the folder, as a manifest in `folder` may write it.
fn relative<'u>(folder: &str, url: &'u str) -> &'u str {
    match url.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => rest,
        None => url.strip_prefix(FOLDER_URL.trim_end_matches('/')).unwrap_or(url),
    }
}

/// The same for a URL that is no template.
fn template_text(folder: &str, url: &str) -> String {
    relative(folder, url).replace('$', "$$")
}

/// Microseconds as xs:duration.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PT{}S", self.0 as f64 / 1e6)
    }
}

/// Text within XML.
struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path, time::SystemTime};

    use p2p_media_dash::{Mpd, parse};

    use super::*;
    use crate::origin_server::{dash_replay::Unreplayable, production::LiveSegment};

    const SAMPLE_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/media");
    const EPOCH_SECONDS: u64 = 1_700_000_000;

    fn clock(window_seconds: u64) -> LiveClock {
        LiveClock { epoch: SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS), window: Duration::from_secs(window_seconds) }
    }

    fn read(text: &str) -> Mpd {
        parse(text.as_bytes(), &format!("{FOLDER_URL}m.mpd")).unwrap()
    }

    /// The sample's manifest after a change to its text.
    fn replayed(part_us: Option<u64>, change: impl Fn(&str) -> String) -> Result<LiveMpd, Unreplayable> {
        let text = std::fs::read_to_string(format!("{SAMPLE_FOLDER}/manifest.mpd")).unwrap();
        LiveMpd::new(&read(&change(&text)), Path::new(SAMPLE_FOLDER), 30_000_000, part_us)
    }

    fn whole() -> LiveMpd {
        replayed(None, str::to_owned).unwrap()
    }

    /// What a client sees at that time: for each representation, start, number and the segment that the origin has there.
    fn seen(live: &LiveMpd, seconds: f64) -> Vec<Vec<(f64, u64, LiveSegment)>> {
        let mpd = read(&live.text("m.mpd", &clock(30), Duration::from_secs_f64(seconds)));
        let now = EPOCH_SECONDS as f64 + seconds;
        let [period] = &mpd.periods[..] else { panic!("one period") };
        let of = |representation: &Representation| {
            let segments = representation.segments(&mpd, period, now).map(|segment| {
                assert!(segment.place.available_at <= now + 1e-6);
                let found = live.segment(segment.url.strip_prefix(FOLDER_URL).unwrap()).unwrap();
                (segment.place.start, segment.place.number.unwrap(), found)
            });
            segments.collect()
        };
        period.representations.iter().map(of).collect()
    }

    #[test]
    fn clients_see_one_timeline_over_all_passes() {
        let live = whole();
        let mut known: BTreeMap<(usize, u64), f64> = BTreeMap::new();
        for tenths in 0..1900 {
            let seconds = f64::from(tenths) / 10.0;
            for (index, segments) in seen(&live, seconds).into_iter().enumerate() {
                for (start, number, found) in &segments {
                    assert_eq!(known.entry((index, *number)).or_insert(*start).to_bits(), start.to_bits(), "never moves");
                    assert!((*start - found.start_us as f64 / 1e6).abs() < 1e-4, "{start} {}", found.start_us);
                    assert!(found.end_us() as f64 / 1e6 <= seconds + 1e-6, "ended at {seconds}");
                }
                let covered = segments.last().map_or(0.0, |(_, _, last)| last.end_us() as f64 / 1e6);
                assert!(seconds - covered < 2.1 && segments.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1), "{seconds}");
                assert!(seconds < 31.0 || seconds - segments[0].0 > 29.9, "the window is full");
            }
        }
        let passes: Vec<u64> = [30, 60, 61].map(|index| known[&(0, index + 1)] as u64).into();
        assert_eq!(passes, [60, 120, 122]);
    }

    #[test]
    fn a_segment_of_a_later_pass_is_a_file_of_the_first() {
        let live = whole();
        let found = |path: &str| live.segment(path).map(|found| (found.file, found.delay.microseconds, found.start_us));
        assert_eq!(found("seg_1_01.m4s"), Some(("seg_1_01.m4s".into(), 0, 0)));
        assert_eq!(found("/seg_1_62.m4s?token=1"), Some(("seg_1_02.m4s".into(), 120_000_000, 122_000_000)));
        for nothing in ["seg_1_00.m4s", "seg_9_01.m4s", "init_1.m4s", "seg_1_1.m4s", "x/seg_1_01.m4s"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
        assert!(found("seg_1_18446744073709551615.m4s").is_some_and(|(.., start_us)| start_us > 1 << 60));
    }

    #[test]
    fn segments_are_found_by_their_times() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(format!("{SAMPLE_FOLDER}/init_3.m4s"), dir.path().join("i.mp4")).unwrap();
        for time in [5, 12, 24] {
            std::fs::write(dir.path().join(format!("{time}.m4s")), b"x").unwrap();
        }
        let text = r#"<MPD type="static" mediaPresentationDuration="PT10S"><Period><AdaptationSet contentType="audio"><Representation id="a">
            <SegmentTemplate timescale="3" presentationTimeOffset="5" initialization="i.mp4" media="$Time$.m4s"><SegmentTimeline>
            <S t="5" d="7"/><S d="12"/><S d="5"/></SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period></MPD>"#;
        let live = LiveMpd::new(&read(text), dir.path(), 30_000_000, None).unwrap();
        for (start, _, found) in seen(&live, 100.0).remove(0) {
            // A pass of 8 s is 24 ticks, a third of a second each.
            let in_pass = ["5.m4s", "12.m4s", "24.m4s"].iter().position(|file| *file == found.file).unwrap();
            assert_eq!((start * 3.0).round() as u64 % 24, [0, 7, 19][in_pass]);
        }
        assert!(live.segment("30.m4s").is_none() && live.segment("29.m4s").is_some() && live.segment("4.m4s").is_none());
    }

    #[test]
    fn says_when_it_was_published() {
        let live = whole();
        let published = |seconds: f64| {
            let text = live.text("m.mpd", &clock(30), Duration::from_secs_f64(seconds));
            read(&text).publish_time.unwrap() - EPOCH_SECONDS as f64
        };
        assert!((published(41.99) - 40.005).abs() < 0.001, "of the audio");
        assert!((published(42.0) - 42.0).abs() < 0.001);
        let mpd = read(&live.text("m.mpd", &clock(30), Duration::from_secs(42)));
        assert!(mpd.live && mpd.duration.is_none());
        assert_eq!((mpd.availability_start, mpd.time_shift_buffer_depth), (EPOCH_SECONDS as f64, Some(30.0)));
        assert_eq!(mpd.utc_timings, [p2p_media_dash::UtcTiming::Direct(EPOCH_SECONDS as f64 + 42.0)]);
    }

    #[test]
    fn chunks_can_be_had_before_the_end() {
        let live = replayed(Some(333_000), str::to_owned).unwrap();
        let mpd = read(&live.text("m.mpd", &clock(30), Duration::from_secs(100)));
        assert_eq!(mpd.target_latency, Some(1.998));
        let video = &mpd.periods[0].representations[0];
        assert!(video.is_chunked && (video.availability_time_offset - 1.68).abs() < 1e-9, "{}", video.availability_time_offset);
        let edge = |seconds: f64| seen(&live, seconds).iter().map(|segments| segments.last().unwrap().1).collect::<Vec<_>>();
        assert_eq!(edge(100.319), [50, 50, 50, 50]);
        assert_eq!(edge(100.337), [51, 51, 51, 51]);
        for segments in seen(&live, 180.5) {
            for (start, _, found) in segments {
                assert!((start - found.start_us as f64 / 1e6).abs() < 0.05, "numbers alone place it well");
                assert!(found.parts.len() >= 6 && found.streamed_early_us.is_some());
            }
        }
    }

    #[test]
    fn uneven_segments_are_listed_as_they_begin() {
        let live = replayed(Some(333_000), |text| {
            text.replacen("$Number%02d$", "$Number%02d$.m4s?t=$Time$", 1).replacen(".m4s\" start", "\" start", 1)
        });
        let live = live.unwrap();
        let text = live.text("m.mpd", &clock(30), Duration::from_millis(100_340));
        assert!(text.contains("minimumUpdatePeriod=\"PT0.333S\"") && text.contains("<S t="), "{text}");
        let video = &seen(&live, 100.34)[0];
        assert_eq!(video.last().unwrap().0, 100.0);
    }

    #[test]
    fn says_why_a_manifest_is_not_replayed() {
        let reason = |from: &str, to: &str| replayed(None, |text| text.replace(from, to)).map(|_| ()).unwrap_err().to_string();
        assert_eq!(reason("type=\"static\"", "type=\"dynamic\""), "it is a live one already");
        assert_eq!(reason("</Period>", "</Period><Period start=\"PT60S\"/>"), "it has several periods");
        assert_eq!(reason("seg_", "no_"), "segments of representation 0 are not in the folder");
        assert_eq!(reason("init_", "no_"), "representation 0 has no fragmented MP4 init segment in the folder");
        assert_eq!(reason("media=", "x="), "representation 0 has no SegmentTemplate with a timeline or a duration");
        assert_eq!(reason("<SegmentTemplate", "<ContentProtection schemeIdUri=\"x\"/><SegmentTemplate"), "its media are protected");
        assert_eq!(reason("Representation", "x"), "it has no video or audio");
    }
}
