//! What changed in streams, packed for the way into JavaScript: numbers in one array, URLs in one text.

use std::collections::VecDeque;

use p2p_media_core::media::{SegmentForm, SegmentId, StreamKind, StreamUpdate};
use wasm_bindgen::prelude::wasm_bindgen;

/// Numbers for each segment: its id, when it begins and ends (seconds), its first and last byte (both -1 for the whole file), its form (0 whole,
/// 1 part, 2 unfinished).
const NUMBERS_PER_SEGMENT: usize = 6;

/// What changed in one stream.
#[wasm_bindgen]
#[derive(Debug)]
pub struct StreamNews {
    stream: usize,
    kind: StreamKind,
    id: String,
    update: StreamUpdate,
}

/// News of all streams of a presentation, the oldest first.
#[derive(Debug, Default)]
pub(super) struct News(VecDeque<StreamNews>);

impl News {
    pub(super) fn add(&mut self, stream: usize, kind: StreamKind, id: &str, update: StreamUpdate) {
        self.0.push_back(StreamNews { stream, kind, id: id.to_owned(), update });
    }

    pub(super) fn next(&mut self) -> Option<StreamNews> {
        self.0.pop_front()
    }
}

#[wasm_bindgen]
impl StreamNews {
    /// Number of the stream in its presentation; it stays.
    #[wasm_bindgen(getter)]
    pub fn stream(&self) -> u32 {
        self.stream as u32
    }

    /// `main` or `secondary`.
    #[wasm_bindgen(getter)]
    pub fn kind(&self) -> String {
        self.kind.as_str().to_owned()
    }

    /// What all viewers derive alike from the stream's properties.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// True while more segments are to come.
    #[wasm_bindgen(getter)]
    pub fn live(&self) -> bool {
        self.update.live
    }

    /// URLs of the segments that came in, one a line. A URL has no line breaks.
    pub fn urls(&self) -> String {
        let mut urls = String::with_capacity(self.update.added.iter().map(|segment| segment.url.len() + 1).sum());
        for (index, segment) in self.update.added.iter().enumerate() {
            if index > 0 {
                urls.push('\n');
            }
            urls.push_str(&segment.url);
        }
        urls
    }

    /// The segments that came in, six numbers each: id, start and end in seconds, first and last byte (both -1 for the whole file), form (0 whole,
    /// 1 part, 2 unfinished).
    pub fn numbers(&self) -> Vec<f64> {
        let mut numbers = Vec::with_capacity(self.update.added.len() * NUMBERS_PER_SEGMENT);
        for segment in &self.update.added {
            let (first, last) = segment.byte_range.map_or((-1.0, -1.0), |range| (range.first as f64, range.last as f64));
            let form = match segment.form {
                SegmentForm::Whole => 0.0,
                SegmentForm::Part => 1.0,
                SegmentForm::Unfinished => 2.0,
            };
            numbers.extend([segment.id.0 as f64, segment.start, segment.end(), first, last, form]);
        }
        numbers
    }

    /// Ids of the segments that left, before the others came in: an id that is in both is another segment now.
    pub fn removed(&self) -> Vec<f64> {
        self.update.removed.iter().map(|SegmentId(id)| *id as f64).collect()
    }
}
