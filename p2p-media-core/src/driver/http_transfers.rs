//! Transfers from the origin: fetch, then the body chunk by chunk.

use bytes::Bytes;

use super::jobs::{Body, Job, JobQueue, Running};
use crate::backend::{Backend, HttpError, HttpHead, HttpRequest};
use crate::engine::input::{HttpId, Input};
use crate::sorted_map::SortedMap;

pub(super) struct HttpTransfers {
    running: SortedMap<HttpId, Running>,
}

impl HttpTransfers {
    pub(super) const fn new() -> Self {
        Self { running: SortedMap::new() }
    }

    pub(super) fn start<B: Backend>(&mut self, jobs: &mut JobQueue<B>, id: HttpId, request: HttpRequest) {
        self.running.insert(id, jobs.start(Job::Fetch(id, request)));
    }

    pub(super) fn stop(&mut self, id: HttpId) {
        self.running.remove(&id);
    }

    pub(super) fn fetched<B: Backend>(
        &mut self,
        jobs: &mut JobQueue<B>,
        id: HttpId,
        fetched: Result<(HttpHead, Body<B>), HttpError>,
    ) -> Option<Input> {
        let running = self.running.get_mut(&id)?;
        match fetched {
            Ok((head, body)) => {
                *running = jobs.start(Job::ReadBody(id, body));
                Some(Input::HttpHead(id, head))
            }
            Err(error) => self.failed(id, error),
        }
    }

    pub(super) fn read<B: Backend>(
        &mut self,
        jobs: &mut JobQueue<B>,
        id: HttpId,
        body: Body<B>,
        chunk: Result<Option<Bytes>, HttpError>,
    ) -> Option<Input> {
        let running = self.running.get_mut(&id)?;
        match chunk {
            Ok(Some(chunk)) => {
                *running = jobs.start(Job::ReadBody(id, body));
                Some(Input::HttpChunk(id, chunk))
            }
            Ok(None) => {
                self.running.remove(&id);
                Some(Input::HttpEnd(id))
            }
            Err(error) => self.failed(id, error),
        }
    }

    fn failed(&mut self, id: HttpId, error: HttpError) -> Option<Input> {
        self.running.remove(&id);
        Some(Input::HttpFailed(id, error.0))
    }
}
