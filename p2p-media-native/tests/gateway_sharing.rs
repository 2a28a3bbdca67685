//! Two gateways with a player each: what one has, the other gets from it over WebRTC.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::path::Path;
use std::time::Duration;

use p2p_media_core::config::Config;
use p2p_media_native::gateway::{GatewayConfig, GatewayServer};
use p2p_media_native::origin_server::{OriginConfig, OriginServer};
use p2p_media_native::tracker_server::{TrackerConfig, TrackerServer};
use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/media");
const SEGMENTS: u32 = 30;
const PATIENCE: Duration = Duration::from_secs(30);

async fn gateway_for(url: &str, tracker: &str) -> GatewayServer {
    let engine = Config { announce_trackers: vec![tracker.to_owned()], ice_servers: Vec::new(), ..Config::default() };
    let listen = "127.0.0.1:0".parse().unwrap();
    GatewayServer::bind(GatewayConfig { listen, urls: vec![url.to_owned()], engine, ..GatewayConfig::default() }).await.unwrap()
}

/// Reads a file through a gateway and compares it.
async fn read(gateway: &GatewayServer, origin: &OriginServer, name: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(gateway.url_of(&origin.url(name)).unwrap()).send().await.unwrap().error_for_status().unwrap();
    let bytes = response.bytes().await.unwrap();
    assert!(bytes == std::fs::read(Path::new(SAMPLE).join(name)).unwrap(), "{name}");
}

async fn read_segments(gateway: &GatewayServer, origin: &OriginServer, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        read(gateway, origin, &format!("seg_2_{number:02}.m4s")).await;
        read(gateway, origin, &format!("seg_3_{number:02}.m4s")).await;
    }
}

async fn wait_for(gateway: &GatewayServer, what: impl Fn(&Value) -> bool) {
    let waiting = async {
        while !what(&gateway.stats().await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_gets_most_of_its_bytes_from_the_first() {
    shares(&["master.m3u8", "media_2.m3u8", "media_3.m3u8"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_does_with_dash() {
    shares(&["manifest.mpd"]).await;
}

/// Reads the first of these manifests, the others that it needs, and then the segments of the best picture and the sound.
async fn shares(manifests: &[&str]) {
    let _ = rustls::crypto::ring::default_provider().install_default(); // an error says that another test was first
    let origin = OriginServer::bind(OriginConfig::new(SAMPLE)).await.unwrap();
    let config = TrackerConfig { listen: "127.0.0.1:0".parse().unwrap(), ..TrackerConfig::default() };
    let tracker = TrackerServer::bind(config).await.unwrap().spawn();
    let manifest = origin.url(manifests[0]);
    let first = gateway_for(&manifest, tracker.url()).await;
    let second = gateway_for(&manifest, tracker.url()).await;

    for gateway in [&first, &second] {
        for name in manifests {
            read(gateway, &origin, name).await;
        }
    }
    read_segments(&first, &origin, 1..=SEGMENTS).await;
    read_segments(&second, &origin, 1..=1).await;
    // One peer in each of the two swarms.
    wait_for(&second, |stats| stats["total"]["peers"] == 2).await;
    let before = origin.stats().segments.bytes;
    read_segments(&second, &origin, 2..=SEGMENTS).await;

    let total = second.stats().await["total"].clone();
    let bytes = |name: &str| total[name].as_u64().unwrap();
    let from_origin = origin.stats().segments.bytes - before;
    assert!(bytes("p2p_bytes") > 4 * bytes("http_bytes"), "{total}");
    assert!(from_origin < bytes("delivered_bytes") / 4, "{from_origin} of {total}");
    assert!(first.stats().await["total"]["uploaded_bytes"].as_u64().unwrap() >= bytes("p2p_bytes"));

    // Both leave the swarms, and the tracker hears of it.
    first.shutdown().await;
    second.shutdown().await;
    let left = async {
        while tracker.stats().peers != 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.unwrap();
    tracker.shutdown().await;
}
