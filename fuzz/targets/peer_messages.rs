//! Messages of a peer: arbitrary ones, one after the other, while payload is expected or not.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use p2p_media_core::peer_protocol::{Command, MAX_MESSAGE_BYTES, MessageReader, PeerMessage};

fuzz_target!(|input: &[u8]| {
    let mut reader = MessageReader::new();
    let mut rest = input;
    let mut expected = 0;
    // Each message has its length in front of it; the top bit says whether payload is expected.
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high & 0x7f, low])).min(after.len());
        let (message, after) = after.split_at(length);
        rest = after;
        if high & 0x80 != 0 {
            expected = 10_000;
        }
        if reader.push(Bytes::copy_from_slice(message), expected).is_err() {
            return;
        }
        while let Some(message) = reader.next_message() {
            match message {
                PeerMessage::Command(command) => encode_again(&command),
                PeerMessage::Payload(payload) => expected = expected.saturating_sub(payload.len() as u64),
            }
        }
    }
});

/// What was understood can be said, and is understood again.
fn encode_again(command: &Command) {
    let mut reader = MessageReader::new();
    for frame in command.encode(MAX_MESSAGE_BYTES) {
        assert!(frame.len() <= MAX_MESSAGE_BYTES);
        assert!(reader.push(frame, 0).is_ok());
    }
}
