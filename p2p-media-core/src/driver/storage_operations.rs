//! Storage operations in order: those on one segment run one after another, those on different segments side by side.

use std::collections::VecDeque;

use super::jobs::{Job, JobQueue};
use crate::backend::Backend;
use crate::media::SegmentKey;
use crate::sorted_map::SortedMap;

pub(super) struct StorageOperations<B: Backend> {
    /// What waits behind the operation that runs, for every segment that has one running.
    waiting: SortedMap<SegmentKey, VecDeque<Job<B>>>,
}

impl<B: Backend> StorageOperations<B> {
    pub(super) const fn new() -> Self {
        Self { waiting: SortedMap::new() }
    }

    pub(super) fn start(&mut self, jobs: &mut JobQueue<B>, key: SegmentKey, job: Job<B>) {
        match self.waiting.get_mut(&key) {
            Some(waiting) => waiting.push_back(job),
            None => {
                self.waiting.insert(key, VecDeque::new());
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
