//! Real sessions between two official peers, read as either side would have.

use bytes::Bytes;
use p2p_media_core::peer_protocol::{
    Command, IncomingSegment, IncomingStep, MAX_MESSAGE_BYTES, MessageReader, PeerMessage, is_command_frame,
};

use crate::{bytes_of_hex, command, decoded, rows, text};

#[test]
fn recorded_channels() {
    let (mut completions, mut completed) = (0, 0);
    for channel in rows(include_str!("../fixtures/session.json"), "channels") {
        let mut reader = MessageReader::new();
        let mut download: Option<IncomingSegment> = None;
        for message in channel["messages"].as_array().expect("messages") {
            let Some(hex) = message[1].as_str() else {
                if message[0] == "<" {
                    let payload = Bytes::from(vec![0; message[1].as_u64().expect("a length") as usize]);
                    let running = download.as_mut().expect("payload comes after a request");
                    reader.push(payload.clone(), running.remaining()).expect("payload is no error");
                    assert_eq!(reader.next_message(), Some(PeerMessage::Payload(payload.clone())));
                    assert_eq!(running.on_payload(payload.clone()), IncomingStep::Bytes(payload));
                }
                continue;
            };
            let wire = bytes_of_hex(hex);
            let expect = command(&message[2]).expect("a whole command");
            assert!(is_command_frame(&wire));
            assert_eq!(expect.encode(MAX_MESSAGE_BYTES), std::slice::from_ref(&wire), "{}", text(&channel, "channel"));
            let remaining = download.as_ref().map_or(0, IncomingSegment::remaining);
            reader.push(wire.into(), remaining).expect("a correct command");
            assert_eq!(reader.next_message(), Some(PeerMessage::Command(decoded(expect.clone()))));
            if message[0] == "<" {
                completions += u32::from(matches!(expect, Command::Completed { .. }));
                let step = download.as_mut().map_or(IncomingStep::Ignored, |running| running.on_command(&expect));
                completed += u32::from(step == IncomingStep::Completed);
                assert!(!matches!(step, IncomingStep::Violation(_)), "{step:?}");
            } else if let Command::Request { segment, request, first_byte, .. } = expect {
                download = Some(IncomingSegment::new(segment, request, first_byte, None));
            }
        }
    }
    assert!(completions > 20);
    assert_eq!(completed, completions);
}
