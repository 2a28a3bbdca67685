//! Messages of a WebTorrent tracker: JSON text frames over a websocket, where binary fields are strings with one character per byte
//! (U+0000 to U+00FF). Offers and answers are complete: there is no trickle.
//!
//! Every byte of a tracker is hostile, and more so what it relays from peers: [`TrackerMessage::parse`] gives a message or a
//! [`TrackerMisbehaved`].

mod incoming;
mod json;
mod latin1;
mod outgoing;

use std::fmt;

pub use self::incoming::TrackerMessage;
pub use self::latin1::{bytes_from_latin1, latin1_from_bytes};
pub use self::outgoing::{Announce, AnnounceEvent, Answer, Offer};

/// Longest message that is read, in bytes of JSON. One offer or answer at most comes in a message.
pub const MAX_TRACKER_MESSAGE_BYTES: usize = 128 * 1024;

/// Longest session description that is read, in bytes. Those of data channels have one or two thousand.
pub const MAX_SDP_BYTES: usize = 32 * 1024;

/// Longest reason or warning that is kept, in characters; the rest is cut.
pub const MAX_REASON_CHARS: usize = 500;

/// Most offers in one announce; trackers hand out no more.
pub const MAX_OFFERS_PER_ANNOUNCE: usize = 5;

/// Names an offer until it is answered or expires; the peer that makes it draws it at random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub [u8; 20]);

impl OfferId {
    /// A new id. `random` gives evenly distributed numbers.
    pub fn generate(mut random: impl FnMut() -> u64) -> Self {
        Self(std::array::from_fn(|_| random() as u8))
    }
}

/// As 40 hex digits.
impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfferId({self})")
    }
}

/// What a tracker, or a peer through it, did wrong. The message is dropped; the connection may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackerMisbehaved {
    /// A message of more than [`MAX_TRACKER_MESSAGE_BYTES`].
    #[error("tracker sent a message of {bytes} bytes, more than {MAX_TRACKER_MESSAGE_BYTES}")]
    MessageTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Text that is no JSON object.
    #[error("tracker sent something that is no JSON object")]
    NotAnObject,
    /// A field that the message needs is missing, of the wrong type, or of the wrong length.
    #[error("tracker sent a message without a usable `{field}`")]
    BadField {
        /// The field's name.
        field: &'static str,
    },
    /// A session description of more than [`MAX_SDP_BYTES`].
    #[error("tracker relayed a session description of {bytes} bytes, more than {MAX_SDP_BYTES}")]
    SdpTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}
