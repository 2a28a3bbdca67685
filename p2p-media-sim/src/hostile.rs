//! Peers that mean harm: they promise what viewers have, and give something else or nothing.

use bytes::Bytes;
use p2p_media_core::media::StreamKey;
use p2p_media_core::peer_protocol::Command;

use crate::scripted_peer::{Act, Script, ScriptedPeer, Seen, command};

/// Bytes of one message of false media.
const MESSAGE_BYTES: usize = 16 << 10;
/// False media: no byte of it begins a command.
static WRONG: [u8; MESSAGE_BYTES] = [0xee; MESSAGE_BYTES];

/// What a hostile peer does when it is asked for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Malice {
    /// Sends other bytes, as many as the segment has.
    WrongData,
    /// Says one size and sends more.
    WrongLength,
    /// Accepts and sends nothing.
    EmptyPromise,
}

/// A hostile peer; peers of different numbers do different harm. `segment_bytes` is about what segments have.
pub(crate) fn hostile_peer(number: u64, stream: StreamKey, segment_bytes: u64) -> ScriptedPeer {
    let malice = [Malice::WrongData, Malice::WrongLength, Malice::EmptyPromise][(number % 3) as usize];
    let script: Script = Box::new(move |seen| match seen {
        // It claims to have whatever it hears of, a little before the others have it.
        Seen::Command(Command::Announcement { mut loaded, loading, relaying }) => {
            loaded.extend(loading.into_iter().chain(relaying.into_iter().flatten()));
            loaded.sort_unstable();
            command(&Command::Announcement { loaded, loading: Vec::new(), relaying: None })
        }
        Seen::Command(Command::Request { segment, request, first_byte, .. }) => {
            let remaining = segment_bytes.saturating_sub(first_byte).max(1);
            let mut acts = command(&Command::Data { segment, request, remaining: Some(remaining) });
            let sent = match malice {
                Malice::WrongData => remaining,
                Malice::WrongLength => remaining + MESSAGE_BYTES as u64,
                Malice::EmptyPromise => 0,
            };
            let whole = sent / MESSAGE_BYTES as u64;
            let rest = (sent % MESSAGE_BYTES as u64) as usize;
            acts.extend((0..whole).map(|_| Act::Send(0.0, Bytes::from_static(&WRONG))));
            acts.extend((rest > 0).then(|| Act::Send(0.0, Bytes::from_static(&WRONG[..rest]))));
            acts
        }
        Seen::Opened | Seen::Command(_) | Seen::Payload(_) => Vec::new(),
    });
    ScriptedPeer::new(number, stream, script)
}
