//! Properties of the codecs: whatever is sent arrives, and whatever arrives is survived.

use bytes::Bytes;
use p2p_media_core::media::SegmentId;
use p2p_media_core::peer_protocol::{
    Command, FrameReader, IncomingSegment, IncomingStep, MessageReader, PeerMessage, RequestId, payload_chunk, sort_nearest_first,
};
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::tracker_protocol::TrackerMessage;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::decoded;

fn segment() -> impl Strategy<Value = SegmentId> + Clone {
    prop_oneof![0..3_000_i64, -300..300_i64, any::<i64>()].prop_map(SegmentId)
}

fn size() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![0..2_000_u64, 0..=i64::MAX as u64]
}

/// Ids in at most 255 blocks.
fn segment_ids() -> impl Strategy<Value = Vec<SegmentId>> {
    let range = (any::<i32>(), 0..1_500_i64).prop_map(|(start, count)| (0..count).map(|n| SegmentId(i64::from(start) + n)).collect());
    prop_oneof![range, vec(segment(), 0..80)]
}

fn command() -> impl Strategy<Value = Command> {
    let answered = (segment(), size().prop_map(RequestId));
    prop_oneof![
        (segment_ids(), segment_ids(), prop::option::of(segment_ids())).prop_map(|(loaded, loading, relaying)| Command::Announcement {
            loaded,
            loading,
            relaying
        }),
        (answered.clone(), size(), prop::option::of(size())).prop_map(|((segment, request), first_byte, last_byte)| Command::Request {
            segment,
            request,
            first_byte,
            last_byte
        }),
        (answered.clone(), prop::option::of(size())).prop_map(|((segment, request), remaining)| Command::Data {
            segment,
            request,
            remaining
        }),
        answered.clone().prop_map(|(segment, request)| Command::Completed { segment, request }),
        answered.clone().prop_map(|(segment, request)| Command::Absent { segment, request }),
        answered.prop_map(|(segment, request)| Command::Cancel { segment, request }),
        (6..=255_u8).prop_map(|code| Command::Unknown { code }),
    ]
}

/// Messages that are close to being commands.
fn message() -> impl Strategy<Value = Bytes> {
    let start = prop_oneof![Just("cstr"), Just("dstr"), Just("")];
    let end = prop_oneof![Just("cend"), Just("dend"), Just("")];
    let body = prop_oneof![vec(any::<u8>(), 0..60), vec(prop_oneof![0..8_u8, Just(0x10), Just(b'l'), Just(b'i'), Just(b'r')], 0..60)];
    prop_oneof![
        (start, body, end).prop_map(|(start, body, end)| [start.as_bytes(), &body, end.as_bytes()].concat().into()),
        (command(), 16..100_usize, any::<prop::sample::Index>()).prop_map(|(command, max, at)| at.get(&command.encode(max)).clone()),
    ]
}

proptest! {
    #[test]
    fn commands_survive_the_round_trip_at_every_limit(command in command(), max in 16..70_000_usize) {
        let mut reader = FrameReader::new();
        let frames = command.encode(max);
        let (last, before) = frames.split_last().expect("a frame");
        for frame in before {
            prop_assert!(frame.len() <= max && frame.len() > 8);
            prop_assert_eq!(reader.push(frame.clone()), Ok(None));
        }
        prop_assert!(last.len() <= max);
        prop_assert_eq!(reader.push(last.clone()), Ok(Some(decoded(command))));
    }

    #[test]
    fn small_limits_too(max in 0..80_usize, command in command()) {
        let mut reader = FrameReader::new();
        let result = command.encode(max).into_iter().try_fold(None, |_, frame| reader.push(frame));
        prop_assert_eq!(result, Ok(Some(decoded(command))));
    }

    #[test]
    fn an_announcement_that_is_too_large_keeps_the_nearest(near in 0..1_000_000_i64, step in 256..5_000_i64) {
        let mut loaded: Vec<SegmentId> = (0..600).map(|n| SegmentId(n * step)).collect();
        sort_nearest_first(&mut loaded, SegmentId(near));
        let mut kept = loaded[..255].to_vec();
        kept.sort();
        let frames = Command::Announcement { loaded, loading: Vec::new(), relaying: None }.encode(65_535);
        let command = FrameReader::new().push(frames[0].clone());
        prop_assert_eq!(command, Ok(Some(Command::Announcement { loaded: kept, loading: Vec::new(), relaying: None })));
    }

    #[test]
    fn any_bytes_give_a_command_or_an_error(body in vec(any::<u8>(), 0..300), code in 0..6_u8) {
        let _ = Command::decode(&body);
        let _ = Command::decode(&[&[code], &body[..]].concat());
    }

    #[test]
    fn any_messages_are_survived(messages in vec((message(), 0..3_u64), 0..12)) {
        let mut reader = MessageReader::new();
        for (message, expected) in messages {
            if reader.push(message, expected * 1_000).is_err() {
                break;
            }
            while reader.next_message().is_some() {}
        }
    }

    #[test]
    fn a_segment_full_of_marks_arrives_whole(
        pieces in vec(prop_oneof![Just("cstr"), Just("dstr"), Just("cend"), Just("dend"), Just("\x06"), Just("x")], 1..60),
        announcement in segment_ids(),
        max in 16..120_usize,
    ) {
        let bytes: SegmentBytes = Bytes::from(pieces.concat()).into();
        let (segment, request, remaining) = (SegmentId(1), RequestId(2), bytes.len());
        let mut reader = MessageReader::new();
        let mut download = IncomingSegment::new(segment, request, 0, Some(remaining));
        let mut sent = Command::Data { segment, request, remaining: Some(remaining) }.encode(max);
        let mut offset = 0;
        // Commands of several frames between the chunks, as small limits make them.
        while let Some(chunk) = payload_chunk(&bytes, offset, max) {
            offset += chunk.len() as u64;
            sent.push(chunk);
            sent.extend(Command::Announcement { loaded: announcement.clone(), loading: Vec::new(), relaying: None }.encode(max));
        }
        sent.extend(Command::Completed { segment, request }.encode(max));
        let (mut arrived, mut completed) = (SegmentBytes::new(), false);
        for message in sent {
            prop_assert_eq!(reader.push(message, download.remaining()), Ok(()));
            while let Some(message) = reader.next_message() {
                match message {
                    PeerMessage::Command(command) => completed |= download.on_command(&command) == IncomingStep::Completed,
                    PeerMessage::Payload(payload) => match download.on_payload(payload) {
                        IncomingStep::Bytes(bytes) => arrived.push(bytes),
                        step => prop_assert!(false, "{:?}", step),
                    },
                }
            }
        }
        prop_assert!(completed);
        prop_assert_eq!(arrived.join(), bytes.join());
    }

    #[test]
    fn any_text_from_a_tracker_is_survived(text in "\\PC{0,80}", key in "[a-z_ ]{1,16}") {
        let _ = TrackerMessage::parse(&text);
        let _ = TrackerMessage::parse(&serde_json::json!({"action": "announce", key: text, "offer": text}).to_string());
    }
}
