//! An error and its causes as one line, for messages that users read.

use std::error::Error;
use std::fmt::Write;

/// The error's own words followed by those of its causes, repetitions left out.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_the_error() {
        assert_eq!(error_chain(&Outer(std::io::Error::other("refused"))), "no connection: refused");
    }
}
