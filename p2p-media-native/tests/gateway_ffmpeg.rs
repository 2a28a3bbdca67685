//! A real player behind the gateway: ffmpeg decodes what it decodes from the origin, frame by frame. Where there is no ffmpeg, nothing is tested.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod gateway_support;

use std::io::ErrorKind;

use gateway_support::dash_sample::{Addressing, DashSample, mpd_name};
use gateway_support::gateway_for;
use p2p_media_native::origin_server::{OriginConfig, OriginServer};
use tokio::process::Command;

/// Checksums of all decoded frames of picture and sound; `None` without ffmpeg.
async fn frames(url: &str) -> Option<Vec<String>> {
    let arguments = ["-v", "quiet", "-nostdin", "-i", url, "-map", "0:v:0", "-map", "0:a:0", "-f", "framemd5", "-"];
    match Command::new("ffmpeg").args(arguments).kill_on_drop(true).output().await {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            Some(text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_sees_no_difference() {
    let sample = DashSample::make();
    let origin = OriginServer::bind(OriginConfig::new(sample.dir.path())).await.unwrap();
    for addressing in [Addressing::Timeline, Addressing::Number, Addressing::List, Addressing::Base] {
        let url = origin.url(&mpd_name(addressing));
        let Some(expected) = frames(&url).await else {
            println!("there is no ffmpeg here: nothing is compared");
            return;
        };
        let gateway = gateway_for(std::slice::from_ref(&url)).await;
        let given = frames(&gateway.url_of(&url).unwrap()).await.unwrap();
        // 1,500 pictures; ffmpeg may leave out the last segment of a list.
        assert!(expected.len() > 4000 && given == expected, "{addressing:?}: {} of {} frames", given.len(), expected.len());
        let stats = gateway.stats().await;
        assert!(stats["requests"]["segment"].as_u64().unwrap() >= 58, "{addressing:?}: {stats}");
        gateway.shutdown().await;
    }
}
