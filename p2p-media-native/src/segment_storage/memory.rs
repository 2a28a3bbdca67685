//! Segments in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use p2p_media_core::backend::{SegmentStorage, StorageError};
use p2p_media_core::media::SegmentKey;
use p2p_media_core::segment_bytes::SegmentBytes;

/// Longest piece of a stored segment. Equal pieces leave no holes in the heap when they are dropped and made anew.
const PIECE_BYTES: usize = 256 * 1024;

/// Keeps segments in memory. Clones share it. The engine bounds it by what it forgets.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage {
    segments: Arc<Mutex<HashMap<SegmentKey, SegmentBytes>>>,
}

impl MemoryStorage {
    fn segments(&self) -> MutexGuard<'_, HashMap<SegmentKey, SegmentBytes>> {
        // Nothing panics while it is held; were it to happen, the map would still be whole.
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SegmentStorage for MemoryStorage {
    async fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> Result<(), StorageError> {
        let bytes = compact(&bytes);
        self.segments().insert(key, bytes);
        Ok(())
    }

    async fn load(&self, key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError> {
        Ok(self.segments().get(&key).cloned())
    }

    async fn forget(&self, key: SegmentKey) {
        self.segments().remove(&key);
    }
}

/// The segment in memory of its own. The pieces in which it came keep the network's buffers alive, which may be several times as long: a
/// packet of 1.4 kB in a buffer of 8 KiB, to which nothing else was added. The one copy of a segment costs less than that memory.
fn compact(segment: &SegmentBytes) -> SegmentBytes {
    let mut left = segment.len();
    let mut compact = SegmentBytes::new();
    let mut buffer = BytesMut::new();
    for piece in segment.pieces() {
        let mut piece: &[u8] = piece;
        while !piece.is_empty() {
            if buffer.capacity() == 0 {
                buffer = BytesMut::with_capacity(left.min(PIECE_BYTES as u64) as usize);
            }
            let (fits, rest) = piece.split_at(piece.len().min(PIECE_BYTES - buffer.len()));
            buffer.extend_from_slice(fits);
            left -= fits.len() as u64;
            piece = rest;
            if buffer.len() == PIECE_BYTES || left == 0 {
                compact.push(Bytes::from(std::mem::take(&mut buffer)));
            }
        }
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_the_same_in_other_pieces() {
        for len in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let arrived: SegmentBytes = bytes.chunks(1448).map(Bytes::copy_from_slice).collect();
            let stored = compact(&arrived);
            assert_eq!(stored.len(), len as u64);
            assert_eq!(stored.pieces().len(), len.div_ceil(PIECE_BYTES));
            assert!(stored.join() == bytes);
        }
    }
}
