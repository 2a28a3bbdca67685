//! What the origin has sent, by file and by kind: the figures that show what peers spared it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde::Serialize;

/// Files counted one by one; traffic of further files shows in the totals alone.
const MAX_COUNTED_FILES: usize = 100_000;

/// What a file is to a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A media segment, or a file of them.
    Segment,
    /// An initialization segment.
    InitSegment,
    /// An HLS playlist or a DASH manifest.
    Manifest,
    /// Anything else: keys, subtitles, pages.
    Other,
}

/// Answers sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Requests answered with the resource, or with a part of it.
    pub requests: u64,
    /// Bytes of the bodies handed to the network.
    pub bytes: u64,
}

/// The traffic of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FileTraffic {
    /// What the file is.
    pub kind: FileKind,
    /// What was sent of it.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// What an origin has sent since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OriginStats {
    /// Media segments.
    pub segments: Traffic,
    /// Initialization segments.
    pub init_segments: Traffic,
    /// HLS playlists and DASH manifests.
    pub manifests: Traffic,
    /// Everything else.
    pub other: Traffic,
    /// Requests answered without the resource: not found, not changed, not allowed.
    pub without_body: u64,
    /// Requests that had to wait for what was still to come: a part, or a playlist with one.
    pub held: u64,
    /// Each file, by its path below the folder.
    pub files: BTreeMap<String, FileTraffic>,
}

/// Counts while responses are sent.
#[derive(Debug, Default)]
pub(super) struct Counters {
    files: Mutex<BTreeMap<String, (FileKind, Arc<Counter>)>>,
    uncounted: [Arc<Counter>; 4],
    without_body: AtomicU64,
    held: AtomicU64,
}

/// The bytes and requests of one file.
#[derive(Debug, Default)]
pub(super) struct Counter {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    /// Counts a request, and gives what counts the bytes that answer it.
    pub(super) fn request(&self, path: &str, kind: FileKind) -> Arc<Counter> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = match files.get(path) {
            Some((_, counter)) => counter.clone(),
            None if files.len() >= MAX_COUNTED_FILES => self.uncounted[kind as usize].clone(),
            None => files.entry(path.into()).or_insert_with(|| (kind, Arc::default())).1.clone(),
        };
        counter.requests.fetch_add(1, Relaxed);
        counter
    }

    pub(super) fn without_body(&self) {
        self.without_body.fetch_add(1, Relaxed);
    }

    pub(super) fn held(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self) -> OriginStats {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stats =
            OriginStats { without_body: self.without_body.load(Relaxed), held: self.held.load(Relaxed), ..OriginStats::default() };
        for (path, (kind, counter)) in files.iter() {
            let traffic = counter.traffic();
            stats.add(*kind, traffic);
            stats.files.insert(path.clone(), FileTraffic { kind: *kind, traffic });
        }
        for kind in [FileKind::Segment, FileKind::InitSegment, FileKind::Manifest, FileKind::Other] {
            stats.add(kind, self.uncounted[kind as usize].traffic());
        }
        stats
    }
}

impl Counter {
    pub(super) fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn traffic(&self) -> Traffic {
        Traffic { requests: self.requests.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}

impl OriginStats {
    fn add(&mut self, kind: FileKind, traffic: Traffic) {
        let total = match kind {
            FileKind::Segment => &mut self.segments,
            FileKind::InitSegment => &mut self.init_segments,
            FileKind::Manifest => &mut self.manifests,
            FileKind::Other => &mut self.other,
        };
        total.requests += traffic.requests;
        total.bytes += traffic.bytes;
    }
}
