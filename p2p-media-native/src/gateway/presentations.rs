//! The presentations that players have opened: found by what is asked for, ended when nobody uses them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use p2p_media_core::config::Config;
use p2p_media_core::event::Stats;
use tokio::time::Instant;

use super::presentation::{Found, Presentation};
use super::requested_range::RequestedRange;
use crate::http_fetcher::ReqwestFetcher;
use crate::segment_storage::{DiskStorage, StorageChoice};

/// Presentations open at one time; the one unused for longest makes room.
const MAX_PRESENTATIONS: usize = 16;
/// The smallest share of the cache.
const SMALLEST_SHARE_BYTES: u64 = 1 << 20;

/// All presentations, each with a session of its own. They share the cache's size evenly, and the HTTP connections.
#[derive(Debug)]
pub(super) struct Presentations {
    engine: Config,
    cache_dir: Option<PathBuf>,
    http: ReqwestFetcher,
    open: Mutex<Vec<Arc<Presentation>>>,
    /// Figures of the sessions that have ended.
    ended: Mutex<Stats>,
}

impl Presentations {
    pub(super) fn new(engine: Config, cache_dir: Option<PathBuf>, http: ReqwestFetcher) -> Self {
        Self { engine, cache_dir, http, open: Mutex::default(), ended: Mutex::default() }
    }

    /// The presentation of the manifest of this name, opened if need be. `own_url` is its URL after redirects.
    pub(super) async fn open(&self, name: &str, own_url: &str) -> Result<Arc<Presentation>, String> {
        if let Some(known) = self.list().iter().find(|known| known.name == name) {
            return Ok(Arc::clone(known));
        }
        let storage = self.storage().await?;
        let mut surplus = Vec::new();
        let opened = {
            let mut open = self.list();
            // Another request may have been faster.
            if let Some(known) = open.iter().find(|known| known.name == name) {
                return Ok(Arc::clone(known));
            }
            while open.len() >= MAX_PRESENTATIONS
                && let Some((oldest, _)) = open.iter().enumerate().min_by_key(|(_, known)| known.last_used())
            {
                surplus.push(open.swap_remove(oldest));
            }
            let config = Config { segment_storage_limit_bytes: self.share_of_cache(open.len() + 1), ..self.engine.clone() };
            let opened =
                Presentation::start(name.to_owned(), own_url, config, storage, self.http.clone()).map_err(|error| error.to_string())?;
            open.push(Arc::clone(&opened));
            self.share_cache(&open);
            opened
        };
        tracing::info!(manifest = name, "opened");
        self.end(surplus).await;
        Ok(opened)
    }

    /// The presentation that has a manifest of this name; the one used last if there are several.
    pub(super) fn naming(&self, manifest: &str) -> Option<Arc<Presentation>> {
        self.by_use().into_iter().find(|known| known.names_manifest(manifest))
    }

    /// What answers a request, and its presentation; the one used last if there are several.
    pub(super) fn find(&self, url: &str, range: Option<RequestedRange>) -> Option<(Arc<Presentation>, Found)> {
        self.by_use().into_iter().find_map(|known| known.find(url, range).map(|found| (known, found)))
    }

    /// All that are open, the one used last first.
    pub(super) fn by_use(&self) -> Vec<Arc<Presentation>> {
        let mut open: Vec<_> = self.list().iter().map(|known| (known.last_used(), Arc::clone(known))).collect();
        open.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        open.into_iter().map(|(_, known)| known).collect()
    }

    /// Ends those that were not used for `limit`.
    pub(super) async fn end_unused(&self, limit: Duration) {
        let now = Instant::now();
        let unused = {
            let mut open = self.list();
            let unused: Vec<_> = open.extract_if(.., |known| now.saturating_duration_since(known.last_used()) >= limit).collect();
            if !unused.is_empty() {
                self.share_cache(&open);
            }
            unused
        };
        self.end(unused).await;
    }

    /// Ends all: leaves every swarm.
    pub(super) async fn end_all(&self) {
        let all = std::mem::take(&mut *self.list());
        self.end(all).await;
    }

    /// Figures of the sessions that have ended, added up.
    pub(super) fn ended(&self) -> Stats {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn end(&self, presentations: Vec<Arc<Presentation>>) {
        let last = futures::future::join_all(presentations.iter().map(|presentation| presentation.end())).await;
        for (presentation, stats) in presentations.iter().zip(last) {
            tracing::info!(manifest = presentation.name, "closed");
            add_counters(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner), &stats);
        }
    }

    fn share_of_cache(&self, presentations: usize) -> u64 {
        (self.engine.segment_storage_limit_bytes / presentations.max(1) as u64).max(SMALLEST_SHARE_BYTES)
    }

    fn share_cache(&self, open: &[Arc<Presentation>]) {
        let share = self.share_of_cache(open.len());
        open.iter().for_each(|known| known.limit_storage(share));
    }

    /// A store of its own for each session: segments are named within their session.
    async fn storage(&self) -> Result<StorageChoice, String> {
        let Some(dir) = self.cache_dir.clone() else { return Ok(StorageChoice::default()) };
        let opened = tokio::task::spawn_blocking(move || DiskStorage::open(&dir)).await;
        opened.map_err(|error| error.to_string())?.map(StorageChoice::Disk).map_err(|error| error.to_string())
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Presentation>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds what only ever grows.
pub(super) fn add_counters(sum: &mut Stats, stats: &Stats) {
    sum.http_bytes += stats.http_bytes;
    sum.p2p_bytes += stats.p2p_bytes;
    sum.uploaded_bytes += stats.uploaded_bytes;
    sum.delivered_bytes += stats.delivered_bytes;
    sum.segments_loaded += stats.segments_loaded;
    sum.peers_misbehaved += stats.peers_misbehaved;
    sum.http_requests += stats.http_requests;
    sum.p2p_requests += stats.p2p_requests;
}
