//! What reading HLS playlists, refreshing them and rewriting their URIs weighs.

use std::hint::black_box;

fn main() {
    wasm_size::hls(black_box(b"#EXTM3U"), black_box("https://a.example/"));
}
