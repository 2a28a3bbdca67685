//! Bodies of commands back into [`Command`]s. Total: any bytes give a command or the sender's fault.

use super::encode::{ARRAY, STRING, code, field};
use super::{Command, PeerMisbehaved, RequestId, integers};
use crate::media::SegmentId;
use crate::sort::sort_by;

/// Most ids in the lists of an announcement together, before duplicates are dropped. The format holds about as many in one list.
pub const MAX_ANNOUNCED_IDS: usize = 65_536;

/// Number of ids of which the official encoder writes the count, a byte, as 0.
const FULL_BLOCK_IDS: usize = 256;

pub(super) fn command(body: &[u8]) -> Result<Command, PeerMisbehaved> {
    let (&code, fields) = body.split_first().ok_or(PeerMisbehaved::MalformedCommand)?;
    match code {
        code::ANNOUNCEMENT => announcement(fields),
        code::REQUEST | code::DATA | code::COMPLETED | code::ABSENT | code::CANCEL => Numbers::read(fields)?.into_command(code),
        code => Ok(Command::Unknown { code }),
    }
}

fn announcement(fields: &[u8]) -> Result<Command, PeerMisbehaved> {
    let (mut loaded, mut loading, mut relaying) = (Vec::new(), Vec::new(), None::<Vec<SegmentId>>);
    let mut lists = 0;
    let mut input = Input(fields);
    let limit = |others: usize| MAX_ANNOUNCED_IDS.saturating_sub(others);
    while let Some(name) = input.byte() {
        let relayed = relaying.as_ref().map_or(0, Vec::len);
        let read = match name {
            field::LOADED => input.ids(&mut loaded, limit(loading.len() + relayed)).map(|()| lists += 1),
            field::LOADING => input.ids(&mut loading, limit(loaded.len() + relayed)).map(|()| lists += 1),
            field::RELAYING => input.ids(relaying.get_or_insert_default(), limit(loaded.len() + loading.len())),
            name if name.is_ascii_alphabetic() => input.skip_item(),
            _ => Err(PeerMisbehaved::MalformedCommand),
        };
        match read {
            Ok(()) => {}
            // What follows a list of more than 255 blocks is read as fields after the official encoder let the count wrap. That peer is
            // not to blame, and what it announced before remains the better knowledge.
            Err(PeerMisbehaved::MalformedCommand) if lists > 0 => return Ok(Command::Unknown { code: code::ANNOUNCEMENT }),
            Err(misbehaved) => return Err(misbehaved),
        }
    }
    for ids in [Some(&mut loaded), Some(&mut loading), relaying.as_mut()].into_iter().flatten() {
        // Sorted as a rule.
        sort_by(ids, Ord::cmp);
        ids.dedup();
    }
    Ok(Command::Announcement { loaded, loading, relaying })
}

/// The fields of all commands but announcements.
#[derive(Default)]
struct Numbers {
    segment: Option<i64>,
    request: Option<u64>,
    remaining: Option<u64>,
    first_byte: Option<u64>,
    last_byte: Option<u64>,
}

impl Numbers {
    fn read(fields: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut numbers = Self::default();
        let mut input = Input(fields);
        // A field that comes twice counts as it stands last, as in the official decoder.
        while let Some(name) = input.byte() {
            match name {
                field::SEGMENT => numbers.segment = Some(input.integer()?),
                field::REQUEST => numbers.request = Some(input.size()?),
                field::REMAINING => numbers.remaining = Some(input.size()?),
                field::FIRST_BYTE => numbers.first_byte = Some(input.size()?),
                field::LAST_BYTE => numbers.last_byte = Some(input.size()?),
                _ => input.skip_item()?,
            }
        }
        Ok(numbers)
    }

    fn into_command(self, code: u8) -> Result<Command, PeerMisbehaved> {
        let segment = SegmentId(self.segment.ok_or(PeerMisbehaved::MalformedCommand)?);
        let request = RequestId(self.request.ok_or(PeerMisbehaved::MalformedCommand)?);
        Ok(match code {
            code::REQUEST => Command::Request { segment, request, first_byte: self.first_byte.unwrap_or(0), last_byte: self.last_byte },
            code::DATA => Command::Data { segment, request, remaining: self.remaining },
            code::COMPLETED => Command::Completed { segment, request },
            code::ABSENT => Command::Absent { segment, request },
            code::CANCEL => Command::Cancel { segment, request },
            code => Command::Unknown { code },
        })
    }
}

/// What is still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn need_byte(&mut self) -> Result<u8, PeerMisbehaved> {
        self.byte().ok_or(PeerMisbehaved::MalformedCommand)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PeerMisbehaved> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PeerMisbehaved::MalformedCommand)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An integer item.
    fn integer(&mut self) -> Result<i64, PeerMisbehaved> {
        let length = self.need_byte()?;
        if length & 0xf0 != 0 {
            return Err(PeerMisbehaved::MalformedCommand);
        }
        integers::read(self.take(usize::from(length))?).ok_or(PeerMisbehaved::MalformedCommand)
    }

    /// An integer item that is not negative.
    fn size(&mut self) -> Result<u64, PeerMisbehaved> {
        u64::try_from(self.integer()?).map_err(|_| PeerMisbehaved::MalformedCommand)
    }

    /// An array item, in place of what `ids` held.
    fn ids(&mut self, ids: &mut Vec<SegmentId>, limit: usize) -> Result<(), PeerMisbehaved> {
        ids.clear();
        if self.need_byte()? & 0xf0 != ARRAY {
            return Err(PeerMisbehaved::MalformedCommand);
        }
        for _ in 0..self.need_byte()? {
            let (common, low_bytes) = self.block()?;
            if ids.len() + low_bytes.len() > limit {
                return Err(PeerMisbehaved::TooManyIds);
            }
            ids.extend(low_bytes.iter().map(|&low| SegmentId(common | i64::from(low))));
        }
        Ok(())
    }

    /// A block of an array: the part that its ids share, and their low bytes.
    fn block(&mut self) -> Result<(i64, &'a [u8]), PeerMisbehaved> {
        let head = self.integer()?;
        let count = match (head & 0xff) as usize {
            // 256 ids, as the official encoder writes them. It never writes an empty block.
            0 if self.0.first_chunk().is_some_and(each_byte_once) => FULL_BLOCK_IDS,
            count => count,
        };
        Ok((head & !0xff, self.take(count)?))
    }

    fn skip_item(&mut self) -> Result<(), PeerMisbehaved> {
        let kind = self.need_byte()?;
        let low_nibble = usize::from(kind & 0x0f);
        match kind & 0xf0 {
            0 => self.take(low_nibble).map(drop),
            ARRAY => {
                for _ in 0..self.need_byte()? {
                    self.block()?;
                }
                Ok(())
            }
            STRING => {
                let length = low_nibble << 8 | usize::from(self.need_byte()?);
                self.take(length).map(drop)
            }
            _ => Err(PeerMisbehaved::MalformedCommand),
        }
    }
}

fn each_byte_once(bytes: &[u8; FULL_BLOCK_IDS]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().all(|&byte| !std::mem::replace(&mut seen[usize::from(byte)], true))
}
