//! A segment on its way to the player: the driver puts pieces in, the player takes them out.
//!
//! The queue counts no pieces: they are handles on bytes that the engine keeps anyway until the segment is complete, so the segment's own
//! size is the limit, and a player that reads slowly never holds up the driver.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::Stream;
use futures::channel::oneshot;

use crate::error::SegmentError;
use crate::segment_bytes::SegmentBytes;

/// The bytes of a segment, readable while they arrive. Dropping it takes the request back. As a [`Stream`] it gives the pieces in order,
/// and at most one error as its last item.
#[derive(Debug)]
pub struct SegmentReader {
    queue: Arc<Mutex<Queue>>,
    ended: bool,
    /// Its drop tells the driver that nobody reads any more.
    _dropped: oneshot::Sender<()>,
}

/// The driver's end. Dropping it without an end means that the session ended.
#[derive(Debug)]
pub(crate) struct ReaderSink {
    queue: Arc<Mutex<Queue>>,
    reader_dropped: Option<oneshot::Receiver<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    delivered: u64,
    size: Option<u64>,
    end: Option<Result<(), SegmentError>>,
    waker: Option<Waker>,
}

/// The two ends of one request.
pub(crate) fn segment_reader() -> (ReaderSink, SegmentReader) {
    let queue = Arc::<Mutex<Queue>>::default();
    let (dropped, reader_dropped) = oneshot::channel();
    let sink = ReaderSink { queue: Arc::clone(&queue), reader_dropped: Some(reader_dropped) };
    (sink, SegmentReader { queue, ended: false, _dropped: dropped })
}

impl SegmentReader {
    /// The total size in bytes, as soon as it is known: at the latest with the last byte. `None` when the segment failed before.
    pub async fn size(&mut self) -> Option<u64> {
        std::future::poll_fn(|context| self.poll_size(context)).await
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When no (more) bytes will come; bytes that came before were right. The same error is given again when called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SegmentError> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// All bytes that were not read yet.
    ///
    /// # Errors
    /// As [`SegmentReader::chunk`].
    pub async fn read_all(mut self) -> Result<SegmentBytes, SegmentError> {
        let mut bytes = SegmentBytes::new();
        while let Some(piece) = self.chunk().await? {
            bytes.push(piece);
        }
        Ok(bytes)
    }

    /// [`SegmentReader::chunk`] for those who write a future by hand.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, SegmentError>> {
        let mut queue = lock(&self.queue);
        if let Some(piece) = queue.pieces.pop_front() {
            return Poll::Ready(Ok(Some(piece)));
        }
        match &queue.end {
            Some(end) => Poll::Ready(end.clone().map(|()| None)),
            None => queue.wait(context),
        }
    }

    fn poll_size(&mut self, context: &mut Context<'_>) -> Poll<Option<u64>> {
        let mut queue = lock(&self.queue);
        match (queue.size, &queue.end) {
            (Some(size), _) => Poll::Ready(Some(size)),
            (None, Some(Ok(()))) => Poll::Ready(Some(queue.delivered)),
            (None, Some(Err(_))) => Poll::Ready(None),
            (None, None) => queue.wait(context),
        }
    }
}

impl Stream for SegmentReader {
    type Item = Result<Bytes, SegmentError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reader = self.get_mut();
        if reader.ended {
            return Poll::Ready(None);
        }
        let chunk = std::task::ready!(reader.poll_chunk(context)).transpose();
        reader.ended = !matches!(chunk, Some(Ok(_)));
        Poll::Ready(chunk)
    }
}

impl ReaderSink {
    /// Resolves, with an error, when the reader is dropped. Only the first call gives it.
    pub(crate) fn take_reader_dropped(&mut self) -> Option<oneshot::Receiver<()>> {
        self.reader_dropped.take()
    }

    pub(crate) fn set_size(&self, size: u64) {
        self.change(|queue| queue.size = Some(size));
    }

    pub(crate) fn push(&self, piece: Bytes) {
        self.change(|queue| {
            if !piece.is_empty() {
                queue.delivered += piece.len() as u64;
                queue.pieces.push_back(piece);
            }
        });
    }

    pub(crate) fn end(self, end: Result<(), SegmentError>) {
        self.change(|queue| queue.end = Some(end));
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let waker = {
            let mut queue = lock(&self.queue);
            change(&mut queue);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for ReaderSink {
    fn drop(&mut self) {
        self.change(|queue| _ = queue.end.get_or_insert(Err(SegmentError::SessionEnded)));
    }
}

impl Queue {
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<T> {
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    #[test]
    fn pieces_come_in_order_while_they_arrive() {
        let (sink, mut reader) = segment_reader();
        assert!(reader.chunk().now_or_never().is_none());
        sink.push(Bytes::from_static(b"ab"));
        sink.push(Bytes::new());
        assert_eq!(reader.chunk().now_or_never(), Some(Ok(Some(Bytes::from_static(b"ab")))));
        assert!(reader.size().now_or_never().is_none());
        sink.push(Bytes::from_static(b"c"));
        sink.end(Ok(()));
        assert_eq!(block_on(reader.size()), Some(3));
        assert_eq!(block_on(reader.read_all()).unwrap().join(), &b"c"[..]);
    }

    #[test]
    fn a_stream_gives_one_error_and_ends() {
        let (sink, mut reader) = segment_reader();
        sink.set_size(9);
        sink.push(Bytes::from_static(b"ab"));
        sink.end(Err(SegmentError::Removed));
        assert_eq!(block_on(reader.size()), Some(9));
        let items: Vec<_> = block_on(reader.by_ref().collect());
        assert_eq!(items, [Ok(Bytes::from_static(b"ab")), Err(SegmentError::Removed)]);
        assert_eq!(block_on(reader.chunk()), Err(SegmentError::Removed));
    }

    #[test]
    fn each_end_notices_that_the_other_is_gone() {
        let (sink, mut reader) = segment_reader();
        drop(sink);
        assert_eq!(block_on(reader.size()), None);
        assert_eq!(block_on(reader.chunk()), Err(SegmentError::SessionEnded));

        let (mut sink, reader) = segment_reader();
        let mut gone = sink.take_reader_dropped().unwrap();
        assert!((&mut gone).now_or_never().is_none());
        drop(reader);
        assert!(gone.now_or_never().is_some());
    }
}
