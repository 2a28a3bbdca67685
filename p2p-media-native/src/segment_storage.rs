//! Where segments are kept: in memory, in files, or in a store of the user's own.

mod disk;
mod memory;

use std::fmt;
use std::sync::Arc;

use p2p_media_core::backend::{SegmentStorage, StorageError};
use p2p_media_core::media::SegmentKey;
use p2p_media_core::segment_bytes::SegmentBytes;

pub use disk::DiskStorage;
pub use memory::MemoryStorage;

/// A store of the user's own. The engine keeps the index and decides what is evicted; see [`SegmentStorage`] for what each call means.
#[async_trait::async_trait]
pub trait CustomStorage: Send + Sync + 'static {
    /// Keeps a segment, replacing an older copy.
    ///
    /// # Errors
    /// When it could not be kept; nothing of it may stay behind.
    async fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> Result<(), StorageError>;
    /// Gives a segment back; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    async fn load(&self, key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError>;
    /// Drops a segment; unknown ones are ignored.
    async fn forget(&self, key: SegmentKey);
}

/// The store of a session, chosen at run time. Clones share it.
#[derive(Clone)]
pub enum StorageChoice {
    /// In memory.
    Memory(MemoryStorage),
    /// In files.
    Disk(DiskStorage),
    /// Where the user wants it.
    Custom(Arc<dyn CustomStorage>),
}

impl SegmentStorage for StorageChoice {
    async fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> Result<(), StorageError> {
        match self {
            Self::Memory(storage) => storage.store(key, bytes).await,
            Self::Disk(storage) => storage.store(key, bytes).await,
            Self::Custom(storage) => storage.store(key, bytes).await,
        }
    }

    async fn load(&self, key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError> {
        match self {
            Self::Memory(storage) => storage.load(key).await,
            Self::Disk(storage) => storage.load(key).await,
            Self::Custom(storage) => storage.load(key).await,
        }
    }

    async fn forget(&self, key: SegmentKey) {
        match self {
            Self::Memory(storage) => storage.forget(key).await,
            Self::Disk(storage) => storage.forget(key).await,
            Self::Custom(storage) => storage.forget(key).await,
        }
    }
}

impl Default for StorageChoice {
    fn default() -> Self {
        Self::Memory(MemoryStorage::default())
    }
}

impl fmt::Debug for StorageChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(_) => formatter.write_str("Memory"),
            Self::Disk(storage) => storage.fmt(formatter),
            Self::Custom(_) => formatter.write_str("Custom"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use p2p_media_core::media::{SegmentId, StreamKey};

    use super::*;

    /// Hands everything to a memory store, as a user's own store would.
    struct Wrapped(MemoryStorage);

    #[async_trait::async_trait]
    impl CustomStorage for Wrapped {
        async fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> Result<(), StorageError> {
            self.0.store(key, bytes).await
        }
        async fn load(&self, key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError> {
            self.0.load(key).await
        }
        async fn forget(&self, key: SegmentKey) {
            self.0.forget(key).await;
        }
    }

    #[tokio::test]
    async fn every_store_gives_back_what_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let stores = [
            StorageChoice::default(),
            StorageChoice::Disk(DiskStorage::open(folder.path()).unwrap()),
            StorageChoice::Custom(Arc::new(Wrapped(MemoryStorage::default()))),
        ];
        for store in stores {
            let key = |id| SegmentKey { stream: StreamKey(1), id: SegmentId(id) };
            let bytes: SegmentBytes = [Bytes::from_static(b"abc"), Bytes::from_static(b"defg")].into_iter().collect();
            assert_eq!(store.load(key(-7)).await, Ok(None));
            store.store(key(-7), SegmentBytes::from(Bytes::from_static(b"old"))).await.unwrap();
            store.store(key(-7), bytes.clone()).await.unwrap();
            store.store(key(7), SegmentBytes::new()).await.unwrap();
            assert_eq!(store.load(key(-7)).await.unwrap().unwrap().join(), bytes.join(), "{store:?}");
            assert_eq!(store.load(key(7)).await.unwrap().unwrap().len(), 0, "{store:?}");
            store.forget(key(-7)).await;
            store.forget(key(-7)).await;
            assert_eq!(store.load(key(-7)).await, Ok(None), "{store:?}");
        }
    }
}
