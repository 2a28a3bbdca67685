//! What MPDs mean: tests of [`crate::parse`].

use proptest::prelude::*;

use crate::*;

const URL: &str = "https://a.example/live/m.mpd";

fn read(xml: &str) -> Mpd {
    parse(xml.as_bytes(), URL).unwrap()
}

/// The representations of one period with this content.
fn representations(period: &str) -> Vec<Representation> {
    let mut mpd = read(&format!(r#"<MPD mediaPresentationDuration="PT60S"><Period>{period}</Period></MPD>"#));
    mpd.periods.remove(0).representations
}

fn representation(period: &str) -> Representation {
    representations(period).remove(0)
}

fn template(representation: &Representation) -> &SegmentTemplate {
    match &representation.addressing {
        Addressing::Template(template) => template,
        other => panic!("{other:?}"),
    }
}

fn list(representation: &Representation) -> &SegmentList {
    match &representation.addressing {
        Addressing::List(list) => list,
        other => panic!("{other:?}"),
    }
}

fn index(representation: &Representation) -> &SegmentIndex {
    match &representation.addressing {
        Addressing::Indexed(index) => index,
        other => panic!("{other:?}"),
    }
}

fn resource(resource: &p2p_media_core::media::Resource) -> (&str, Option<(u64, u64)>) {
    (&resource.url, resource.byte_range.map(|range| (range.first, range.last)))
}

fn init(representation: &Representation) -> Option<(&str, Option<(u64, u64)>)> {
    representation.init.as_deref().map(resource)
}

fn starts_and_durations(mpd: &Mpd) -> Vec<(f64, Option<f64>)> {
    mpd.periods.iter().map(|period| (period.start, period.duration)).collect()
}

#[test]
fn attributes_of_the_mpd() {
    let mpd = read(
        r#"<MPD id="x" type="dynamic" availabilityStartTime="1970-01-02T00:00:00Z" availabilityEndTime="1970-01-03T00:00:00" publishTime="1970-01-02T01:00:00.5Z"
            minimumUpdatePeriod="PT2S" timeShiftBufferDepth="PT1M" suggestedPresentationDelay="PT6.5S" maxSegmentDuration="PT4S" mediaPresentationDuration="bad">
            <ServiceDescription><Scope/></ServiceDescription><ServiceDescription><Latency target="3500" min="2000"/></ServiceDescription></MPD>"#,
    );
    assert_eq!(mpd.id.as_deref(), Some("x"));
    assert!(mpd.live);
    assert_eq!((mpd.availability_start, mpd.availability_end, mpd.publish_time), (86_400.0, Some(172_800.0), Some(90_000.5)));
    assert_eq!((mpd.minimum_update_period, mpd.time_shift_buffer_depth), (Some(2.0), Some(60.0)));
    assert_eq!((mpd.suggested_presentation_delay, mpd.max_segment_duration, mpd.duration), (Some(6.5), Some(4.0), None));
    assert_eq!(mpd.target_latency, Some(3.5));
    let bare = read("<MPD/>");
    assert!(!bare.live && bare.periods.is_empty() && bare.availability_start == 0.0);
}

#[test]
fn time_sources_and_locations() {
    let mpd = read(
        r#"<MPD><BaseURL>/base/</BaseURL>
            <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-head:2014" value="/head"/>
            <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2012" value="time https://t.example/x"/>
            <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="iso"/>
            <UTCTiming schemeIdUri="urn:mpeg:dash:utc:direct:2012" value="1970-01-01T00:00:09Z"/>
            <UTCTiming schemeIdUri="urn:mpeg:dash:utc:direct:2014" value="soon"/>
            <UTCTiming schemeIdUri="urn:mpeg:dash:utc:ntp:2014" value="ntp.example"/>
            <UTCTiming/>
            <Location> next.mpd?a=1&amp;b=2 </Location><Location>https://b.example/m.mpd</Location>
            <PatchLocation ttl="30">patch.mpp</PatchLocation><PatchLocation>other</PatchLocation></MPD>"#,
    );
    assert_eq!(
        mpd.utc_timings,
        [
            UtcTiming::HttpHead("https://a.example/head".into()),
            UtcTiming::HttpBody("https://a.example/base/time".into()),
            UtcTiming::HttpBody("https://t.example/x".into()),
            UtcTiming::HttpBody("https://a.example/base/iso".into()),
            UtcTiming::Direct(9.0),
        ]
    );
    assert_eq!(mpd.locations, ["https://a.example/live/next.mpd?a=1&b=2".into(), "https://b.example/m.mpd".into()]);
    assert_eq!(mpd.patch_location, Some(PatchLocation { url: "https://a.example/live/patch.mpp".into(), ttl: Some(30.0) }));
    assert_eq!(mpd.remarks, [Remark { what: "UTCTiming".into(), value: Some("urn:mpeg:dash:utc:ntp:2014".into()) }]);
}

#[test]
fn periods_follow_each_other() {
    let fixed = read(
        r#"<MPD mediaPresentationDuration="PT100S"><Period duration="PT10S"/><Period duration="PT20S"/><Period start="PT50S"/><Period start="PT70S" duration="PT5S"/></MPD>"#,
    );
    assert_eq!(starts_and_durations(&fixed), [(0.0, Some(10.0)), (10.0, Some(40.0)), (50.0, Some(20.0)), (70.0, Some(30.0))]);
    let live =
        read(r#"<MPD type="dynamic"><Period id="a" start="PT5S"/><Period id="b"/><Period id="c" start="PT20S" duration="PT7S"/></MPD>"#);
    assert_eq!(starts_and_durations(&live), [(5.0, Some(15.0)), (20.0, Some(7.0))]);
    assert_eq!(live.remarks[0].value.as_deref(), Some("b"));
    assert_eq!(starts_and_durations(&read(r#"<MPD type="dynamic"><Period/></MPD>"#)), [(0.0, None)]);
}

#[test]
fn periods_with_odd_times() {
    let late = read(r#"<MPD mediaPresentationDuration="PT10S"><Period start="PT30S"/></MPD>"#);
    assert_eq!(starts_and_durations(&late), [(30.0, Some(0.0))]);
    let backwards = read(r#"<MPD><Period start="PT30S" duration="PT4S"/><Period start="PT10S"/></MPD>"#);
    assert_eq!(starts_and_durations(&backwards), [(30.0, Some(4.0)), (10.0, None)]);
    let bad = read(r#"<MPD><Period start="x" duration="-PT5S"/></MPD>"#);
    assert_eq!(starts_and_durations(&bad), [(0.0, None)]);
}

#[test]
fn segment_information_is_inherited_attribute_by_attribute() {
    let found = representations(
        r#"<SegmentTemplate timescale="10" startNumber="5" presentationTimeOffset="30" media="p-$Number$" endNumber="9"><Initialization sourceURL="pi.mp4" range="0-9"/></SegmentTemplate>
           <AdaptationSet><SegmentTemplate media="$RepresentationID$/$Bandwidth%04d$/$Number%03d$$$.m4s" duration="20.5"/>
             <Representation id="v$" bandwidth="12"/>
             <Representation id="w"><SegmentTemplate timescale="0" presentationTimeOffset="-7" startNumber="bad" media="" initialization="$RepresentationID$.mp4"><SegmentTimeline><S d="4"/></SegmentTimeline></SegmentTemplate></Representation>
           </AdaptationSet>"#,
    );
    let first = template(&found[0]);
    assert_eq!(first.media.as_deref(), Some("https://a.example/live/v$$/0012/$Number%03d$$$.m4s"));
    assert_eq!((first.timescale, first.start_number, first.end_number, first.presentation_time_offset), (10, 5, Some(9), 30));
    assert_eq!(first.times, SegmentTimes::Duration(20.5));
    assert_eq!(init(&found[0]), Some(("https://a.example/live/pi.mp4", Some((0, 9)))));
    let second = template(&found[1]);
    assert_eq!(second.media.as_deref(), Some("https://a.example/live/w/$Bandwidth%04d$/$Number%03d$$$.m4s"));
    assert_eq!((second.timescale, second.start_number, second.presentation_time_offset), (1, 1, -7));
    assert!(matches!(&second.times, SegmentTimes::Timeline(entries) if entries.len() == 1));
    assert_eq!(init(&found[1]), Some(("https://a.example/live/w.mp4", None)));
}

#[test]
fn representations_share_an_inherited_timeline() {
    let found = representations(
        r#"<AdaptationSet><SegmentTemplate media="$Time$"><SegmentTimeline><S t="0" d="2" r="3"/></SegmentTimeline></SegmentTemplate>
           <Representation/><Representation/></AdaptationSet>"#,
    );
    let timelines: Vec<_> = found.iter().map(|found| &template(found).times).collect();
    let [SegmentTimes::Timeline(first), SegmentTimes::Timeline(second)] = timelines[..] else { panic!("{timelines:?}") };
    assert!(std::sync::Arc::ptr_eq(first, second));
}

#[test]
fn the_nearest_level_decides_of_the_kind() {
    let found = representations(
        r#"<SegmentTemplate media="$Number$" duration="1"/><AdaptationSet>
           <Representation><BaseURL>v.mp4</BaseURL><SegmentBase indexRange="10-20"/></Representation><Representation/></AdaptationSet>
           <AdaptationSet><SegmentList duration="2"><SegmentURL media="1.m4s"/></SegmentList><SegmentTemplate media="x"/><Representation/></AdaptationSet>"#,
    );
    assert_eq!(index(&found[0]).range().map(|range| range.first), Some(10));
    template(&found[1]);
    assert_eq!(list(&found[2]).segments.len(), 1);
}

#[test]
fn segment_base() {
    let found = representations(
        r#"<AdaptationSet mimeType="video/mp4"><SegmentBase timescale="1000" presentationTimeOffset="500" indexRange="700-799"><Initialization range="0-699"/></SegmentBase>
             <Representation><BaseURL>a.mp4</BaseURL></Representation>
             <Representation><BaseURL>b.mp4</BaseURL><SegmentBase indexRange="9-8"><RepresentationIndex sourceURL="b.sidx"/><Initialization sourceURL="b.init"/></SegmentBase></Representation>
             <Representation><BaseURL>c.mp4</BaseURL><SegmentBase><RepresentationIndex range="5-6"/></SegmentBase></Representation>
           </AdaptationSet><AdaptationSet mimeType="video/mp4"><Representation><BaseURL>d.mp4</BaseURL><SegmentBase/></Representation></AdaptationSet>"#,
    );
    let (first, second, third, last) = (index(&found[0]), index(&found[1]), index(&found[2]), index(&found[3]));
    assert_eq!(
        (&*first.media, resource(&first.index)),
        ("https://a.example/live/a.mp4", ("https://a.example/live/a.mp4", Some((700, 799))))
    );
    assert_eq!((first.timescale, first.presentation_time_offset), (1000, 500));
    assert_eq!(init(&found[0]), Some(("https://a.example/live/a.mp4", Some((0, 699)))));
    assert_eq!(resource(&second.index), ("https://a.example/live/b.sidx", None));
    assert_eq!(init(&found[1]), Some(("https://a.example/live/b.init", None)));
    assert_eq!(resource(&third.index), ("https://a.example/live/c.mp4", Some((5, 6))));
    assert_eq!((resource(&last.index), init(&found[3])), (("https://a.example/live/d.mp4", None), None));
}

#[test]
fn segment_lists() {
    let found = representations(
        r#"<AdaptationSet><BaseURL>x.mp4</BaseURL><SegmentList timescale="4" duration="8" startNumber="3" presentationTimeOffset="2">
             <Initialization range="0-1"/><SegmentURL mediaRange="2-5"/><SegmentURL media="../s&amp;2.m4s" mediaRange="bad"/><SegmentURL media="https://[bad"/></SegmentList>
           <Representation/><Representation/><Representation><SegmentList duration="9"/><BaseURL>y.mp4</BaseURL></Representation></AdaptationSet>"#,
    );
    let first = list(&found[0]);
    assert_eq!(
        first.segments.iter().map(resource).collect::<Vec<_>>(),
        [("https://a.example/live/x.mp4", Some((2, 5))), ("https://a.example/s&2.m4s", None), ("https://a.example/live/x.mp4", None)]
    );
    assert_eq!((first.timescale, first.start_number, first.presentation_time_offset), (4, 3, 2));
    assert!(std::sync::Arc::ptr_eq(&first.segments, &list(&found[1]).segments));
    let third = list(&found[2]);
    assert_eq!((&*third.segments[0].url, &third.times), ("https://a.example/live/y.mp4", &SegmentTimes::Duration(9.0)));
    assert_eq!(init(&found[2]), Some(("https://a.example/live/y.mp4", Some((0, 1)))));
}

#[test]
fn a_template_with_an_index() {
    let found = representations(
        r#"<AdaptationSet><SegmentTemplate media="$RepresentationID$.mp4" index="$RepresentationID$.sidx" timescale="5"/><Representation id="a"/></AdaptationSet>
           <AdaptationSet><BaseURL>b.mp4</BaseURL><SegmentTemplate index="b.sidx" duration="2"/><Representation/></AdaptationSet>
           <AdaptationSet><SegmentTemplate media="$Number$.m4s" index="$Number$.sidx" duration="2"/><Representation/></AdaptationSet>"#,
    );
    let (first, second) = (index(&found[0]), index(&found[1]));
    assert_eq!((&*first.media, &*first.index.url, first.timescale), ("https://a.example/live/a.mp4", "https://a.example/live/a.sidx", 5));
    assert_eq!((&*second.media, &*second.index.url), ("https://a.example/live/b.mp4", "https://a.example/live/b.sidx"));
    template(&found[2]);
}

#[test]
fn a_base_url_alone_is_one_segment() {
    let found = representations(
        r#"<AdaptationSet mimeType="text/vtt"><Representation><BaseURL>en.vtt</BaseURL></Representation>
             <Representation><BaseURL>de.vtt</BaseURL><SegmentBase/></Representation><Representation/></AdaptationSet>
           <AdaptationSet mimeType="video/mp4"><Representation><BaseURL>v.mp4</BaseURL></Representation><Representation><BaseURL>v/</BaseURL></Representation></AdaptationSet>"#,
    );
    let addressing: Vec<_> = found.iter().map(|found| &found.addressing).collect();
    let whole = |name: &str| Addressing::Whole(format!("https://a.example/live/{name}").into());
    assert_eq!(addressing, [&whole("en.vtt"), &whole("de.vtt"), &Addressing::None, &whole("v.mp4"), &Addressing::None]);
}

#[test]
fn base_urls_and_early_availability() {
    let found = representation(
        r#"<BaseURL availabilityTimeOffset="1">p/</BaseURL><BaseURL>q/</BaseURL><AdaptationSet>
             <SegmentTemplate media="$Number$" duration="2" availabilityTimeOffset="1.5" availabilityTimeComplete="false"/>
             <Representation><BaseURL byteRange="$base$">r/</BaseURL></Representation></AdaptationSet>"#,
    );
    assert_eq!(found.base_urls, ["https://a.example/live/p/r/".into(), "https://a.example/live/q/r/".into()]);
    assert_eq!(template(&found).media.as_deref(), Some("https://a.example/live/p/r/$Number$"));
    assert_eq!((found.availability_time_offset, found.is_chunked), (2.5, true));
    let early = representation(r#"<AdaptationSet><SegmentTemplate availabilityTimeOffset="INF"/><Representation/></AdaptationSet>"#);
    assert_eq!((early.availability_time_offset, early.is_chunked), (f64::INFINITY, false));
}

#[test]
fn queries_are_added_to_segments_alone() {
    let xml = r#"<MPD><RequestParam queryTemplate="$querypart$" useMPDUrlQuery="true"/><UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-head:2014" value="t"/><Location>n</Location>
        <Period><AdaptationSet><SegmentTemplate media="$Number$.m4s?x" initialization="i" duration="1"/>
          <Representation/><Representation><RequestParam queryTemplate="$$y" queryString="-"/></Representation></AdaptationSet>
        <AdaptationSet mimeType="text/vtt"><Representation><BaseURL>t.vtt</BaseURL></Representation></AdaptationSet></Period></MPD>"#;
    let mpd = parse(xml.as_bytes(), "https://a.example/m.mpd?k=1").unwrap();
    assert_eq!(mpd.utc_timings, [UtcTiming::HttpHead("https://a.example/t".into())]);
    assert_eq!(mpd.locations, ["https://a.example/n".into()]);
    let [first, second, text] = &mpd.periods[0].representations[..] else { panic!("{mpd:?}") };
    assert_eq!(template(first).media.as_deref(), Some("https://a.example/$Number$.m4s?x&k=1"));
    assert_eq!(init(first), Some(("https://a.example/i?k=1", None)));
    assert_eq!(template(second).media.as_deref(), Some("https://a.example/$Number$.m4s?x&$$y"));
    assert_eq!(init(second), Some(("https://a.example/i?$y", None)));
    assert_eq!(text.addressing, Addressing::Whole("https://a.example/t.vtt?k=1".into()));
    assert_eq!(text.base_urls, ["https://a.example/t.vtt".into()]);
}

#[test]
fn properties_are_inherited() {
    let found = representations(
        r#"<AdaptationSet mimeType="video/mp4" codecs="avc1.4d401f" width="640" height="360" frameRate="30000/1001" lang="en" label="old">
             <Label>Main &amp; more</Label><Role schemeIdUri="urn:mpeg:dash:role:2011" value="main"/><Role value="alternate"/><Role/>
             <AudioChannelConfiguration schemeIdUri="urn:unknown" value="9"/>
             <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/>
             <SupplementalProperty schemeIdUri="urn:mpeg:mpegB:cicp:TransferCharacteristics" value="16"/>
             <Representation id="a" bandwidth="100"/>
             <Representation id="b" bandwidth="x" codecs="hvc1.2" width="1280" height="" frameRate="60"><ContentProtection schemeIdUri="urn:uuid:1"/></Representation>
           </AdaptationSet>
           <AdaptationSet label="thumbs" mimeType="image/jpeg"><EssentialProperty schemeIdUri="http://dashif.org/guidelines/thumbnail_tile" value="10x1"/><Representation/></AdaptationSet>
           <AdaptationSet contentType="video"><EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="1"/><Representation/></AdaptationSet>
           <AdaptationSet mimeType="video/mp4"><ContentComponent contentType="audio" lang="fr"/><ContentComponent contentType="video"/><ContentProtection/><Representation/></AdaptationSet>"#,
    );
    let [a, b, image, trick, mixed] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (a.id.as_deref(), a.bandwidth, a.codecs.as_deref(), a.mime_type.as_deref()),
        (Some("a"), Some(100), Some("avc1.4d401f"), Some("video/mp4"))
    );
    assert_eq!((a.width, a.height, a.frame_rate.as_deref(), a.language.as_deref()), (Some(640), Some(360), Some("30000/1001"), Some("en")));
    assert_eq!((a.label.as_deref(), a.channels, a.video_range, a.kind), (Some("Main & more"), Some(2), Some("PQ"), MediaKind::Video));
    assert_eq!((a.roles.as_slice(), a.is_protected, a.is_trick_mode), (&["main".into(), "alternate".into()][..], false, false));
    assert_eq!(
        (b.bandwidth, b.codecs.as_deref(), b.width, b.height, b.frame_rate.as_deref()),
        (None, Some("hvc1.2"), Some(1280), Some(360), Some("60"))
    );
    assert!(b.is_protected && b.roles == a.roles);
    assert_eq!(
        (image.kind, image.label.as_deref(), image.adaptation_set, image.is_trick_mode),
        (MediaKind::Image, Some("thumbs"), 1, false)
    );
    assert!(trick.is_trick_mode);
    assert_eq!((mixed.kind, mixed.language.as_deref(), mixed.is_protected), (MediaKind::Audio, Some("fr"), true));
}

#[test]
fn what_is_left_alone_is_remarked_upon_once() {
    let mpd = read(
        r#"<MPD xmlns:xlink="http://www.w3.org/1999/xlink"><ContentSteering defaultServiceLocation="a">https://s.example/</ContentSteering><Metrics/>
           <Period xlink:href="https://r.example/p" duration="PT1S"><EventStream schemeIdUri="urn:scte"/><EventStream schemeIdUri="urn:scte"/>
             <AdaptationSet xlink:href="set.xml"><EssentialProperty schemeIdUri="urn:odd"/><EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode"/>
               <InbandEventStream schemeIdUri="urn:id3"/><ContentProtection schemeIdUri="urn:drm"/><SupplementalProperty schemeIdUri="urn:what"/>
               <SupplementalProperty schemeIdUri="urn:mpeg:dash:period-continuity:2015" value="1"/><SegmentList xlink:href="list.xml"/></AdaptationSet></Period>
           <Period xlink:href="urn:mpeg:dash:resolve-to-zero:2013" duration="PT1S"/></MPD>"#,
    );
    let remarks: Vec<_> = mpd.remarks.iter().map(|remark| (&*remark.what, remark.value.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        remarks,
        [
            ("ContentSteering", "https://s.example/"),
            ("Metrics", ""),
            ("Period@xlink:href", "https://r.example/p"),
            ("EventStream", "urn:scte"),
            ("AdaptationSet@xlink:href", "set.xml"),
            ("EssentialProperty", "urn:odd"),
            ("InbandEventStream", "urn:id3"),
            ("ContentProtection", "urn:drm"),
            ("SupplementalProperty", "urn:mpeg:dash:period-continuity:2015"),
            ("SegmentList@xlink:href", "list.xml"),
        ]
    );
    assert_eq!(mpd.periods.len(), 1);
}

#[test]
fn prefixes_encodings_and_leading_blank_lines() {
    let xml = r#"<mpd:MPD xmlns:mpd="urn:mpeg:dash:schema:mpd:2011"><mpd:Period><mpd:AdaptationSet><mpd:Representation id="a"/></mpd:AdaptationSet></mpd:Period></mpd:MPD>"#;
    let utf16: Vec<u8> = [0xFEFF].into_iter().chain(xml.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let blank = format!("\u{FEFF}\r\n\n {xml}\0");
    for bytes in [xml.as_bytes(), &utf16, blank.as_bytes()] {
        assert_eq!(parse(bytes, URL).unwrap().periods[0].representations.len(), 1);
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let problem = |text: &str| parse(text.as_bytes(), URL).unwrap_err().to_string();
    assert_eq!(problem("\n<SmoothStreamingMedia/>"), "line 2: not an MPD: the root element is <SmoothStreamingMedia>");
    assert!(problem("#EXTM3U\n").contains("#EXTM3U"));
    assert!(problem("<MPD>\n<Period></MPD>").starts_with("line 2: malformed XML"));
    assert!(parse(b"<MPD/>", "m.mpd").unwrap_err().to_string().contains("not an absolute URL"));
    let many =
        format!("<MPD><Period><AdaptationSet>{}</AdaptationSet></Period></MPD>", "<Representation/>".repeat(MAX_REPRESENTATIONS + 1));
    assert!(matches!(parse(many.as_bytes(), URL), Err(MpdError::TooMany { limit: MAX_REPRESENTATIONS, .. })));
}

#[test]
fn a_few_bytes_that_a_thousand_inherit_do_not_fill_the_memory() {
    let path = "x".repeat(15_000);
    let many = "<Representation/>".repeat(MAX_REPRESENTATIONS);
    for inherited in [
        format!("<BaseURL>{path}/</BaseURL><SegmentTemplate media=\"$Number$\" initialization=\"i\"/>"),
        format!("<SegmentTemplate media=\"{path}\" initialization=\"{path}\"/>"),
        format!("<SegmentTemplate media=\"https://[{path}\"/>"),
    ] {
        let mpd = format!("<MPD><Period>{inherited}<AdaptationSet>{many}</AdaptationSet></Period></MPD>");
        assert!(matches!(parse(mpd.as_bytes(), URL), Err(MpdError::TooMany { what: "bytes of URLs", .. })));
    }
}

const SAMPLE: &str = r#"<MPD type="dynamic" availabilityStartTime="2024-01-01T00:00:00Z" mediaPresentationDuration="PT1H"><BaseURL>b/</BaseURL>
<Period start="PT1S" duration="PT9S"><AdaptationSet mimeType="video/mp4"><SegmentTemplate media="$Number%03d$" timescale="90000" duration="180000"><SegmentTimeline>
<Pattern id="1"><P d="3" r="2"/><P d="4"/></Pattern><S t="0" d="7" r="-1"/><S t="70" n="4" p="1" pE="2" r="9"/></SegmentTimeline></SegmentTemplate>
<Representation id="v1" bandwidth="5000" width="1280"><BaseURL>c/</BaseURL></Representation></AdaptationSet>
<AdaptationSet><SegmentList duration="2"><SegmentURL media="a" mediaRange="0-9"/></SegmentList><Representation/></AdaptationSet></Period></MPD>"#;

proptest! {
    #[test]
    fn bytes_of_any_kind_are_no_trouble(bytes: Vec<u8>) {
        let _ = parse(&bytes, URL);
    }

    #[test]
    fn an_mpd_with_any_change_is_no_trouble(at in 0..SAMPLE.len(), cut in 0..40_usize, put in "([0-9]{0,25}|[-<>/&;'\"$%=a é]{0,6})") {
        let end = (at + cut).min(SAMPLE.len());
        let changed = [&SAMPLE.as_bytes()[..at], put.as_bytes(), &SAMPLE.as_bytes()[end..]].concat();
        if let Ok(mpd) = parse(&changed, URL) {
            for period in &mpd.periods {
                prop_assert!(period.start.is_finite() && period.duration.is_none_or(f64::is_finite));
            }
        }
    }

    #[test]
    fn numbers_of_any_size_are_no_trouble(number in 0..20_usize, value in "(-?[0-9]{0,30}|[0-9]{0,5}\\.[0-9]{0,5}|1e[0-9]{1,4}|NaN|inf)") {
        let quoted: Vec<_> = SAMPLE.split('"').collect();
        let changed: String = quoted.iter().enumerate().map(|(index, part)| match index {
            0 => part.to_string(),
            index if index == 2 * number + 1 => format!("\"{value}"),
            _ => format!("\"{part}"),
        }).collect();
        prop_assert!(parse(changed.as_bytes(), URL).is_ok());
    }
}
