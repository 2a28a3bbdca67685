//! Another reader of MPDs, `dash-mpd-core`, agrees with ours on well-formed manifests, as far as it reads the same things.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::path::Path;

use dash_mpd_core::{AdaptationSet, MPD, SegmentTemplate};
use p2p_media_dash::{Addressing, Mpd, Representation, SegmentTimes, parse};

/// Numbers and times, two periods, things inherited at every level and overridden.
const INHERITED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1M30.5S" minBufferTime="PT2S" profiles="urn:x">
  <Period id="one" start="PT0S" duration="PT30S">
    <SegmentTemplate timescale="1000" duration="2000" startNumber="7" media="$RepresentationID$/$Number%05d$.m4s" initialization="i"/>
    <AdaptationSet id="1" mimeType="video/mp4" codecs="avc1.4d401f" frameRate="25" segmentAlignment="true">
      <Representation id="v1" bandwidth="1000000" width="1280" height="720"/>
      <Representation id="v2" bandwidth="500000" width="640" height="360" codecs="avc1.42c01e">
        <SegmentTemplate timescale="1000" duration="4000" startNumber="3" media="v2/$Number$.m4s"/>
      </Representation>
    </AdaptationSet>
    <AdaptationSet id="2" mimeType="audio/mp4" lang="de" codecs="mp4a.40.2">
      <SegmentTemplate timescale="48000" media="a/$Time$.m4s" initialization="a/i.mp4" presentationTimeOffset="96000">
        <SegmentTimeline><S t="96000" d="96256" r="3"/><S d="95744"/><S t="600000" d="48000" r="-1"/></SegmentTimeline>
      </SegmentTemplate>
      <Representation id="a1" bandwidth="64000"/>
    </AdaptationSet>
  </Period>
  <Period id="two" start="PT30S">
    <AdaptationSet mimeType="video/mp4" codecs="avc1.4d401f">
      <Representation id="v1" bandwidth="1000000" width="1280" height="720">
        <SegmentTemplate timescale="90000" duration="180000" media="two/$Number$.m4s" endNumber="31"/>
      </Representation>
    </AdaptationSet>
  </Period>
</MPD>"#;

#[test]
fn another_reader_agrees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shaka");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<String> =
        files.filter(|file| file.extension().is_some_and(|e| e == "mpd")).map(|file| std::fs::read_to_string(file).unwrap()).collect();
    texts.push(INHERITED.to_owned());
    assert!(texts.len() >= 3);
    for text in texts {
        let ours = parse(text.as_bytes(), "https://a.example/d/manifest.mpd").unwrap();
        compare(&ours, &dash_mpd_core::parse(&text).unwrap());
    }
}

fn compare(ours: &Mpd, theirs: &MPD) {
    assert_eq!(ours.live, theirs.mpdtype.as_deref() == Some("dynamic"));
    assert_eq!(ours.duration, theirs.mediaPresentationDuration.map(|duration| duration.as_secs_f64()));
    assert_eq!(ours.minimum_update_period, theirs.minimumUpdatePeriod.map(|period| period.as_secs_f64()));
    assert_eq!(ours.periods.len(), theirs.periods.len());
    for (ours, period) in ours.periods.iter().zip(&theirs.periods) {
        assert_eq!(ours.id.as_deref(), period.id.as_deref());
        assert_eq!(ours.start, period.start.map_or(0.0, |start| start.as_secs_f64()));
        let sets = period.adaptations.iter();
        let theirs: Vec<_> = sets.flat_map(|set| set.representations.iter().map(move |representation| (set, representation))).collect();
        assert_eq!(ours.representations.len(), theirs.len());
        for (ours, (set, representation)) in ours.representations.iter().zip(theirs) {
            compare_representation(ours, set, representation);
            let levels = [&representation.SegmentTemplate, &set.SegmentTemplate, &period.SegmentTemplate];
            compare_template(&ours.addressing, &levels.map(Option::as_ref));
        }
    }
}

fn compare_representation(ours: &Representation, set: &AdaptationSet, theirs: &dash_mpd_core::Representation) {
    assert_eq!(ours.id.as_deref(), theirs.id.as_deref());
    assert_eq!(ours.bandwidth, theirs.bandwidth);
    assert_eq!(ours.codecs.as_deref(), theirs.codecs.as_deref().or(set.codecs.as_deref()));
    assert_eq!(ours.mime_type.as_deref(), theirs.mimeType.as_deref().or(set.mimeType.as_deref()));
    assert_eq!(ours.width.map(u64::from), theirs.width.or(set.width));
    assert_eq!(ours.height.map(u64::from), theirs.height.or(set.height));
    assert_eq!(ours.frame_rate.as_deref(), theirs.frameRate.as_deref().or(set.frameRate.as_deref()));
    assert_eq!(ours.language.as_deref(), theirs.lang.as_deref().or(set.lang.as_deref()));
}

/// The templates of the representation, its set and its period, from which each attribute is inherited.
fn compare_template(ours: &Addressing, levels: &[Option<&SegmentTemplate>; 3]) {
    let Addressing::Template(ours) = ours else {
        assert!(levels.iter().all(Option::is_none));
        return;
    };
    let number = |of: fn(&SegmentTemplate) -> Option<u64>| levels.iter().flatten().find_map(|template| of(template));
    assert_eq!(Some(ours.timescale), number(|template| template.timescale).or(Some(1)));
    assert_eq!(Some(ours.start_number), number(|template| template.startNumber).or(Some(1)));
    assert_eq!(ours.end_number, number(|template| template.endNumber));
    assert_eq!(u64::try_from(ours.presentation_time_offset).ok(), number(|template| template.presentationTimeOffset).or(Some(0)));
    let timeline = levels.iter().flatten().find_map(|template| template.SegmentTimeline.as_ref());
    match (&ours.times, timeline) {
        (SegmentTimes::Timeline(ours), Some(theirs)) => {
            let ours: Vec<_> = ours.iter().map(|entry| (entry.time, entry.duration, entry.repeat)).collect();
            let theirs: Vec<_> = theirs.segments.iter().map(|s| (s.t, s.d, s.r.unwrap_or(0))).collect();
            assert_eq!(ours, theirs);
        }
        (SegmentTimes::Duration(ours), None) => {
            assert_eq!(Some(*ours), levels.iter().flatten().find_map(|template| template.duration));
        }
        (ours, theirs) => panic!("{ours:?}, but {theirs:?}"),
    }
}
