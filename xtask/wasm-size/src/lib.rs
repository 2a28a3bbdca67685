//! Everything that a player uses of the manifest crates, so that `cargo xtask bench wasm` can weigh them.

use std::hint::black_box;

use p2p_media_dash::PresentationTimeline;
use p2p_media_hls::{Playlist, StreamTimeline, Variables};

/// Resolves a reference.
pub fn url(base: &str, reference: &str) {
    black_box(url::Url::parse(base).and_then(|base| base.join(reference)).is_ok());
}

/// Reads a playlist, takes it in, rewrites it.
pub fn hls(text: &[u8], url: &str) {
    match p2p_media_hls::parse(text, url, &Variables::default()) {
        Ok(Playlist::Multivariant(playlist)) => drop(black_box(playlist.streams())),
        Ok(Playlist::Media(playlist)) => drop(black_box(StreamTimeline::default().refresh(&playlist))),
        Err(error) => drop(black_box(error.to_string())),
    }
    let rewritten = p2p_media_hls::rewrite_uris(text, url, &Variables::default(), |_| black_box(None));
    black_box(rewritten.is_ok());
}

/// Reads an MPD, takes it in, its segment indexes and patches too, rewrites it.
pub fn dash(text: &[u8], url: &str) {
    match p2p_media_dash::parse(text, url) {
        Ok(mpd) => {
            let mut timeline = PresentationTimeline::new(mpd.clone());
            timeline.refresh(mpd);
            for stream in 0..timeline.streams().len() {
                if let Some(request) = timeline.index_needed(stream) {
                    black_box(timeline.add_index(request.id, 0, text).is_ok());
                }
                drop(black_box(timeline.update(stream, black_box(0.0))));
            }
        }
        Err(error) => drop(black_box(error.to_string())),
    }
    black_box(p2p_media_dash::apply_patch(text, text).is_ok());
    let rewritten = p2p_media_dash::rewrite_urls(text, url, |_| black_box(None));
    black_box(rewritten.is_ok());
}
