//! Tests of rewriting.

use proptest::prelude::*;

use super::*;

const URL: &str = "https://a.example/live/m.mpd?t=1";

fn rewrite(text: &str, replace: impl FnMut(&UrlReference<'_>) -> Option<String>) -> String {
    String::from_utf8(rewrite_urls(text.as_bytes(), URL, replace).unwrap().into_owned()).unwrap()
}

fn offered(text: &str) -> Vec<(UrlKind, String, String)> {
    let mut seen = Vec::new();
    let same = rewrite(text, |url| {
        seen.push((url.kind, url.written.to_owned(), url.absolute.to_owned()));
        None
    });
    assert_eq!(same, text);
    seen
}

const ALL: &str = r#"<?xml version="1.0"?>
<!-- <BaseURL>no</BaseURL> -->
<MPD type='dynamic'>
  <Location> https://a.example/live/n.mpd?a=1&amp;b=2 </Location>
  <PatchLocation ttl="60">patch.mpp</PatchLocation>
  <BaseURL serviceLocation="a"><![CDATA[ media/?x&y ]]></BaseURL>
  <BaseURL>https://c.example/</BaseURL>
  <Period xlink:href='remote.xml' xlink:actuate="onLoad"><BaseURL>p/</BaseURL>
    <EventStream><Event><BaseURL>no</BaseURL></Event></EventStream>
    <AdaptationSet>
      <SegmentTemplate media = "$RepresentationID$/$Number%05d$.m4s?a=1&#38;b=2" initialization="/i_$RepresentationID$.mp4"
        index='x.sidx' bitstreamSwitching="b.mp4"><SegmentTimeline><S media="no" d="1"/></SegmentTimeline></SegmentTemplate>
      <Representation id="1"/></AdaptationSet>
    <AdaptationSet><Representation><BaseURL>r/</BaseURL>
      <SegmentList><Initialization sourceURL="i.mp4" range="0-1"/><RepresentationIndex sourceURL="ri"/>
        <BitstreamSwitching sourceURL="bs"/><SegmentURL media="1.m4s" index="1.idx" mediaRange="0-9"/><SegmentURL mediaRange="0-9"/></SegmentList>
    </Representation></AdaptationSet>
  </Period>
  <Period xlink:href="urn:mpeg:dash:resolve-to-zero:2013"/>
</MPD>
<!-- the end -->"#;

#[test]
fn every_url_is_offered_with_its_kind_and_meaning() {
    use UrlKind::{BaseUrl, BitstreamSwitching, Index, Initialization, Location, Media, PatchLocation, Xlink};
    let expected = [
        (Location, "https://a.example/live/n.mpd?a=1&b=2", "https://a.example/live/n.mpd?a=1&b=2"),
        (PatchLocation, "patch.mpp", "https://a.example/live/patch.mpp"),
        (BaseUrl, "media/?x&y", "https://a.example/live/media/?x&y"),
        (BaseUrl, "https://c.example/", "https://c.example/"),
        (Xlink, "remote.xml", "https://a.example/live/remote.xml"),
        (BaseUrl, "p/", "https://a.example/live/media/p/"),
        (
            Media,
            "$RepresentationID$/$Number%05d$.m4s?a=1&b=2",
            "https://a.example/live/media/p/$RepresentationID$/$Number%05d$.m4s?a=1&b=2",
        ),
        (Initialization, "/i_$RepresentationID$.mp4", "https://a.example/i_$RepresentationID$.mp4"),
        (Index, "x.sidx", "https://a.example/live/media/p/x.sidx"),
        (BitstreamSwitching, "b.mp4", "https://a.example/live/media/p/b.mp4"),
        (BaseUrl, "r/", "https://a.example/live/media/p/r/"),
        (Initialization, "i.mp4", "https://a.example/live/media/p/r/i.mp4"),
        (Index, "ri", "https://a.example/live/media/p/r/ri"),
        (BitstreamSwitching, "bs", "https://a.example/live/media/p/r/bs"),
        (Media, "1.m4s", "https://a.example/live/media/p/r/1.m4s"),
        (Index, "1.idx", "https://a.example/live/media/p/r/1.idx"),
    ];
    assert_eq!(offered(ALL), expected.map(|(kind, written, absolute)| (kind, written.to_owned(), absolute.to_owned())));
}

#[test]
fn only_the_urls_change() {
    let rewritten =
        rewrite(ALL, |url| matches!(url.kind, UrlKind::Location | UrlKind::BaseUrl | UrlKind::Media).then(|| "/g?a&'b'".into()));
    let expected = ALL
        .replace("https://a.example/live/n.mpd?a=1&amp;b=2", "/g?a&amp;&apos;b&apos;")
        .replace("media/?x&y", "/g?a&'b'")
        .replace("https://c.example/", "/g?a&amp;&apos;b&apos;")
        .replace(">p/<", ">/g?a&amp;&apos;b&apos;<")
        .replace("$RepresentationID$/$Number%05d$.m4s?a=1&#38;b=2", "/g?a&amp;&apos;b&apos;")
        .replace(">r/<", ">/g?a&amp;&apos;b&apos;<")
        .replace("\"1.m4s\"", "\"/g?a&amp;&apos;b&apos;\"");
    // The space within the CDATA section goes with the URL.
    assert_eq!(rewritten, expected.replace("[ /g?a&'b' ]", "[/g?a&'b']"));
}

#[test]
fn replacements_cannot_break_out() {
    let evil = "\"><x y='&]]>\n";
    let text = r#"<MPD><BaseURL>a</BaseURL><BaseURL><![CDATA[b]]></BaseURL><BaseURL>c<!-- d --></BaseURL><Period><SegmentTemplate media='d'/></Period></MPD>"#;
    let rewritten = rewrite(text, |_| Some(evil.into()));
    assert_eq!(
        offered(&rewritten).iter().map(|(_, written, _)| &**written).collect::<Vec<_>>(),
        ["\"><x y='&]]>%0A", "\"><x y='&]]%3E%0A", "\"><x y='&]]>%0A", "\"><x y='&]]>%0A"]
    );
}

#[test]
fn what_representations_inherit_has_one_meaning_or_is_left_alone() {
    let set = |first: &str, second: &str, media: &str| {
        let list = format!("<AdaptationSet><SegmentTemplate media=\"{media}\"/><Representation>{first}</Representation>");
        format!("<MPD><Period>{list}<Representation>{second}</Representation></AdaptationSet></Period></MPD>")
    };
    let media = |text: &str| {
        let is_media = |(kind, _, absolute)| if kind == UrlKind::Media { Some(absolute) } else { None };
        offered(text).into_iter().find_map(is_media)
    };
    let (v, w) = ("<BaseURL>v/</BaseURL>", "<BaseURL>w/</BaseURL>");
    assert_eq!(media(&set(v, v, "$Time$")).as_deref(), Some("https://a.example/live/v/$Time$"));
    assert_eq!(media(&set(v, w, "$Time$")), None);
    assert_eq!(media(&set(v, w, "/$Time$")).as_deref(), Some("https://a.example/$Time$"));
}

#[test]
fn a_patch_offers_what_does_not_depend_on_the_mpd() {
    let patch = r#"<Patch><replace sel="/MPD/PatchLocation[1]"><PatchLocation>/p.mpp</PatchLocation></replace>
        <replace sel="/MPD/Period[1]/AdaptationSet[2]/SegmentTemplate/@media">https://b.example/$Number$</replace>
        <add sel="/MPD/Period[1]/AdaptationSet[2]/SegmentTemplate" type="@initialization">/i.mp4</add>
        <replace sel="/MPD/@publishTime">2026-01-01T00:00:00Z</replace>
        <add sel="/MPD"><Period><BaseURL>p/</BaseURL></Period></add></Patch>"#;
    let expected = [
        (UrlKind::PatchLocation, "/p.mpp", "https://a.example/p.mpp"),
        (UrlKind::Media, "https://b.example/$Number$", "https://b.example/$Number$"),
        (UrlKind::Initialization, "/i.mp4", "https://a.example/i.mp4"),
    ];
    assert_eq!(offered(patch), expected.map(|(kind, written, absolute)| (kind, written.to_owned(), absolute.to_owned())));
}

#[test]
fn other_encodings_keep_theirs() {
    let text = "\u{feff}<MPD é='&#233;'><BaseURL>a</BaseURL></MPD>";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let expected: Vec<u8> = text.replace(">a<", ">bc<").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(*rewrite_urls(&little, URL, |_| Some("bc".into())).unwrap(), *expected);
    assert_eq!(rewrite(text, |_| Some("bc".into())), text.replace(">a<", ">bc<"));
    let broken = b"<MPD x='\xff\xfe\xe2\x82'><BaseURL>a</BaseURL></MPD>";
    assert_eq!(*rewrite_urls(broken, URL, |_| Some("bc".into())).unwrap(), *b"<MPD x='\xff\xfe\xe2\x82'><BaseURL>bc</BaseURL></MPD>");
}

#[test]
fn what_is_no_mpd_is_an_error() {
    assert!(matches!(rewrite_urls(b"#EXTM3U", URL, |_| None), Err(MpdError::NotXml { .. })));
    assert!(matches!(rewrite_urls(b"<svg/>", URL, |_| None), Err(MpdError::NotAnMpd { .. })));
    assert!(matches!(rewrite_urls(b"<MPD/>", "m.mpd", |_| None), Err(MpdError::BaseUrl { .. })));
}

proptest! {
    #[test]
    fn without_replacements_every_byte_stays(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for text in [bytes.clone(), [b"<MPD>", bytes.as_slice(), b"</MPD>"].concat()] {
            if let Ok(rewritten) = rewrite_urls(&text, URL, |_| None) {
                prop_assert_eq!(&*rewritten, &*text);
            }
        }
    }

    #[test]
    fn replaced_by_what_they_mean_urls_mean_the_same(
        pieces in "(<BaseURL>|</BaseURL>|<Period>|</Period>|<SegmentTemplate media=\"|\"/>|<!\\[CDATA\\[|\\]\\]>|<!--|-->|&amp;|&lt;|&|[a/. \\n$?]){0,30}",
    ) {
        let text = format!("<MPD>{pieces}</MPD>");
        let collect = |text: &[u8]| {
            let mut seen = Vec::new();
            let result = rewrite_urls(text, URL, |url| { seen.push((url.kind, url.absolute.to_owned())); None });
            result.is_ok().then_some(seen)
        };
        if let Some(seen) = collect(text.as_bytes()) {
            let rewritten = rewrite_urls(text.as_bytes(), URL, |url| Some(url.absolute.to_owned())).unwrap();
            prop_assert_eq!(collect(&rewritten), Some(seen), "{}", String::from_utf8_lossy(&rewritten));
        }
    }
}
