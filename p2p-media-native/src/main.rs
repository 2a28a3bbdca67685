//! The `p2p-media` program.

fn main() {}
