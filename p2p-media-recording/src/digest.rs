//! One number over what an engine asked for.

use std::fmt::{self, Write as _};

use p2p_media_core::engine::output::Output;
use p2p_media_core::peer_protocol::is_command_frame;

/// FNV-1a over 64 bits: the same on every machine. It finds what differs by accident, not by intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Of nothing.
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds an output: all that it says, but of media only the length.
    pub fn note(&mut self, output: &Output) {
        // Writing into a number does not fail.
        let _ = match output {
            Output::Deliver(request, bytes) => write!(self, "deliver {} {}", request.0, bytes.len()),
            Output::SendToPeer(connection, message) if !is_command_frame(message) => {
                write!(self, "payload {} {}", connection.0, message.len())
            }
            Output::Store(key, bytes) => write!(self, "store {key:?} {}", bytes.len()),
            Output::Validate { id, segment, url, source, bytes } => {
                write!(self, "validate {} {segment:?} {url} {source:?} {}", id.0, bytes.len())
            }
            other => write!(self, "{other:?}"),
        };
        self.add(b"\n");
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use p2p_media_core::engine::input::{ConnectionId, PlayerRequestId};

    use super::*;

    fn of(output: &Output) -> Digest {
        let mut digest = Digest::new();
        digest.note(output);
        digest
    }

    #[test]
    fn media_counts_by_its_length_and_all_else_by_what_it_says() {
        let deliver = |bytes: &'static [u8]| of(&Output::Deliver(PlayerRequestId(1), Bytes::from_static(bytes)));
        assert_eq!(deliver(b"abc"), deliver(b"xyz"));
        assert_ne!(deliver(b"abc"), deliver(b"abcd"));
        let send = |bytes: &'static [u8]| of(&Output::SendToPeer(ConnectionId(1), Bytes::from_static(bytes)));
        assert_eq!(send(b"media"), send(b"bytes"));
        assert_ne!(send(b"cstrAcend"), send(b"cstrBcend"));
        assert_ne!(of(&Output::DeliverEnd(PlayerRequestId(1))), of(&Output::DeliverEnd(PlayerRequestId(2))));
    }
}
