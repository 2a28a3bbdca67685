//! What a program without any of our crates weighs: the base of the comparison.

fn main() {
    std::hint::black_box(String::from_utf8_lossy(std::hint::black_box(b"text")).into_owned());
}
