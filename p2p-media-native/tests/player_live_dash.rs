//! A live MPD as the player follows it: the server's clock, patches, the whole MPD where a patch is of no use, a new location, periods.
#![cfg(feature = "program")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report, also in its helper functions")]

mod gateway_support;

use std::time::{Duration, SystemTime};

use gateway_support::{Scripted, alone};
use p2p_media_native::player::{Player, PlayerConfig, Segments};

/// Far more than any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How far the server's clock is ahead of ours.
const SERVER_AHEAD: Duration = Duration::from_secs(1000);
const AGE: Duration = Duration::from_secs(200);

fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// A version with so many segments of a second, published in that second of a day long ago.
fn mpd(version: u32, segments: u32, more: &str) -> String {
    let start = date(SystemTime::now() + SERVER_AHEAD - AGE);
    format!(
        "<MPD type='dynamic' id='m' availabilityStartTime='{start}' publishTime='2020-01-01T00:00:{version:02}Z' minimumUpdatePeriod='PT0.5S' \
         timeShiftBufferDepth='PT500S' suggestedPresentationDelay='PT2S'>{more}\
         <PatchLocation>patch{version}</PatchLocation>\
         <Period id='p'><AdaptationSet contentType='video' mimeType='video/mp4'><Representation id='v' bandwidth='1'>\
         <SegmentTemplate timescale='1' media='$Number$.m4s' initialization='i.mp4'><SegmentTimeline><S t='0' d='1' r='{}'/></SegmentTimeline>\
         </SegmentTemplate></Representation></AdaptationSet></Period>\
         <UTCTiming schemeIdUri='urn:mpeg:dash:utc:http-iso:2014' value='time'/></MPD>",
        segments - 1
    )
}

/// What makes version `from` the next one.
fn patch(from: u32, segments: u32) -> String {
    format!(
        "<Patch xmlns='urn:mpeg:dash:schema:mpd-patch:2020' mpdId='m' originalPublishTime='2020-01-01T00:00:{from:02}Z' \
         publishTime='2020-01-01T00:00:{:02}Z'><replace sel='/MPD/@publishTime'>2020-01-01T00:00:{:02}Z</replace>\
         <replace sel='/MPD/PatchLocation[1]'><PatchLocation>patch{}</PatchLocation></replace>\
         <replace sel=\"/MPD/Period[@id='p']/AdaptationSet[1]/Representation[@id='v']/SegmentTemplate/SegmentTimeline/S[1]/@r\">{}</replace>\
         </Patch>",
        from + 1,
        from + 1,
        from + 1,
        segments - 1
    )
}

async fn player(url: &str) -> Player {
    Player::open(url, PlayerConfig { engine: alone(), ..PlayerConfig::default() }).await.unwrap()
}

async fn next(segments: &mut Segments) -> (u64, f64) {
    let segment = tokio::time::timeout(PATIENCE, segments.next()).await.unwrap().unwrap().unwrap();
    (segment.info().number.unwrap(), segment.info().start)
}

#[tokio::test]
async fn newer_versions_come_as_patches_as_a_whole_and_from_elsewhere() {
    let (origin, base) = Scripted::start().await;
    origin.add("/time", date(SystemTime::now() + SERVER_AHEAD));
    origin.add("/live.mpd", mpd(1, 100, ""));
    let player = player(&format!("{base}/live.mpd")).await;
    origin.add_script("/live.mpd", 500, &[], "");
    let mut segments = player.segments(&player.main_tracks()[0]).await.unwrap();
    let window = segments.window();
    assert_eq!((window.live, window.end), (true, 100.0), "by the server's clock all of them are there");
    segments.seek(99.0);
    assert_eq!(next(&mut segments).await, (100, 99.0));

    origin.add("/patch1", patch(1, 101));
    assert_eq!(next(&mut segments).await, (101, 100.0));

    // No patch for the second version: the whole MPD, which has moved.
    origin.add("/live.mpd", mpd(3, 102, "<Location>moved.mpd</Location>"));
    assert_eq!(next(&mut segments).await, (102, 101.0));
    origin.add_script("/live.mpd", 500, &[], "");
    origin.add("/moved.mpd", mpd(4, 103, ""));
    assert_eq!(next(&mut segments).await, (103, 102.0));

    // It ends.
    origin.add("/moved.mpd", mpd(5, 104, "").replace("dynamic", "static").replace("<Period id='p'>", "<Period id='p' duration='PT104S'>"));
    assert_eq!(next(&mut segments).await, (104, 103.0));
    assert!(tokio::time::timeout(PATIENCE, segments.next()).await.unwrap().unwrap().is_none());
    player.close().await;
}

#[tokio::test]
async fn a_track_goes_on_through_periods_with_other_streams() {
    let period = |id: &str, seconds: u32, codecs: &str| {
        format!(
            "<Period id='{id}' duration='PT{seconds}S'><AdaptationSet contentType='video' mimeType='video/mp4'>\
             <Representation id='a' bandwidth='1' codecs='{codecs}' width='160' height='90'/>\
             <Representation id='b' bandwidth='2' codecs='{codecs}' width='320' height='180'/>\
             <SegmentTemplate duration='2' media='{id}-$RepresentationID$-$Number$.m4s' initialization='{id}-$RepresentationID$.mp4'/>\
             </AdaptationSet></Period>"
        )
    };
    let (origin, base) = Scripted::start().await;
    let periods = [period("one", 4, "avc1.4d400c"), period("ad", 2, "avc1.64001f"), period("two", 2, "avc1.4d400c")].concat();
    origin.add("/vod.mpd", format!("<MPD type='static'>{periods}</MPD>"));
    let player = player(&format!("{base}/vod.mpd")).await;
    let tracks = player.main_tracks();
    let track = tracks.iter().find(|track| track.resolution == Some((320, 180))).unwrap();
    let mut segments = player.segments(track).await.unwrap();
    let mut seen = Vec::new();
    while let Some(segment) = segments.next().await.unwrap() {
        let name = segment.info().url.strip_prefix(&format!("{base}/")).unwrap().to_owned();
        seen.push((name, segment.info().start, segment.init_changed(), segment.starts_discontinuity()));
    }
    let expected = [
        ("one-b-1.m4s", 0.0, true, false),
        ("one-b-2.m4s", 2.0, false, false),
        ("ad-b-1.m4s", 4.0, true, true),
        ("two-b-1.m4s", 6.0, true, true),
    ];
    assert_eq!(seen, expected.map(|(name, start, init, discontinuity)| (name.to_owned(), start, init, discontinuity)));
    player.close().await;
}
