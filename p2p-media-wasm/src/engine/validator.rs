//! The page's own checks (`validateP2PSegment`, `validateHTTPSegment`).

use p2p_media_core::event::SegmentSource;
use p2p_media_core::segment_validator::{SegmentToValidate, SegmentValidator};
use wasm_bindgen_futures::JsFuture;

use super::host::Host;
use super::segment_storage::to_js;

/// Asks the page.
#[derive(Debug)]
pub(super) struct HostValidator(pub(super) Host);

impl SegmentValidator for HostValidator {
    async fn validate(&self, segment: SegmentToValidate) -> bool {
        let (key, from_peer) = (segment.segment, segment.source == SegmentSource::P2p);
        match self.0.validate_segment(key.stream.0, key.id.0 as f64, from_peer, to_js(&segment.bytes)) {
            // A check that throws has not found the bytes right.
            Ok(promise) => JsFuture::from(promise).await.is_ok_and(|right| right.is_truthy()),
            Err(_) => false,
        }
    }
}
