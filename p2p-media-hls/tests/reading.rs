//! Reading whole playlists: facts, tolerance, errors, and that no text whatever makes the reader panic.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use p2p_media_core::media::ByteRange;
use p2p_media_hls::{
    MediaPlaylist, MultivariantPlaylist, Playlist, PlaylistError, PreloadHintKind, RenditionKind, Variables, parse, rewrite_uris,
};
use proptest::prelude::*;

const BASE: &str = "https://a.example/dir/list.m3u8?v=7";

fn read(text: &str) -> Result<Playlist, PlaylistError> {
    parse(text.as_bytes(), BASE, &Variables::default())
}

fn media(text: &str) -> MediaPlaylist {
    match read(&format!("#EXTM3U\n{text}")).unwrap() {
        Playlist::Media(playlist) => playlist,
        Playlist::Multivariant(_) => panic!("a multivariant playlist"),
    }
}

fn multivariant(text: &str) -> MultivariantPlaylist {
    match read(&format!("#EXTM3U\n{text}")).unwrap() {
        Playlist::Multivariant(playlist) => playlist,
        Playlist::Media(_) => panic!("a media playlist"),
    }
}

fn range(first: u64, last: u64) -> Option<ByteRange> {
    Some(ByteRange { first, last })
}

#[test]
fn numbers_times_and_inheritance() {
    let playlist = media(concat!(
        "#EXT-X-TARGETDURATION:4.5\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXTINF: 4.5\nclear.ts\n",
        "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"10@5\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0xA\n",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\",KEYFORMAT=\"f\"\n",
        "#EXT-X-PROGRAM-DATE-TIME:2024-01-12T10:00:00+0000\n#EXTINF:.36,t\n#EXT-X-BYTERANGE:5@10\nm.mp4\n",
        "#EXT-X-DISCONTINUITY\n#EXT-X-BYTERANGE:5\n#EXTINF:1\nm.mp4\n",
        "#EXT-X-KEY:METHOD=NONE\n#EXT-X-GAP\n#EXTINF:2,\nend.mp4\n#EXT-X-ENDLIST\n",
    ));
    assert_eq!((playlist.live, playlist.target_duration, playlist.media_sequence), (false, Some(4.5), 7));
    let [clear, first, second, last] = &*playlist.segments else { panic!("{playlist:?}") };
    assert_eq!([clear.sequence, first.sequence, last.sequence], [7, 8, 10]);
    assert_eq!([clear.start, first.start, second.start, last.start], [0.0, 4.5, 4.86, 5.86]);
    assert_eq!([clear.discontinuity_sequence, second.discontinuity_sequence], [2, 3]);
    assert_eq!([clear.byte_range, first.byte_range, second.byte_range, last.byte_range], [None, range(10, 14), range(15, 19), None]);
    assert_eq!([clear.program_date_time, first.program_date_time], [Some(1_705_053_595.5), Some(1_705_053_600.0)]);
    assert!((clear.init.is_none(), first.keys.len(), last.keys.len()) == (true, 2, 0) && last.gap && !second.gap);
    let init = last.init.as_ref().unwrap();
    assert_eq!((&*init.url, init.byte_range), ("https://a.example/dir/i.mp4", range(5, 14)));
    assert_eq!((&*first.keys[0].format, first.keys[0].iv.as_deref()), ("identity", Some("0xA")));
    assert_eq!(first.keys[1].url.as_deref(), Some("skd://k"));
}

#[test]
fn low_latency_tags_are_facts() {
    let playlist = media(concat!(
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,PART-HOLD-BACK=1.0\n#EXT-X-PART-INF:PART-TARGET=0.33\n",
        "#EXT-X-MEDIA-SEQUENCE:266\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:4,\na.mp4\n",
        "#EXT-X-PART:DURATION=0.33,URI=\"p.mp4\",BYTERANGE=\"10@0\",INDEPENDENT=YES\n",
        "#EXT-X-PART:DURATION=0.33,URI=\"p.mp4\",BYTERANGE=\"20\"\n#EXTINF:4,\nb.mp4\n#EXT-X-PART:DURATION=0.33,URI=\"q.mp4\",GAP=YES\n",
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"r.mp4\",BYTERANGE-START=5\n#EXT-X-RENDITION-REPORT:URI=\"../o.m3u8\",LAST-MSN=270,LAST-PART=1\n",
    ));
    assert_eq!((playlist.first_sequence(), playlist.next_sequence(), playlist.skipped), (269, 271, 3));
    let parts: Vec<_> =
        playlist.parts.iter().map(|part| (part.sequence, part.index, part.byte_range, part.independent, part.gap)).collect();
    assert_eq!(parts, [(270, 0, range(0, 9), true, false), (270, 1, range(10, 29), false, false), (271, 0, None, false, true)]);
    let hint = &playlist.preload_hints[0];
    assert_eq!((hint.kind, &*hint.url, hint.first, hint.last), (PreloadHintKind::Part, "https://a.example/dir/r.mp4", Some(5), None));
    let report = &playlist.rendition_reports[0];
    assert_eq!((&*report.url, report.last_sequence, report.last_part), ("https://a.example/o.m3u8", Some(270), Some(1)));
    let control = playlist.server_control;
    assert_eq!(
        (control.can_block_reload, control.can_skip_until, control.hold_back, control.part_hold_back),
        (Some(true), Some(24.0), None, Some(1.0))
    );
    assert_eq!(playlist.part_target, Some(0.33));
}

#[test]
fn multivariant_facts_and_variables() {
    let playlist = multivariant(concat!(
        "#EXT-X-DEFINE:QUERYPARAM=\"v\"\n#EXT-X-DEFINE:NAME=\"lang\",VALUE=\"en\"\n",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",LANGUAGE=\"{$lang}\",CHANNELS=\"2\",DEFAULT=YES,URI=\"{$lang}.m3u8\"\n",
        "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"cc\",INSTREAM-ID=\"CC1\"\n",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n",
        "#EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=9,RESOLUTION=640x360,FRAME-RATE=29.97,CODECS=\"avc1.4d401f,mp4a.40.2\",AUDIO=\"g\"\nv{$v}.m3u8\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=10\n#EXT-X-STREAM-INF:BANDWIDTH=11\nw.m3u8\nstray.m3u8\n",
    ));
    let [first, second] = &*playlist.variants else { panic!("{playlist:?}") };
    assert_eq!((&*first.url, first.bandwidth, first.average_bandwidth), ("https://a.example/dir/v7.m3u8", None, Some(9)));
    assert_eq!((first.resolution, first.frame_rate, second.bandwidth), (Some((640, 360)), Some(29.97), Some(11)));
    let [audio, captions] = &*playlist.renditions else { panic!("{playlist:?}") };
    assert_eq!((audio.url.as_deref(), audio.language.as_deref(), audio.default), (Some("https://a.example/dir/en.m3u8"), Some("en"), true));
    assert_eq!((captions.kind, captions.url.as_deref()), (RenditionKind::ClosedCaptions, None));
    assert_eq!((playlist.i_frame_playlists.len(), playlist.variables.get("v")), (1, Some("7")));

    let imported = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"lang\"\n#EXTINF:1,\n{$lang}.ts\n";
    let Ok(Playlist::Media(media)) = parse(imported.as_bytes(), BASE, &playlist.variables) else { panic!("not read") };
    assert_eq!(&*media.segments[0].url, "https://a.example/dir/en.ts");
}

#[test]
fn segments_without_a_duration_are_numbered_all_the_same() {
    let playlist = media("#EXTINF:4,\na.ts\nb.ts\n#EXTINF:x,\nc.ts\n");
    assert_eq!(
        playlist.segments.iter().map(|segment| (segment.sequence, segment.duration)).collect::<Vec<_>>(),
        [(0, 4.0), (1, 0.0), (2, 0.0)]
    );
}

#[test]
fn tags_that_only_media_playlists_have_tell_the_kind() {
    let playlist = media("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n");
    assert_eq!((playlist.server_control.can_block_reload, playlist.server_control.part_hold_back), (Some(true), Some(1.5)));
    for tag in ["PART-INF:PART-TARGET=0.5", "DISCONTINUITY-SEQUENCE:3", "I-FRAMES-ONLY", "BITRATE:800", "RENDITION-REPORT:URI=\"x\""] {
        let playlist = media(&format!("#EXT-X-{tag}\n"));
        assert!(playlist.live && playlist.segments.is_empty(), "{tag}");
    }
    // A variant decides, whatever else is there.
    assert_eq!(multivariant("#EXT-X-DISCONTINUITY\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n").variants.len(), 1);
}

#[test]
fn errors_say_what_and_where() {
    for (text, expected) in [
        ("<html>not found</html>", "not an HLS playlist: it must begin with #EXTM3U, but begins with \"<html>not found</html>\""),
        (
            "#EXTM3U\n# nothing\n",
            "an HLS playlist without variants, segments or a target duration: neither a multivariant nor a media playlist",
        ),
        ("#EXTM3U\n#EXTINF:4\n#EXT-X-BYTERANGE:0@5\na", "line 3: malformed EXT-X-BYTERANGE: the byte range is empty"),
        (
            "#EXTM3U\n#EXTINF:4\n#EXT-X-BYTERANGE:18446744073709551615@5\na",
            "line 3: malformed EXT-X-BYTERANGE: the byte range is out of range",
        ),
        ("#EXTM3U\n\n#EXT-X-MEDIA-SEQUENCE:99999999999999999999", "line 3: malformed EXT-X-MEDIA-SEQUENCE: the number is out of range"),
        ("#EXTM3U\n#EXTINF:4,\n{$x}.ts", "line 3: variable \"x\" is not defined"),
        ("#EXTM3U\n#EXTINF:99999999999999999999,\na", "line 2: malformed EXTINF: the duration is out of range"),
        ("#EXTM3U\n#EXTINF:1,\nhttp://[x/", "line 3: \"http://[x/\" is not a URI: invalid IPv6 address"),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), expected, "{text:?}");
    }
    let relative = parse(b"#EXTM3U", "list.m3u8", &Variables::default()).unwrap_err();
    assert!(relative.to_string().contains("is not an absolute URL"));
}

#[test]
fn lengths_are_limited() {
    let long = format!("#EXTM3U\n{}", " ".repeat(p2p_media_hls::MAX_PLAYLIST_BYTES));
    assert!(matches!(read(&long), Err(PlaylistError::TooLong { .. })));
    let many = format!("#EXTM3U\n{}", "#EXTINF:1,\na\n".repeat(p2p_media_hls::MAX_SEGMENTS + 1));
    assert!(matches!(read(&many), Err(PlaylistError::TooMany { what: "segments", .. })));
    let keys: String = (0..17).map(|n| format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\",KEYFORMAT=\"f{n}\"\n")).collect();
    assert!(matches!(read(&format!("#EXTM3U\n{keys}")), Err(PlaylistError::TooMany { what: "key formats", .. })));
}

/// Lines of every kind, and pieces to spoil them with.
fn playlist_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "#EXT-X-(KEY|MAP|PART|PRELOAD-HINT|RENDITION-REPORT|SKIP|DEFINE|STREAM-INF|MEDIA|SERVER-CONTROL):([A-Z-]{1,16}=\"?[ -~é]{0,12}\"?,?){0,4}",
        "#EXT-X-(KEY|MAP|PART|PRELOAD-HINT):(TYPE=PART|METHOD=AES-128),DURATION=[0-9.]{1,4},BYTERANGE=\"?[0-9@]{0,24}\"?,URI=\"[ -~]{0,8}\"",
        "#EXT-X-(BYTERANGE|MEDIA-SEQUENCE|DISCONTINUITY-SEQUENCE|TARGETDURATION):[0-9@.-]{0,24}",
        "#EXT-X-DEFINE:(NAME|IMPORT|QUERYPARAM)=\"[abv]\",VALUE=\"[{$abv}]{0,8}\"",
        "#EXT-X-PROGRAM-DATE-TIME:[0-9TZ:.+-]{0,30}",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=[0-9]{1,20}",
        "#EXT(INF|-X-GAP|-X-DISCONTINUITY|-X-ENDLIST)[:,0-9.]{0,8}",
        "[ -~é{$}]{0,16}",
    ];
    proptest::collection::vec((line, "(\n|\r\n|\r| )"), 0..24)
        .prop_map(|lines| lines.into_iter().fold(String::from("#EXTM3U\n"), |text, (line, end)| text + &line + &end))
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in playlist_text()) {
        let read = read(&text);
        if let Ok(Playlist::Media(playlist)) = read {
            prop_assert!(playlist.segments.iter().all(|segment| segment.start.is_finite() && segment.duration >= 0.0));
            p2p_media_hls::StreamTimeline::default().refresh(&playlist);
        } else if let Ok(Playlist::Multivariant(playlist)) = read {
            prop_assert!(playlist.streams().len() <= playlist.variants.len() + playlist.renditions.len());
        }
        let same = rewrite_uris(text.as_bytes(), BASE, &Variables::default(), |_| None).unwrap();
        prop_assert_eq!(&*same, text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let with_header = [&b"#EXTM3U\n"[..], &bytes].concat();
        for bytes in [&bytes, &with_header] {
            drop(parse(bytes, BASE, &Variables::default()));
        }
    }
}
