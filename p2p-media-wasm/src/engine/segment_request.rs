//! A segment that the page asked for.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use js_sys::{Function, Uint8Array};
use p2p_media_core::error::SegmentError;
use p2p_media_core::segment_bytes::SegmentBytes;
use p2p_media_core::session::SegmentReader;
use wasm_bindgen::prelude::*;

use super::segment_storage::to_js;

/// A segment on its way. To drop or [`SegmentRequest::cancel`] it takes the request back.
#[wasm_bindgen]
#[derive(Debug)]
pub struct SegmentRequest {
    /// Shared with the promises that were given; `None` once cancelled.
    reader: Rc<RefCell<Option<SegmentReader>>>,
}

#[wasm_bindgen]
impl SegmentRequest {
    pub(super) fn new(reader: SegmentReader) -> Self {
        Self { reader: Rc::new(RefCell::new(Some(reader))) }
    }

    /// All bytes. Whenever some come, `on_progress` is called with their number, and `on_chunk` with a copy of them. Rejects with a text
    /// when they will not come all, or with what a function throws.
    pub async fn whole(&self, on_progress: Option<Function>, on_chunk: Option<Function>) -> Result<Uint8Array, JsValue> {
        let mut bytes = SegmentBytes::new();
        while let Some(chunk) = next_chunk(&self.reader).await? {
            if let Some(on_progress) = &on_progress {
                on_progress.call1(&JsValue::UNDEFINED, &JsValue::from_f64(chunk.len() as f64))?;
            }
            if let Some(on_chunk) = &on_chunk {
                on_chunk.call1(&JsValue::UNDEFINED, &Uint8Array::new_from_slice(&chunk))?;
            }
            bytes.push(chunk);
        }
        Ok(to_js(&bytes))
    }

    /// Takes the request back; what was waited for rejects.
    pub fn cancel(&self) {
        // Dropped after the cell is free: the reader's end wakes who waits for it.
        let reader = self.reader.borrow_mut().take();
        drop(reader);
    }
}

/// The reader is borrowed only while it is polled, so that the request can be cancelled in between.
async fn next_chunk(reader: &RefCell<Option<SegmentReader>>) -> Result<Option<Bytes>, JsValue> {
    let chunk = poll_fn(|context| match reader.borrow_mut().as_mut() {
        Some(reader) => reader.poll_chunk(context),
        None => Poll::Ready(Err(SegmentError::Removed)),
    });
    chunk.await.map_err(|error| JsValue::from_str(&error.to_string()))
}
