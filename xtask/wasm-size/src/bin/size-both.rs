//! What both manifest formats weigh together: much of what they stand on they share.

use std::hint::black_box;

fn main() {
    wasm_size::hls(black_box(b"#EXTM3U"), black_box("https://a.example/"));
    wasm_size::dash(black_box(b"<MPD/>"), black_box("https://a.example/"));
}
