//! The user's own check of segments, before they are played, stored or announced.
//!
//! The trait is generic like the backends: whether a validator is `Send` decides, with the backend, whether the driver is. Where a trait
//! object is needed natively there is [`SharedValidator`]; a browser implements [`SegmentValidator`] on its callback.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::event::SegmentSource;
use crate::media::SegmentKey;
use crate::segment_bytes::SegmentBytes;

/// A complete segment to be checked.
#[derive(Clone, Debug)]
pub struct SegmentToValidate {
    /// Which one.
    pub segment: SegmentKey,
    /// Its URL at the origin.
    pub url: Arc<str>,
    /// Where the bytes came from.
    pub source: SegmentSource,
    /// The bytes.
    pub bytes: SegmentBytes,
}

/// Tells right bytes from wrong ones (`validateP2PSegment`, `validateHTTPSegment`).
pub trait SegmentValidator: 'static {
    /// True when the bytes are those of the segment. Several checks may run at one time.
    fn validate(&self, segment: SegmentToValidate) -> impl Future<Output = bool>;
}

/// Takes all bytes for right: the validator of a session that has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptEverySegment;

/// A validator as a shared trait object, for multi-threaded runtimes.
#[derive(Clone)]
pub struct SharedValidator(Arc<Validate>);

type Validate = dyn Fn(SegmentToValidate) -> BoxFuture<'static, bool> + Send + Sync;

impl SharedValidator {
    /// A validator that calls this function.
    pub fn new<F, R>(validate: F) -> Self
    where
        F: Fn(SegmentToValidate) -> R + Send + Sync + 'static,
        R: Future<Output = bool> + Send + 'static,
    {
        Self(Arc::new(move |segment| Box::pin(validate(segment))))
    }
}

impl Default for SharedValidator {
    /// Takes all bytes for right.
    fn default() -> Self {
        Self::new(|_| std::future::ready(true))
    }
}

impl SegmentValidator for AcceptEverySegment {
    async fn validate(&self, _segment: SegmentToValidate) -> bool {
        true
    }
}

impl SegmentValidator for SharedValidator {
    fn validate(&self, segment: SegmentToValidate) -> impl Future<Output = bool> {
        (self.0)(segment)
    }
}

impl fmt::Debug for SharedValidator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedValidator").finish_non_exhaustive()
    }
}
