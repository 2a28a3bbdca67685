//! One input, two versions of a manifest.

/// Between the versions.
const MARK: &[u8] = b"\n=====\n";

/// The text before and after the mark; twice the same without one.
pub(crate) fn two_versions(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => (&input[..at], &input[at + MARK.len()..]),
        None => (input, input),
    }
}
