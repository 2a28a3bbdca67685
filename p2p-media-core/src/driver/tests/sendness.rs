//! `drive()` is `Send` when the backend is, and asks for nothing when it is not.

use std::future::{Future, pending};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::{
    Backend, Clock, DataChannel, HttpBody, HttpError, HttpFetcher, HttpHead, HttpRequest, PeerConnection, PeerTransport,
    PeerTransportError, SegmentStorage, StorageError, Tracker, TrackerConnection, TrackerError,
};
use crate::config::Config;
use crate::driver::drive;
use crate::media::SegmentKey;
use crate::segment_bytes::SegmentBytes;
use crate::segment_validator::SharedValidator;
use crate::session::{Session, SessionError, session};
use crate::timestamp::Timestamp;

/// Every part of a platform on which nothing ever happens. `M` says whether it is `Send`.
struct Idle<M>(PhantomData<M>);

impl<M> Clone for Idle<M> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<M: 'static> Backend for Idle<M> {
    type Clock = Self;
    type Http = Self;
    type Tracker = Self;
    type Peers = Self;
    type Storage = Self;

    fn clock(&self) -> &Self {
        self
    }
    fn http(&self) -> &Self {
        self
    }
    fn tracker(&self) -> &Self {
        self
    }
    fn peers(&self) -> &Self {
        self
    }
    fn storage(&self) -> &Self {
        self
    }
}

impl<M: 'static> Clock for Idle<M> {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }
    async fn sleep_until(&self, _deadline: Timestamp) {
        pending().await
    }
}

impl<M: 'static> HttpFetcher for Idle<M> {
    type Body = Self;
    async fn fetch(&self, _request: HttpRequest) -> Result<(HttpHead, Self), HttpError> {
        pending().await
    }
}

impl<M: 'static> HttpBody for Idle<M> {
    async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        pending().await
    }
}

impl<M: 'static> Tracker for Idle<M> {
    type Connection = Self;
    async fn connect(&self, _url: Arc<str>) -> Result<Self, TrackerError> {
        pending().await
    }
}

impl<M: 'static> TrackerConnection for Idle<M> {
    async fn send(&self, _text: String) -> Result<(), TrackerError> {
        pending().await
    }
    async fn receive(&self) -> Result<Option<String>, TrackerError> {
        pending().await
    }
}

impl<M: 'static> PeerTransport for Idle<M> {
    type Connection = Self;
    async fn offer(&self, _label: String) -> Result<(Self, String), PeerTransportError> {
        pending().await
    }
    async fn answer(&self, _offer_sdp: String) -> Result<(Self, String), PeerTransportError> {
        pending().await
    }
}

impl<M: 'static> PeerConnection for Idle<M> {
    type Channel = Self;
    async fn accept_answer(&self, _answer_sdp: String) -> Result<(), PeerTransportError> {
        pending().await
    }
    async fn channel(&self) -> Result<Self, PeerTransportError> {
        pending().await
    }
}

impl<M: 'static> DataChannel for Idle<M> {
    async fn send(&self, _message: Bytes) -> Result<(), PeerTransportError> {
        pending().await
    }
    async fn receive(&self) -> Result<Option<Bytes>, PeerTransportError> {
        pending().await
    }
}

impl<M: 'static> SegmentStorage for Idle<M> {
    async fn store(&self, _key: SegmentKey, _bytes: SegmentBytes) -> Result<(), StorageError> {
        pending().await
    }
    async fn load(&self, _key: SegmentKey) -> Result<Option<SegmentBytes>, StorageError> {
        pending().await
    }
    async fn forget(&self, _key: SegmentKey) {
        pending().await
    }
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

fn assert_future<F: Future<Output = ()>>(future: F) -> F {
    future
}

#[test]
fn a_driver_is_send_when_its_backend_is() {
    let (handle, input) = session(Config::default(), 1);
    let input = input.with_validator(SharedValidator::default());
    drop(assert_send(drive(Idle::<()>(PhantomData), input)));
    assert!(handle.has_ended());
    assert_eq!(assert_send(handle).set_playhead(crate::media::Playhead { position: 0.0, rate: 1.0 }), Err(SessionError::Ended));
}

#[test]
fn a_driver_on_a_backend_of_one_thread_compiles() {
    let (_handle, input): (Session, _) = session(Config::default(), 1);
    drop(assert_future(drive(Idle::<Rc<()>>(PhantomData), input)));
}

#[test]
fn a_driver_that_never_runs_is_told_from_a_session_that_ended() {
    let (handle, input) = session(Config::default(), 1);
    let playhead = crate::media::Playhead { position: 0.0, rate: 1.0 };
    let error = (0..10_000).find_map(|_| handle.set_playhead(playhead).err());
    assert_eq!(error, Some(SessionError::DriverStalled));
    drop(input);
    assert_eq!(handle.set_playhead(playhead), Err(SessionError::Ended));
}
