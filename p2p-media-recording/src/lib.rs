//! Recordings of sessions: everything that an engine was told, and a digest of what it asked for, so that it can be made to do the same again.
//!
//! A recording is text, one JSON object a line: a header with what the engine was made of, a line for each input, and a line that says that
//! this was the end. [`Recorder`] writes one while a session runs; [`Recording`] reads one, a line at a time.
//!
//! Media is not in it. The engine passes media on and never looks inside, but for one thing: a message that looks like a command is cut or read
//! in another way, and such messages are kept whole. Of the others the length is kept, and zeros take their place. What players, storage and
//! peers get is therefore compared by its length, and everything else by what it says.
//!
//! What is in it: the addresses of the segments and trackers, and what trackers and peers said, their network addresses among it. STUN and
//! TURN servers, and the passwords for them, are left out: the engine does not use them.

mod digest;
mod inputs;
mod lines;
mod options;
mod read;
mod record;

/// Longer lines are neither written nor read. A playlist of 20,000 segments takes about 6 MB.
const MOST_LINE_BYTES: usize = 32 << 20;

pub use digest::Digest;
pub use read::{Made, Reason, Recording, RecordingError, Step};
pub use record::{Outcome, Recorder};
