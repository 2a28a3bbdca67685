//! Segments in files: one file each, in a folder of the session's own that goes when the session ends.
//!
//! A file is written under another name and renamed when it is whole, so none is ever found half written. A session holds a lock on a
//! file in its folder; folders whose lock nobody holds were left by a process that was killed, and the next session clears them away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use p2p_media_core::backend::{SegmentStorage, StorageError};
use p2p_media_core::media::SegmentKey;
use p2p_media_core::segment_bytes::SegmentBytes;
use tempfile::{NamedTempFile, TempDir};
use tokio::sync::Mutex;

/// What the folders of sessions begin with.
const SESSION_PREFIX: &str = "p2p-media-session-";

/// The locked file in a session's folder.
const LOCK_FILE: &str = "lock";

/// Keeps segments in files. Clones share it; the files go with the last clone.
#[derive(Clone, Debug)]
pub struct DiskStorage {
    session: Arc<SessionFolder>,
}

#[derive(Debug)]
struct SessionFolder {
    folder: TempDir,
    // Held, not used: the lock lives as long as the handle.
    _lock: File,
    // Writes and removals happen in the order in which they were asked for; the lock is fair.
    order: Mutex<()>,
}

/// Bytes written and removed when a session begins, to see that the disk takes any.
const PROBE_BYTES: usize = 64 << 10;

impl DiskStorage {
    /// Makes a folder for a session inside `cache_folder`, which is made too when it is not there, and clears away those of dead sessions.
    ///
    /// # Errors
    /// When the folder cannot be made or written; the message names it.
    pub fn open(cache_folder: &Path) -> Result<Self, StorageError> {
        let session = Self::make_session(cache_folder)
            .map_err(|error| StorageError(format!("the cache folder {} cannot be used: {error}", cache_folder.display())))?;
        Ok(Self { session: Arc::new(session) })
    }

    /// The folder that holds this session's files.
    pub fn folder(&self) -> &Path {
        self.session.folder.path()
    }

    fn make_session(cache_folder: &Path) -> io::Result<SessionFolder> {
        fs::create_dir_all(cache_folder)?;
        clear_dead_sessions(cache_folder);
        let folder = tempfile::Builder::new().prefix(SESSION_PREFIX).tempdir_in(cache_folder)?;
        // Locked before it has the name that others look for, so that none of them takes the session for dead.
        let lock = NamedTempFile::new_in(folder.path())?;
        lock.as_file().lock()?;
        // Told now, a full disk is an error of whoever chose the folder; told later, it would only be a cache that keeps nothing.
        NamedTempFile::new_in(folder.path())?.write_all(&[0; PROBE_BYTES])?;
        let lock = lock.persist(folder.path().join(LOCK_FILE)).map_err(|failed| failed.error)?;
        Ok(SessionFolder { folder, _lock: lock, order: Mutex::new(()) })
    }

    fn path(&self, key: SegmentKey) -> PathBuf {
        self.folder().join(format!("{}.{}", key.stream.0, key.id.0))
    }
}

impl SegmentStorage for DiskStorage {
    async fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> Result<(), StorageError> {
        let (folder, path) = (self.folder().to_owned(), self.path(key));
        let _in_order = self.session.order.lock().await;
        blocking(move || write_whole(&folder, &path, &bytes).map_err(|error| named(&path, &error))).await
    }

    async fn load(&self, key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError> {
        let path = self.path(key);
        blocking(move || match fs::read(&path) {
            Ok(bytes) => Ok(Some(SegmentBytes::from(Bytes::from(bytes)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&path, &error)),
        })
        .await
    }

    async fn forget(&self, key: SegmentKey) {
        let path = self.path(key);
        let _in_order = self.session.order.lock().await;
        let removed = blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(&path, &error)),
            _ => Ok(()),
        });
        if let Err(error) = removed.await {
            tracing::warn!("{error}");
        }
    }
}

/// Writes a file that appears under its name only when it is whole. A failed one leaves nothing: the unfinished file removes itself.
fn write_whole(folder: &Path, path: &Path, bytes: &SegmentBytes) -> io::Result<()> {
    let mut unfinished = NamedTempFile::new_in(folder)?;
    for piece in bytes.pieces() {
        unfinished.write_all(piece)?;
    }
    unfinished.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// Removes the folders of sessions whose process is gone. What cannot be removed is left: it is not needed.
fn clear_dead_sessions(cache_folder: &Path) {
    let Ok(entries) = fs::read_dir(cache_folder) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(SESSION_PREFIX) {
            continue;
        }
        let Ok(lock) = OpenOptions::new().write(true).open(entry.path().join(LOCK_FILE)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!("{}: {error}", entry.path().display());
        }
    }
}

fn named(path: &Path, error: &io::Error) -> StorageError {
    StorageError(format!("{}: {error}", path.display()))
}

/// Runs file operations where they do not hold up the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, StorageError> + Send + 'static) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StorageError(format!("the storage task ended: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use p2p_media_core::media::{SegmentId, StreamKey};

    use super::*;

    const KEY: SegmentKey = SegmentKey { stream: StreamKey(3), id: SegmentId(14) };

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn bytes() -> SegmentBytes {
        SegmentBytes::from(Bytes::from_static(b"segment"))
    }

    #[tokio::test]
    async fn files_are_whole_and_go_with_the_session() {
        let cache = tempfile::tempdir().unwrap();
        let storage = DiskStorage::open(cache.path()).unwrap();
        storage.store(KEY, bytes()).await.unwrap();
        assert_eq!(names(storage.folder()), ["3.14", LOCK_FILE]);
        drop(storage);
        assert!(names(cache.path()).is_empty());
    }

    #[tokio::test]
    async fn the_folders_of_killed_processes_go_and_those_of_living_ones_stay() {
        let cache = tempfile::tempdir().unwrap();
        let dead = cache.path().join(format!("{SESSION_PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK_FILE), "").unwrap();
        let unrelated = cache.path().join("unrelated");
        fs::write(&unrelated, "").unwrap();
        let living = DiskStorage::open(cache.path()).unwrap();
        living.store(KEY, bytes()).await.unwrap();
        let _another = DiskStorage::open(cache.path()).unwrap();
        assert!(!dead.exists() && unrelated.exists());
        assert_eq!(living.load(KEY).await.unwrap(), Some(bytes()));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DiskStorage::open(&file.path().join("cache")).unwrap_err();
        assert!(error.0.contains(&file.path().display().to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_failed_write_is_an_error_and_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let storage = DiskStorage::open(cache.path()).unwrap();
        // The last step, the renaming, fails: a folder with something in it has the name.
        fs::create_dir_all(storage.folder().join("3.14/in-the-way")).unwrap();
        assert!(storage.store(KEY, bytes()).await.is_err());
        assert_eq!(names(storage.folder()), ["3.14", LOCK_FILE]);
        assert!(storage.load(KEY).await.is_err());
        // The first step fails: the folder is gone.
        fs::remove_dir_all(storage.folder()).unwrap();
        assert!(storage.store(KEY, bytes()).await.unwrap_err().0.contains("3.14"));
        assert_eq!(storage.load(KEY).await, Ok(None));
    }
}
