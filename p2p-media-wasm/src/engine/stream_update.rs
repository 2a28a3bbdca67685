//! Changes of a stream's segments, gathered by the page one by one and given to the engine at once.

use std::sync::Arc;

use p2p_media_core::media::{ByteRange, Segment, SegmentForm, SegmentId, StreamUpdate};
use wasm_bindgen::prelude::*;

/// Segments that came and went since the last update of their stream.
#[wasm_bindgen]
#[derive(Debug)]
pub struct SegmentChanges {
    update: StreamUpdate,
}

#[wasm_bindgen]
impl SegmentChanges {
    /// No changes yet. `live` is true while more segments are to come.
    #[wasm_bindgen(constructor)]
    pub fn new(live: bool) -> Self {
        Self { update: StreamUpdate { added: Vec::new(), removed: Vec::new(), live } }
    }

    /// A segment that came, or whose times changed. `first` and `last` are the byte range, both inclusive; times are in seconds; `form` is
    /// 0 for a whole segment, 1 for an unfinished one, 2 for a part.
    #[expect(clippy::too_many_arguments, reason = "an object would cost a look-up of each property, for thousands of segments")]
    pub fn add(&mut self, id: f64, url: &str, first: Option<f64>, last: Option<f64>, start: f64, duration: f64, form: u8) {
        let byte_range = match (first, last) {
            (Some(first), Some(last)) if first <= last => Some(ByteRange { first: first as u64, last: last as u64 }),
            _ => None,
        };
        let form = match form {
            1 => SegmentForm::Unfinished,
            2 => SegmentForm::Part,
            _ => SegmentForm::Whole,
        };
        self.update.added.push(Segment { id: SegmentId(id as i64), url: Arc::from(url), byte_range, start, duration, form });
    }

    /// A segment that went.
    pub fn remove(&mut self, id: f64) {
        self.update.removed.push(SegmentId(id as i64));
    }

    pub(super) fn into_update(self) -> StreamUpdate {
        self.update
    }
}
