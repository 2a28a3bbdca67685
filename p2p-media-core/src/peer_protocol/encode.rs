//! The bodies of commands: a code, then named items, byte for byte as the official encoder has them wherever that one is right.

use super::{Command, RequestId, integers};
use crate::media::SegmentId;
use crate::sort::sort_by;
use crate::sorted_map::SortedMap;

/// Most blocks that one list of an announcement can hold; a block is up to 255 ids that differ in the low byte alone. The official encoder
/// lets the count wrap beyond, which garbles the list.
pub const MAX_ANNOUNCED_BLOCKS: usize = 255;

/// Shortest limit that commands are cut to, in bytes: 8 of them are frame marks.
pub const MIN_MESSAGE_BYTES: usize = 16;

/// Most ids in a block. The official encoder writes 256 as 0, which loses the announcement.
const MAX_BLOCK_IDS: usize = 255;

/// Type nibble of an array; integers have 0.
pub(super) const ARRAY: u8 = 0x10;
/// Type nibble of a string.
pub(super) const STRING: u8 = 0x20;

/// Codes of the commands.
pub(super) mod code {
    pub(in super::super) const ANNOUNCEMENT: u8 = 0;
    pub(in super::super) const REQUEST: u8 = 1;
    pub(in super::super) const DATA: u8 = 2;
    pub(in super::super) const COMPLETED: u8 = 3;
    pub(in super::super) const ABSENT: u8 = 4;
    pub(in super::super) const CANCEL: u8 = 5;
}

/// Names of the fields.
pub(super) mod field {
    pub(in super::super) const LOADED: u8 = b'l';
    pub(in super::super) const LOADING: u8 = b'p';
    pub(in super::super) const RELAYING: u8 = b'q';
    pub(in super::super) const SEGMENT: u8 = b'i';
    pub(in super::super) const REMAINING: u8 = b's';
    pub(in super::super) const REQUEST: u8 = b'r';
    pub(in super::super) const FIRST_BYTE: u8 = b'b';
    pub(in super::super) const LAST_BYTE: u8 = b'e';
}

/// Brings the ids closest to `near` to the front, so that an announcement that must leave some out leaves out the far ones. Of two equally
/// far ones the later segment comes first: players go forward.
pub fn sort_nearest_first(ids: &mut [SegmentId], near: SegmentId) {
    sort_by(ids, |a, b| a.0.abs_diff(near.0).cmp(&b.0.abs_diff(near.0)).then(b.cmp(a)));
}

/// What stands between the frame marks.
pub(super) fn body(command: &Command) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    match command {
        Command::Announcement { loaded, loading, relaying } => {
            out.push(code::ANNOUNCEMENT);
            put_ids(field::LOADED, loaded, &mut out);
            put_ids(field::LOADING, loading, &mut out);
            match relaying.as_deref() {
                // Its presence says something, also when it is empty.
                Some([]) => out.extend_from_slice(&[field::RELAYING, ARRAY, 0]),
                Some(ids) => put_ids(field::RELAYING, ids, &mut out),
                None => {}
            }
        }
        Command::Request { segment, request, first_byte, last_byte } => {
            put_head(code::REQUEST, *segment, &mut out);
            put_request(*request, &mut out);
            if *first_byte > 0 {
                put_size(field::FIRST_BYTE, *first_byte, &mut out);
            }
            if let Some(last_byte) = last_byte {
                put_size(field::LAST_BYTE, *last_byte, &mut out);
            }
        }
        Command::Data { segment, request, remaining } => {
            put_head(code::DATA, *segment, &mut out);
            if let Some(remaining) = remaining {
                put_size(field::REMAINING, *remaining, &mut out);
            }
            put_request(*request, &mut out);
        }
        Command::Completed { segment, request } => put_answer(code::COMPLETED, *segment, *request, &mut out),
        Command::Absent { segment, request } => put_answer(code::ABSENT, *segment, *request, &mut out),
        Command::Cancel { segment, request } => put_answer(code::CANCEL, *segment, *request, &mut out),
        Command::Unknown { code } => out.push(*code),
    }
    out
}

fn put_head(code: u8, segment: SegmentId, out: &mut Vec<u8>) {
    out.extend_from_slice(&[code, field::SEGMENT]);
    integers::put(segment.0, out);
}

fn put_request(request: RequestId, out: &mut Vec<u8>) {
    put_size(field::REQUEST, request.0, out);
}

fn put_answer(code: u8, segment: SegmentId, request: RequestId, out: &mut Vec<u8>) {
    put_head(code, segment, out);
    put_request(request, out);
}

/// A number that is never negative. Beyond 63 bits, which no size or request reaches, it is capped.
fn put_size(name: u8, size: u64, out: &mut Vec<u8>) {
    out.push(name);
    integers::put(i64::try_from(size).unwrap_or(i64::MAX), out);
}

/// Ids with all but the low byte in common.
struct Block {
    /// The common part, with the low byte 0.
    common: i64,
    low_bytes: Vec<u8>,
}

/// An array of ids: blocks in the order of their first ids, ids within them in the order given. An empty list is left out.
fn put_ids(name: u8, ids: &[SegmentId], out: &mut Vec<u8>) {
    let blocks = blocks(ids);
    if blocks.is_empty() {
        return;
    }
    out.reserve(blocks.iter().map(|block| block.low_bytes.len() + 10).sum());
    out.extend_from_slice(&[name, ARRAY, blocks.len() as u8]);
    for Block { common, low_bytes } in blocks {
        integers::put(common | low_bytes.len() as i64, out);
        out.extend_from_slice(&low_bytes);
    }
}

/// At most [`MAX_ANNOUNCED_BLOCKS`]: ids that would need another one are left out. A full block is followed by another with the same common
/// part, which the official decoder accepts.
fn blocks(ids: &[SegmentId]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // The block that takes the next id of a common part; neighbours mostly share it, hence `latest`.
    let mut open: SortedMap<i64, usize> = SortedMap::new();
    let mut latest = 0;
    for SegmentId(id) in ids {
        let common = id & !0xff;
        if blocks.get(latest).is_none_or(|block| block.common != common || block.low_bytes.len() == MAX_BLOCK_IDS) {
            latest = match open.get(&common) {
                Some(&index) if blocks[index].low_bytes.len() < MAX_BLOCK_IDS => index,
                _ if blocks.len() == MAX_ANNOUNCED_BLOCKS => continue,
                _ => {
                    blocks.push(Block { common, low_bytes: Vec::new() });
                    open.insert(common, blocks.len() - 1);
                    blocks.len() - 1
                }
            };
        }
        blocks[latest].low_bytes.push(*id as u8);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: impl IntoIterator<Item = i64>) -> Vec<SegmentId> {
        ids.into_iter().map(SegmentId).collect()
    }

    #[test]
    fn no_block_holds_256_ids_and_no_list_256_blocks() {
        let full = blocks(&ids(0..1_000));
        assert_eq!(full.iter().map(|block| block.low_bytes.len()).collect::<Vec<_>>(), [255, 1, 255, 1, 255, 1, 232]);
        let sparse = blocks(&ids((0..400).map(|n| n * 256).chain([1, 300 * 256])));
        assert_eq!((sparse.len(), sparse[0].low_bytes.as_slice()), (255, &[0, 1][..]));
    }

    #[test]
    fn the_nearest_come_first() {
        let mut near = ids([0, 9, 10, 11, 12, 50]);
        sort_nearest_first(&mut near, SegmentId(10));
        assert_eq!(near, ids([10, 11, 9, 12, 0, 50]));
    }
}
