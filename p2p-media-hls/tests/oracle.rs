//! `m3u8-rs` as an independent reader: on well-formed playlists both must say the same.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::{Path, PathBuf};

use p2p_media_hls::{Playlist, Variables, parse};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "m3u8")).collect()
}

#[test]
fn both_readers_agree() {
    let files = fixtures();
    assert!(files.len() >= 12);
    for file in files {
        let text = fs::read(&file).unwrap();
        let ours = parse(&text, "test:/dir/list.m3u8", &Variables::default()).unwrap();
        match (ours, m3u8_rs::parse_playlist_res(&text).unwrap()) {
            (Playlist::Media(ours), m3u8_rs::Playlist::MediaPlaylist(theirs)) => {
                assert_eq!((ours.live, ours.media_sequence), (!theirs.end_list, theirs.media_sequence), "{file:?}");
                assert_eq!(ours.target_duration, Some(theirs.target_duration as f64));
                assert_eq!(ours.segments.len(), theirs.segments.len());
                for (ours, theirs) in ours.segments.iter().zip(&theirs.segments) {
                    assert_eq!(*ours.url, format!("test:/dir/{}", theirs.uri));
                    assert!((ours.duration as f32 - theirs.duration).abs() < 1e-6);
                    let range = theirs.byte_range.as_ref().map(|range| (range.offset, range.length));
                    assert_eq!(ours.byte_range.map(|range| (Some(range.first), range.len())), range);
                }
            }
            (Playlist::Multivariant(ours), m3u8_rs::Playlist::MasterPlaylist(theirs)) => {
                assert_eq!(ours.variants.len(), theirs.variants.len(), "{file:?}");
                for (ours, theirs) in ours.variants.iter().zip(&theirs.variants) {
                    assert_eq!((&*ours.url, ours.bandwidth), (&*format!("test:/dir/{}", theirs.uri), Some(theirs.bandwidth)));
                    assert_eq!((ours.codecs.as_deref(), ours.average_bandwidth), (theirs.codecs.as_deref(), theirs.average_bandwidth));
                    let size = theirs.resolution.map(|size| (size.width as u32, size.height as u32));
                    assert_eq!((ours.resolution, ours.frame_rate), (size, theirs.frame_rate));
                }
                let uris: Vec<Option<String>> =
                    theirs.alternatives.iter().map(|media| media.uri.as_ref().map(|uri| format!("test:/dir/{uri}"))).collect();
                assert_eq!(ours.renditions.iter().map(|rendition| rendition.url.as_deref().map(str::to_owned)).collect::<Vec<_>>(), uris);
            }
            _ => panic!("{file:?}: different kinds"),
        }
    }
}
