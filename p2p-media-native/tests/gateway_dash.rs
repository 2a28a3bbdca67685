//! DASH through the gateway: every byte is the origin's, whatever the addressing, and the segments come from the engine.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod gateway_support;

use std::time::Duration;

use gateway_support::dash_sample::{Addressing, DashSample, Wanted, mpd_name};
use gateway_support::{Scripted, alone, bytes_of, client, file, gateway_for, get, header};
use p2p_media_native::gateway::{GatewayConfig, GatewayServer};
use p2p_media_native::origin_server::{OriginConfig, OriginServer};
use reqwest::Client;

async fn sample() -> (DashSample, OriginServer) {
    let sample = DashSample::make();
    let origin = OriginServer::bind(OriginConfig::new(sample.dir.path())).await.unwrap();
    (sample, origin)
}

/// Asks as a DASH player does, and compares.
async fn read(client: &Client, gateway: &GatewayServer, origin: &OriginServer, wanted: &Wanted) {
    let url = gateway.url_of(&origin.url(&wanted.name)).unwrap();
    let (request, status) = match &wanted.range {
        None => (client.get(url), 200),
        Some(range) => (client.get(url).header("range", format!("bytes={}-{}", range.start, range.end - 1)), 206),
    };
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), status, "{} {:?}", wanted.name, wanted.range);
    let bytes = response.bytes().await.unwrap();
    assert!(bytes == wanted.bytes, "{} {:?}: {} bytes", wanted.name, wanted.range, bytes.len());
}

#[tokio::test]
async fn every_addressing_gives_what_the_origin_has_out_of_the_engine() {
    let (sample, origin) = sample().await;
    let client = client();
    for addressing in Addressing::ALL {
        let name = mpd_name(addressing);
        let gateway = gateway_for(&[origin.url(&name)]).await;
        let mpd = bytes_of(gateway.url_of(&origin.url(&name)).unwrap()).await;
        assert_eq!(mpd, std::fs::read(sample.dir.path().join(&name)).unwrap(), "{addressing:?}");
        for id in [1, 3] {
            for wanted in DashSample::wanted(addressing, id) {
                read(&client, &gateway, &origin, &wanted).await;
            }
        }
        let stats = gateway.stats().await;
        assert_eq!(stats["requests"]["segment"], 60, "{addressing:?}: {stats}");
        assert_eq!(stats["total"]["segments_loaded"], 60, "{addressing:?}");
        let streams = stats["sessions"][0]["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 2, "what is not played is not shared: {stats}");
        for (stream, (kind, representation)) in streams.iter().zip([("main", "1"), ("secondary", "3")]) {
            assert_eq!((&stream["kind"], &stream["representation"]), (&kind.into(), &representation.into()), "{addressing:?}");
            assert_eq!((&stream["segments"], &stream["live"]), (&30.into(), &false.into()), "{addressing:?}");
        }
        assert_eq!(stats["sessions"][0]["viewers"], 1, "sound and picture are one viewer's");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn files_that_are_read_from_end_to_end_come_from_the_engine() {
    let (_sample, origin) = sample().await;
    let (name, whole) = DashSample::file(2);
    for addressing in [Addressing::Base, Addressing::ListOfRanges] {
        let mpd = origin.url(&mpd_name(addressing));
        let gateway = gateway_for(std::slice::from_ref(&mpd)).await;
        bytes_of(gateway.url_of(&mpd).unwrap()).await;
        let url = gateway.url_of(&origin.url(&name)).unwrap();
        for (range, expected) in [
            (None, 0..whole.len()),
            (Some("bytes=0-".to_owned()), 0..whole.len()),
            (Some("bytes=300000-".to_owned()), 300_000..whole.len()),
            (Some("bytes=500-400000".to_owned()), 500..400_001),
            (Some("bytes=-100000".to_owned()), whole.len() - 100_000..whole.len()),
        ] {
            let request = range.iter().fold(client().get(&url), |request, range| request.header("range", range));
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), if range.is_some() { 206 } else { 200 });
            assert_eq!(header(response.headers(), "content-length"), expected.len().to_string(), "{range:?}");
            assert!(response.bytes().await.unwrap() == whole[expected], "{range:?}");
        }
        let stats = gateway.stats().await;
        assert_eq!(stats["total"]["segments_loaded"], 30, "{addressing:?}: {stats}");
        assert_eq!(stats["requests"]["passed_on"], 0, "{stats}");
        gateway.shutdown().await;
    }
}

/// A browser's cache asks for further ranges of a file only if it is still the one of which it has some.
#[tokio::test]
async fn a_browsers_cache_gets_ranges_on_its_condition() {
    let (_sample, origin) = sample().await;
    for addressing in [Addressing::Base, Addressing::ListOfRanges] {
        let mpd = origin.url(&mpd_name(addressing));
        let gateway = gateway_for(std::slice::from_ref(&mpd)).await;
        bytes_of(gateway.url_of(&mpd).unwrap()).await;
        let wanted = DashSample::wanted(addressing, 2);
        let url = gateway.url_of(&origin.url(&wanted[0].name)).unwrap();
        let (_, whole) = DashSample::file(2);
        let mut validator = None;
        for wanted in wanted.iter().chain(&wanted[..2]) {
            let range = wanted.range.clone().unwrap();
            let asked = client().get(&url).header("range", format!("bytes={}-{}", range.start, range.end - 1));
            let response =
                validator.iter().fold(asked, |asked, validator: &String| asked.header("if-range", validator)).send().await.unwrap();
            assert_eq!(response.status(), 206, "{addressing:?} {range:?}");
            let expected = format!("bytes {}-{}/{}", range.start, range.end - 1, whole.len());
            assert_eq!(header(response.headers(), "content-range"), expected, "{addressing:?}");
            validator = Some(header(response.headers(), "last-modified").to_owned());
            assert!(response.bytes().await.unwrap() == wanted.bytes, "{addressing:?} {range:?}");
        }
        let segments = wanted.iter().filter(|wanted| wanted.is_segment).count();
        assert_eq!(gateway.stats().await["total"]["segments_loaded"], segments, "{addressing:?}");
        // What is to be given of another version only the origin knows.
        let passed_on = async || gateway.stats().await["requests"]["passed_on"].as_u64().unwrap();
        let before = passed_on().await;
        let asked = client().get(&url).header("range", "bytes=5000-5999").header("if-range", "\"another\"");
        drop(asked.send().await.unwrap().bytes().await);
        assert_eq!(passed_on().await, before + 1);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_had_leaves_the_media_to_the_origin() {
    let (origin, base) = Scripted::start().await;
    origin.add(
        "/a.mpd",
        r#"<MPD type="static" mediaPresentationDuration="PT10S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="1">
           <BaseURL>v.mp4</BaseURL><SegmentBase indexRange="10-19"/></Representation></AdaptationSet></Period></MPD>"#,
    );
    origin.add("/v.mp4", "no index is in here, nor media");
    let gateway = gateway_for(&[format!("{base}/a.mpd")]).await;
    bytes_of(gateway.url_of(&format!("{base}/a.mpd")).unwrap()).await;
    let url = gateway.url_of(&format!("{base}/v.mp4")).unwrap();
    let response = client().get(&url).header("range", "bytes=20-24").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (206, " nor ".to_owned()));
    assert_eq!(bytes_of(&url).await, b"no index is in here, nor media");
    let stats = gateway.stats().await;
    assert_eq!((&stats["requests"]["passed_on"], &stats["requests"]["segment"]), (&2.into(), &0.into()));
    gateway.shutdown().await;
}

#[tokio::test]
async fn urls_that_would_lead_past_it_lead_through_it() {
    let (cdn, cdn_base) = Scripted::start().await;
    let (origin, base) = Scripted::start().await;
    let (host, cdn_host) = (base.strip_prefix("http://").unwrap(), cdn_base.strip_prefix("http://").unwrap());
    let mpd = |base_url: &str, root: &str| {
        format!(
            "<?xml version='1.0'?>\r\n<!-- {cdn_base}/stays -->\n<MPD type='static'  mediaPresentationDuration='PT4S'><BaseURL>{base_url}</BaseURL>\n\
             <Period><AdaptationSet mimeType='video/mp4'>\n<SegmentTemplate duration='2' media='{root}v/$Number$.m4s?a=1&amp;b=2' initialization='i.mp4'/>\
             <Representation id='v' bandwidth='1'/></AdaptationSet></Period></MPD>\n"
        )
    };
    origin.add("/x/a.mpd", mpd(&format!("{cdn_base}/m/"), ""));
    origin.add("/x/b.mpd", mpd("sub/", "/"));
    origin.add_script("/play", 302, &[("location", format!("{cdn_base}/y/c.mpd?t=1"))], "");
    cdn.add("/y/c.mpd?t=1", mpd("sub/", ""));
    cdn.add("/m/v/1.m4s?a=1&b=2", "first");
    let gateway = gateway_for(&[format!("{base}/x/a.mpd")]).await;
    let root = format!("http://{}", gateway.local_addr());
    let through = async |path: &str| String::from_utf8(bytes_of(gateway.url_of(&format!("{base}{path}")).unwrap()).await).unwrap();
    assert_eq!(through("/x/a.mpd").await, mpd(&format!("/http/{cdn_host}/m/"), ""));
    assert_eq!(through("/x/b.mpd").await, mpd("sub/", &format!("/http/{host}/")));
    assert_eq!(through("/play").await, mpd(&format!("/http/{cdn_host}/y/sub/"), ""));
    // The other host is served now, and its segment shared.
    assert_eq!(bytes_of(format!("{root}/http/{cdn_host}/m/v/1.m4s?a=1&b=2")).await, b"first");
    assert_eq!(gateway.stats().await["requests"]["segment"], 1);
    gateway.shutdown().await;
}

/// An MPD of 2-second segments that began `age` ago, with the first `segments` of them at the origin.
fn live_mpd(origin: &Scripted, age: Duration, segments: u32) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap() - age;
    let availability_start = since.as_secs();
    origin.add(
        "/live.mpd",
        format!(
            "<MPD type='dynamic' availabilityStartTime='{}' timeShiftBufferDepth='PT60S' minimumUpdatePeriod='PT500S'>\
             <Period start='PT0S'><AdaptationSet mimeType='video/mp4'><SegmentTemplate duration='2' media='$Number$.m4s' startNumber='0'/>\
             <Representation id='v' bandwidth='1'/></AdaptationSet></Period></MPD>",
            date_time(availability_start)
        ),
    );
    for number in 0..segments {
        origin.add(&format!("/{number}.m4s"), format!("segment {number}"));
    }
}

/// Seconds since 1970 as xs:dateTime.
fn date_time(seconds: u64) -> String {
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
    let fields: Vec<&str> = date.split(' ').collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == fields[2]).unwrap() + 1;
    format!("{}-{month:02}-{}T{}Z", fields[3], fields[1], fields[4])
}

#[tokio::test]
async fn time_moves_the_window_of_a_live_stream() {
    let (origin, base) = Scripted::start().await;
    live_mpd(&origin, Duration::from_secs(101), 60);
    let gateway = gateway_for(&[format!("{base}/live.mpd")]).await;
    bytes_of(gateway.url_of(&format!("{base}/live.mpd")).unwrap()).await;
    let segment = |number: u32| gateway.url_of(&format!("{base}/{number}.m4s")).unwrap();
    // It began 101 s ago: 50 segments are finished, those of the last minute may be played.
    assert_eq!(bytes_of(segment(40)).await, b"segment 40");
    let listed = async || gateway.stats().await["sessions"][0]["streams"][0]["segments"].as_u64().unwrap();
    let before = listed().await;
    assert!((29..=33).contains(&before), "{before}");
    // One that is yet to come by our clock, but not by the player's.
    assert_eq!(bytes_of(segment(53)).await, b"segment 53");
    assert_eq!(gateway.stats().await["requests"]["segment"], 2);
    // Far too old and far too new ones are the origin's to answer.
    assert_eq!(bytes_of(segment(3)).await, b"segment 3");
    assert_eq!(get(segment(1000)).await.status(), 404);
    let stats = gateway.stats().await;
    assert_eq!((&stats["requests"]["segment"], &stats["requests"]["passed_on"]), (&2.into(), &2.into()));
    assert_eq!(stats["sessions"][0]["streams"][0]["live"], true);
    for number in [52, 54, 55, 56, 57] {
        assert!(origin.asked(&format!("/{number}.m4s")).is_none(), "nothing is fetched before its time: {number}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn an_mpd_is_known_by_what_it_begins_with() {
    let (origin, base) = Scripted::start().await;
    let mpd = "\n<!-- x --><MPD type='static' mediaPresentationDuration='PT2S'><Period><AdaptationSet mimeType='video/mp4'>\
               <SegmentTemplate duration='2' media='$Number$'/><Representation id='v' bandwidth='1'/></AdaptationSet></Period></MPD>";
    origin.add("/stream?format=dash", mpd);
    origin.add("/1", file("seg_0_01.m4s").len().to_string());
    let listen = "127.0.0.1:0".parse().unwrap();
    let gateway =
        GatewayServer::bind(GatewayConfig { listen, allow_any_origin: true, engine: alone(), ..GatewayConfig::default() }).await.unwrap();
    let url = gateway.url_of(&format!("{base}/stream?format=dash")).unwrap();
    let response = client().get(&url).header("range", "bytes=0-").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (200, mpd.to_owned()));
    bytes_of(gateway.url_of(&format!("{base}/1")).unwrap()).await;
    assert_eq!(gateway.stats().await["requests"]["segment"], 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn patches_keep_the_timeline_true() {
    let (origin, base) = Scripted::start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let start = date_time(now - 1000);
    let published = [date_time(now - 2), date_time(now)];
    let mpd = format!(
        "<MPD id='m' type='dynamic' availabilityStartTime='{start}' publishTime='{}' timeShiftBufferDepth='PT60S' minimumUpdatePeriod='PT2S'>\
         <PatchLocation ttl='60'>patch.mpp?of=1</PatchLocation><Period id='p' start='PT0S'><AdaptationSet id='a' mimeType='video/mp4'>\
         <SegmentTemplate media='$Time$.m4s'><SegmentTimeline><S t='950' d='10' r='2'/></SegmentTimeline></SegmentTemplate>\
         <Representation id='v' bandwidth='1'/></AdaptationSet></Period></MPD>",
        published[0]
    );
    let patch = format!(
        "<?xml version='1.0'?><Patch xmlns='urn:mpeg:dash:schema:mpd-patch:2020' mpdId='m' originalPublishTime='{}' publishTime='{}'>\
         <replace sel='/MPD/@publishTime'>{}</replace>\
         <add sel=\"/MPD/Period[@id='p']/AdaptationSet[@id='a']/SegmentTemplate/SegmentTimeline\"><S d='10'/></add></Patch>",
        published[0], published[1], published[1]
    );
    origin.add("/live.mpd", mpd.clone());
    origin.add("/patch.mpp?of=1", patch.clone());
    ["950", "980"].iter().for_each(|time| origin.add(&format!("/{time}.m4s"), *time));
    let gateway = gateway_for(&[format!("{base}/live.mpd")]).await;
    let through = async |path: &str| bytes_of(gateway.url_of(&format!("{base}{path}")).unwrap()).await;
    assert_eq!(through("/live.mpd").await, mpd.as_bytes());
    assert_eq!(through("/950.m4s").await, b"950");
    assert_eq!(gateway.stats().await["sessions"][0]["streams"][0]["segments"], 3);
    assert_eq!(through("/patch.mpp?of=1").await, patch.as_bytes());
    assert_eq!(gateway.stats().await["sessions"][0]["streams"][0]["segments"], 4);
    assert_eq!(through("/980.m4s").await, b"980");
    // The same once more is for another version, and changes nothing.
    through("/patch.mpp?of=1").await;
    let stats = gateway.stats().await;
    assert_eq!((&stats["requests"]["segment"], &stats["requests"]["manifest"]), (&2.into(), &3.into()));
    assert_eq!((stats["sessions"].as_array().unwrap().len(), &stats["sessions"][0]["streams"][0]["segments"]), (1, &4.into()));
    gateway.shutdown().await;
}
