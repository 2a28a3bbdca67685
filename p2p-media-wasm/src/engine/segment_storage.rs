//! Segments are kept by the page, outside of wasm's memory, which never shrinks and holds 4 GiB at most.

use js_sys::{Promise, Uint8Array};
use p2p_media_core::backend::{SegmentStorage, StorageError};
use p2p_media_core::media::SegmentKey;
use p2p_media_core::segment_bytes::SegmentBytes;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use bytes::Bytes;

use super::host::Host;
use super::text_of;

/// The page's own store. Clones share it.
#[derive(Clone, Debug)]
pub struct HostStorage {
    host: Host,
}

impl HostStorage {
    pub(super) const fn new(host: Host) -> Self {
        Self { host }
    }
}

impl SegmentStorage for HostStorage {
    async fn store(&self, key: SegmentKey, bytes: SegmentBytes) -> Result<(), StorageError> {
        let stored = self.host.store_segment(key.stream.0, key.id.0 as f64, to_js(&bytes));
        settled(stored).await.map(drop)
    }

    async fn load(&self, key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError> {
        let loaded = settled(self.host.load_segment(key.stream.0, key.id.0 as f64)).await?;
        Ok(loaded.dyn_into::<Uint8Array>().ok().map(|bytes| SegmentBytes::from(Bytes::from(bytes.to_vec()))))
    }

    async fn forget(&self, key: SegmentKey) {
        // What is not there any more is as good as forgotten.
        let _ = self.host.forget_segment(key.stream.0, key.id.0 as f64);
    }
}

/// The pieces in one array of the page.
pub(super) fn to_js(bytes: &SegmentBytes) -> Uint8Array {
    let array = Uint8Array::new_with_length(bytes.len() as u32);
    let mut at = 0;
    for piece in bytes.pieces() {
        let end = at + piece.len() as u32;
        array.subarray(at, end).copy_from(piece);
        at = end;
    }
    array
}

/// What a call gave, now or in time.
async fn settled(returned: Result<JsValue, JsValue>) -> Result<JsValue, StorageError> {
    let value = match returned {
        Ok(value) if value.is_instance_of::<Promise>() => JsFuture::from(value.unchecked_into::<Promise>()).await,
        other => other,
    };
    value.map_err(|thrown| StorageError(text_of(&thrown)))
}
