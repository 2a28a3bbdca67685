//! Storage operations in order: those on one segment run one after another, those on different segments side by side.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use super::jobs::{Job, JobQueue};
use crate::backend::Backend;
use crate::media::SegmentKey;

pub(super) struct StorageOperations<B: Backend> {
    /// What waits behind the operation that runs, for every segment that has one running.
    waiting: BTreeMap<SegmentKey, VecDeque<Job<B>>>,
}

impl<B: Backend> StorageOperations<B> {
    pub(super) const fn new() -> Self {
        Self { waiting: BTreeMap::new() }
    }

    pub(super) fn start(&mut self, jobs: &mut JobQueue<B>, key: SegmentKey, job: Job<B>) {
        match self.waiting.entry(key) {
            Entry::Occupied(mut waiting) => waiting.get_mut().push_back(job),
            Entry::Vacant(none) => {
                none.insert(VecDeque::new());
                jobs.start_unattended(job);
            }
        }
    }

    pub(super) fn finished(&mut self, jobs: &mut JobQueue<B>, key: SegmentKey) {
        match self.waiting.get_mut(&key).and_then(VecDeque::pop_front) {
            Some(next) => jobs.start_unattended(next),
            None => drop(self.waiting.remove(&key)),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
