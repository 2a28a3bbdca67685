//! What reading MPDs and segment indexes, refreshing them and rewriting their URLs weighs.

use std::hint::black_box;

fn main() {
    wasm_size::dash(black_box(b"<MPD/>"), black_box("https://a.example/"));
}
