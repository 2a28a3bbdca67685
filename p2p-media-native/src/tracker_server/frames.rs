//! Websocket frames (RFC 6455, section 5) from the server's side, decoded in place so that a connection needs no buffer of its own.

use std::borrow::Cow;
use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Longest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL_BYTES: u64 = 125;

/// Decodes what one client sends.
pub(super) struct FrameDecoder {
    max_message_bytes: usize,
    /// The fragments of a message so far.
    fragments: Option<Vec<u8>>,
}

/// One decoded frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A whole message, text or binary; whether text is UTF-8 is for the reader of the JSON to find out.
    Message(Cow<'a, [u8]>),
    /// A part of a message.
    Fragment,
    /// To be answered with the same payload.
    Ping(&'a [u8]),
    /// An answer to a ping.
    Pong,
    /// The client ends the connection, perhaps with a code.
    Close(Option<CloseCode>),
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameError {
    /// It breaks RFC 6455.
    Protocol,
    /// A message is larger than the limit.
    MessageTooLarge,
}

impl FrameDecoder {
    pub(super) fn new(max_message_bytes: usize) -> Self {
        Self { max_message_bytes, fragments: None }
    }

    /// Decodes the frame at the beginning of `bytes`, and says how long it is; `None` if it is not complete. A complete frame may be decoded
    /// only once: it is unmasked where it is.
    pub(super) fn decode<'a>(&mut self, bytes: &'a mut [u8]) -> Result<Option<(usize, Frame<'a>)>, FrameError> {
        let mut cursor = Cursor::new(&*bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::Protocol)? else {
            return Ok(None);
        };
        let start = cursor.position() as usize;
        let mask = header.mask.ok_or(FrameError::Protocol)?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(FrameError::Protocol);
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > MAX_CONTROL_BYTES => return Err(FrameError::Protocol),
            OpCode::Data(Data::Continue) if self.fragments.is_none() => return Err(FrameError::Protocol),
            OpCode::Data(Data::Text | Data::Binary) if self.fragments.is_some() => return Err(FrameError::Protocol),
            _ => {}
        }
        // Before the payload is there: nobody waits for more than will be accepted.
        let room = self.max_message_bytes - self.fragments.as_ref().map_or(0, Vec::len);
        let length = usize::try_from(length).ok().filter(|length| *length <= room.max(MAX_CONTROL_BYTES as usize));
        let length = length.ok_or(FrameError::MessageTooLarge)?;
        let Some(payload) = bytes.get_mut(start..start + length) else {
            return Ok(None);
        };
        unmask(payload, mask);
        let frame = match header.opcode {
            OpCode::Control(Control::Ping) => Frame::Ping(payload),
            OpCode::Control(Control::Pong) => Frame::Pong,
            OpCode::Control(_) => Frame::Close(close_code(payload)?),
            OpCode::Data(_) if length > room => return Err(FrameError::MessageTooLarge),
            OpCode::Data(_) => match (self.fragments.take(), header.is_final) {
                (None, true) => Frame::Message(Cow::Borrowed(payload)),
                (fragments, is_final) => {
                    let mut message = fragments.unwrap_or_default();
                    message.extend_from_slice(payload);
                    if is_final {
                        Frame::Message(Cow::Owned(message))
                    } else {
                        self.fragments = Some(message);
                        Frame::Fragment
                    }
                }
            },
        };
        Ok(Some((start + length, frame)))
    }
}

/// Appends a text message.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    push(out, OpCode::Data(Data::Text), text.as_bytes());
}

/// Appends a ping.
pub(super) fn push_ping(out: &mut Vec<u8>) {
    push(out, OpCode::Control(Control::Ping), &[]);
}

/// Appends the answer to a ping.
pub(super) fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, OpCode::Control(Control::Pong), payload);
}

/// Appends the end of the connection. A reason of more than 123 bytes does not fit.
pub(super) fn push_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let mut payload = u16::from(code).to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    push(out, OpCode::Control(Control::Close), &payload);
}

fn push(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to a Vec does not fail.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, FrameError> {
    match payload {
        [] => Ok(None),
        [high, low, ..] => Ok(Some(CloseCode::from(u16::from_be_bytes([*high, *low])))),
        [_] => Err(FrameError::Protocol),
    }
}

/// RFC 6455, section 5.3, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it.
    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    /// Everything decoded from bytes that arrive in pieces of the given size.
    fn decode(bytes: &[u8], piece: usize, max_message_bytes: usize) -> Result<Vec<String>, FrameError> {
        let mut decoder = FrameDecoder::new(max_message_bytes);
        let (mut buffer, mut seen) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some((length, frame)) = decoder.decode(&mut buffer)? {
                seen.push(match frame {
                    Frame::Message(message) => String::from_utf8_lossy(&message).into_owned(),
                    Frame::Ping(payload) => format!("ping {}", String::from_utf8_lossy(payload)),
                    other => format!("{other:?}"),
                });
                buffer.drain(..length);
            }
        }
        Ok(seen)
    }

    #[test]
    fn frames_are_decoded_however_they_arrive() {
        let long = "x".repeat(1000);
        let sent = [
            client(0x81, b"text"),
            client(0x82, long.as_bytes()),
            client(0x01, b"one, "),
            client(0x89, b"between"),
            client(0x00, b""),
            client(0x8a, b""),
            client(0x80, b"two"),
            client(0x88, &[0x03, 0xe9, b'b', b'y', b'e']),
            client(0x88, b""),
        ]
        .concat();
        let expected = ["text", &long, "Fragment", "ping between", "Fragment", "Pong", "one, two", "Close(Some(Away))", "Close(None)"];
        for piece in (1..20).chain([sent.len()]) {
            assert_eq!(decode(&sent, piece, 1000).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn the_limit_holds_for_frames_and_for_messages() {
        let text = [b'x'; 101];
        assert!(decode(&client(0x81, &text[..100]), 1, 100).is_ok());
        let too_large = Err(FrameError::MessageTooLarge);
        assert_eq!(decode(&client(0x81, &[b'x'; 126]), 1, 100), too_large);
        assert_eq!(decode(&client(0x81, &text), 1, 100), too_large);
        let head_alone = client(0x81, &[b'x'; 200]);
        assert_eq!(decode(&head_alone[..8], 8, 100), too_large, "said before the payload comes");
        assert_eq!(decode(&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 14, 100), too_large);
        let fragments = [client(0x01, &text[..60]), client(0x00, &text[..40]), client(0x80, b"y")].concat();
        assert_eq!(decode(&fragments, 7, 100), too_large);
    }

    #[test]
    fn what_the_protocol_forbids_ends_the_connection() {
        let mut unmasked = Vec::new();
        push_text(&mut unmasked, "x");
        let cases = [
            ("unmasked", unmasked),
            ("reserved bit", client(0xc1, b"x")),
            ("reserved opcode", client(0x83, b"x")),
            ("reserved control opcode", client(0x8b, b"x")),
            ("fragmented ping", client(0x09, b"x")),
            ("long ping", client(0x89, &[0; 126])),
            ("continuation of nothing", client(0x80, b"x")),
            ("message within a message", [client(0x01, b"x"), client(0x81, b"x")].concat()),
            ("half a close code", client(0x88, &[3])),
        ];
        for (case, bytes) in cases {
            assert_eq!(decode(&bytes, bytes.len(), 1000), Err(FrameError::Protocol), "{case}");
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let length = random.usize(..40);
            let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            // Make most of them look like frames from a client.
            if let [first, second, ..] = &mut bytes[..] {
                *first &= 0x8f;
                *second |= 0x80;
            }
            let _ = decode(&bytes, random.usize(1..10), 100);
        }
    }
}
