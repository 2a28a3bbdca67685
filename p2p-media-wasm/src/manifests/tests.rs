//! What a page is told of real manifests: the streams and segments that the readers give to all other viewers.

use super::*;

const HLS: &str = "https://a.example/s/master.m3u8?token=1";
const MASTER: &[u8] = include_bytes!("../../../examples/media/master.m3u8");
const MEDIA: &[u8] = include_bytes!("../../../examples/media/media_0.m3u8");
const MPD: &[u8] = include_bytes!("../../../examples/media/manifest.mpd");
const NOW: f64 = 1_700_000_000.0;

fn news(presentation: &mut Presentation) -> Vec<StreamNews> {
    std::iter::from_fn(|| presentation.next_news()).collect()
}

fn read(presentation: &mut Presentation, url: &str, text: impl AsRef<[u8]>) {
    presentation.read(url, url, text.as_ref(), NOW, None).unwrap();
}

#[test]
fn a_playlist_tells_its_segments_once_the_player_reads_it() {
    let mut presentation = Presentation::new();
    read(&mut presentation, HLS, MASTER);
    assert!(news(&mut presentation).is_empty());
    assert_eq!(presentation.manifest_url(), HLS);
    assert!(presentation.names(HLS) && presentation.names("https://a.example/s/media_0.m3u8?_HLS_msn=4"));
    assert!(!presentation.names("https://a.example/s/other.m3u8"));

    read(&mut presentation, "https://a.example/s/media_0.m3u8", MEDIA);
    let told = news(&mut presentation);
    let [told] = told.as_slice() else { panic!("{told:?}") };
    let p2p_media_hls::Playlist::Multivariant(playlist) = p2p_media_hls::parse(MASTER, HLS, &Default::default()).unwrap() else { panic!() };
    let streams = playlist.streams();
    let stream = streams.iter().find(|stream| stream.url.ends_with("media_0.m3u8")).unwrap();
    assert_eq!((told.kind(), told.id(), told.live()), (stream.kind.as_str().to_owned(), stream.id.clone(), false));
    let (urls, numbers) = (told.urls(), told.numbers());
    assert_eq!(urls.lines().count(), numbers.len() / 6);
    assert!(urls.lines().next().unwrap().starts_with("https://a.example/s/seg_0_"));
    assert_eq!((numbers[0], numbers[1], numbers[6], numbers[2]), (0.0, 0.0, 1.0, numbers[7]));
    assert_eq!(numbers[3..6], [-1.0, -1.0, 0.0]);
}

#[test]
fn live_playlists_move_on() {
    let mut presentation = Presentation::new();
    let playlist =
        |sequence: u32| format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXTINF:2,\n{sequence}.ts\n");
    read(&mut presentation, "https://a.example/l.m3u8", playlist(7));
    read(&mut presentation, "https://a.example/l.m3u8?_HLS_msn=8", playlist(8));
    let told = news(&mut presentation);
    assert_eq!(
        told.iter().map(|news| (news.live(), news.urls(), news.numbers()[..3].to_vec(), news.removed())).collect::<Vec<_>>(),
        [
            (true, "https://a.example/7.ts".to_owned(), vec![7.0, 0.0, 2.0], vec![]),
            (true, "https://a.example/8.ts".to_owned(), vec![8.0, 2.0, 4.0], vec![7.0]),
        ]
    );
}

#[test]
fn byte_ranges_and_parts_are_told() {
    let mut presentation = Presentation::new();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=1\n#EXT-X-MEDIA-SEQUENCE:3\n#EXTINF:2,\n#EXT-X-BYTERANGE:10@5\na.ts\n\
                #EXT-X-PART:DURATION=1,URI=\"b.0.ts\"\n";
    read(&mut presentation, "https://a.example/l.m3u8", text);
    let told = news(&mut presentation);
    let numbers = told[0].numbers();
    assert_eq!(numbers[..6], [3.0, 0.0, 2.0, 5.0, 14.0, 0.0]);
    assert_eq!(numbers[7..], [2.0, 3.0, -1.0, -1.0, 1.0]);
}

#[test]
fn a_stream_of_an_mpd_is_opened_when_it_is_played() {
    let url = "https://a.example/s/manifest.mpd";
    let mut presentation = Presentation::new();
    read(&mut presentation, url, MPD);
    assert_eq!(presentation.follow_time(NOW), None);
    assert_eq!(presentation.look_for("https://a.example/s/none.m4s", None, None, NOW), None);
    assert!(news(&mut presentation).is_empty());
    let mut timeline = p2p_media_dash::PresentationTimeline::new(p2p_media_dash::parse(MPD, url).unwrap());
    timeline.update(0, NOW);
    let segment = timeline.segments(0).next().unwrap().segment;
    assert_eq!(presentation.directories(), "https://a.example/s/");
    assert_eq!(presentation.manifest_names().lines().next(), Some(url));
    presentation.look_for(&segment.url, None, None, NOW);
    let told = news(&mut presentation);
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((told.stream(), told.id(), told.live()), (0, timeline.streams()[0].id.clone(), false));
    assert_eq!(told.urls().lines().next(), Some(&*segment.url));
    assert_eq!(told.numbers()[0], segment.id.0 as f64);
}

#[test]
fn live_dash_follows_the_clock_and_what_players_ask_for() {
    let mut presentation = Presentation::new();
    let mpd = r#"<MPD type="dynamic" availabilityStartTime="2023-11-14T22:13:20Z" timeShiftBufferDepth="PT10S" profiles="x"><Period start="PT0S"><AdaptationSet mimeType="video/mp4">
        <SegmentTemplate media="$Number$.m4s" duration="2" startNumber="1"/><Representation id="v" bandwidth="1000"/></AdaptationSet></Period></MPD>"#;
    presentation.read("https://a.example/l.mpd", "https://a.example/l.mpd", mpd.as_bytes(), NOW + 21.0, None).unwrap();
    presentation.look_for("https://a.example/10.m4s", None, None, NOW + 21.0);
    let newest = |told: &[StreamNews]| told.last().and_then(|news| news.urls().lines().last().map(str::to_owned));
    assert_eq!(newest(&news(&mut presentation)).as_deref(), Some("https://a.example/10.m4s"));
    assert!(presentation.follow_time(NOW + 21.0).unwrap() <= 1.0);
    presentation.follow_time(NOW + 22.0);
    assert_eq!(newest(&news(&mut presentation)).as_deref(), Some("https://a.example/11.m4s"));
    presentation.look_for("https://a.example/12.m4s", None, None, NOW + 22.5);
    assert_eq!(newest(&news(&mut presentation)).as_deref(), Some("https://a.example/12.m4s"));
    presentation.look_for("https://a.example/9000.m4s", None, None, NOW + 22.5);
    assert_ne!(newest(&news(&mut presentation)).as_deref(), Some("https://a.example/9000.m4s"));
}

#[test]
fn an_index_tells_the_segments_of_a_file() {
    let mut presentation = Presentation::new();
    let mpd = r#"<MPD mediaPresentationDuration="PT4S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="1000">
        <BaseURL>v.mp4</BaseURL><SegmentBase indexRange="100-155"><Initialization range="0-99"/></SegmentBase></Representation></AdaptationSet></Period></MPD>"#;
    read(&mut presentation, "https://a.example/v.mpd", mpd);
    let stream = presentation.look_for("https://a.example/v.mp4", Some(0.0), Some(99.0), NOW).unwrap();
    let needed = presentation.index_needed(stream).unwrap();
    assert_eq!((needed.url().as_str(), needed.range().as_deref()), ("https://a.example/v.mp4", Some("bytes=100-155")));
    presentation.read_index(&needed, Some(sidx().into()), NOW);
    assert!(presentation.index_needed(stream).is_none());
    assert_eq!(presentation.look_for("https://a.example/v.mp4", Some(156.0), Some(255.0), NOW), None);
    let told = news(&mut presentation);
    assert_eq!(told[0].numbers(), [0.0, 0.0, 2.0, 156.0, 255.0, 0.0, 4.0, 2.0, 4.0, 256.0, 455.0, 0.0]);

    let mut unreadable = Presentation::new();
    read(&mut unreadable, "https://a.example/v.mpd", mpd);
    for bytes in [Some(b"none".to_vec().into_boxed_slice()), None] {
        if let Some(needed) = unreadable.index_needed(0) {
            unreadable.read_index(&needed, bytes, NOW);
        }
    }
    assert!(unreadable.index_needed(0).is_none());
}

/// Two segments of 2 s, of 100 and 200 bytes.
fn sidx() -> Vec<u8> {
    let mut bytes = 56_u32.to_be_bytes().to_vec();
    bytes.extend(b"sidx");
    for word in [0, 1, 1000, 0, 0, 2, 100, 2000, 0x9000_0000, 200, 2000, 0x9000_0000_u32] {
        bytes.extend(word.to_be_bytes());
    }
    bytes
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let mut presentation = Presentation::new();
    for text in [&b""[..], b"<html>", b"#EXT", b"\0\0\0", b"<MPD", b"#EXTM3U\n#EXTINF"] {
        let _ = presentation.read("https://a.example/a", "https://a.example/a", text, NOW, None);
    }
    assert!(presentation.read("a", "not a URL", MPD, NOW, None).is_err());
    let mut presentation = Presentation::new();
    read(&mut presentation, HLS, MASTER);
    assert!(presentation.read(HLS, HLS, MPD, NOW, None).is_err());
    assert!(presentation.read(HLS, HLS, b"<Patch/>", NOW, None).is_err());
    assert!(presentation.names(HLS));
}
