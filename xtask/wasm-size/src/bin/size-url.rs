//! What resolving URLs weighs alone: both formats need it, and its tables for names outside of ASCII are most of it.

use std::hint::black_box;

fn main() {
    wasm_size::url(black_box("https://a.example/b"), black_box("../c"));
}
