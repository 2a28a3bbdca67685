//! Segments in memory, as the pieces in which they came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use p2p_media_core::backend::{SegmentStorage, StorageError};
use p2p_media_core::media::SegmentKey;
use p2p_media_core::segment_bytes::SegmentBytes;

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
