//! The backends in a real browser: `cargo xtask test` runs these in headless Chromium.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use js_sys::{Array, Object, Reflect, Uint8Array};
use p2p_media_core::backend::{
    Backend, Clock, DataChannel, HttpBody, HttpFetcher, HttpRequest, PeerConnection, PeerTransport, SegmentStorage, Tracker,
};
use p2p_media_core::media::{SegmentId, SegmentKey, StreamKey};
use p2p_media_core::segment_bytes::SegmentBytes;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

use super::{BrowserBackend, Host};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen(inline_js = "
    export function blob_url(bytes) { return URL.createObjectURL(new Blob([bytes])); }
    export function test_host() {
        const kept = new Map();
        return {
            requests: [],
            event() {},
            storeSegment(stream, id, bytes) { kept.set(`${stream} ${id}`, bytes); },
            loadSegment(stream, id) { return Promise.resolve(kept.get(`${stream} ${id}`)); },
            forgetSegment(stream, id) { kept.delete(`${stream} ${id}`); },
            validateSegment() { return Promise.resolve(true); },
            setUpRequest(url, first, last, signal) {
                this.requests.push([url, first, last]);
                return url.endsWith('#own') ? Promise.resolve(new Request(url.replace('#own', ''), { signal })) : undefined;
            },
        };
    }
")]
extern "C" {
    fn blob_url(bytes: &Uint8Array) -> String;
    fn test_host() -> Host;
}

/// A backend, and the host that it asks.
fn backend() -> (BrowserBackend, Host) {
    let (host, configuration) = (test_host(), Object::new());
    Reflect::set(&configuration, &"iceServers".into(), &Array::new()).unwrap();
    (BrowserBackend::new(&host, configuration.into()), host)
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

async fn body(mut body: impl HttpBody) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = body.chunk().await.unwrap() {
        all.extend_from_slice(&chunk);
    }
    all
}

#[wasm_bindgen_test]
async fn a_wait_ends_at_its_deadline_or_soon_after() {
    let (backend, _host) = backend();
    let clock = *backend.clock();
    let deadline = clock.now().offset_secs(0.05);
    clock.sleep_until(deadline).await;
    assert!(clock.now() >= deadline);
    // One that has passed is no wait, and one that is dropped does no harm.
    clock.sleep_until(deadline).await;
    drop(clock.sleep_until(deadline.offset_secs(1e6)));
}

#[wasm_bindgen_test]
async fn a_body_streams_in_whole_or_in_part() {
    let (backend, host) = backend();
    let expected = bytes(300_000);
    let url = blob_url(&Uint8Array::new_from_slice(&expected));
    let request = |first, last| HttpRequest { url: url.as_str().into(), first, last };
    let (head, whole) = backend.http().fetch(request(0, None)).await.unwrap();
    assert_eq!((head.status, head.content_length), (200, Some(300_000)));
    assert!(body(whole).await == expected);
    let (head, part) = backend.http().fetch(request(1000, Some(1999))).await.unwrap();
    assert_eq!((head.status, head.range_first, head.range_total), (206, Some(1000), Some(300_000)));
    assert!(body(part).await == expected[1000..2000]);
    let asked = Reflect::get(host.as_ref(), &"requests".into()).unwrap().unchecked_into::<Array>();
    assert_eq!(asked.length(), 2);
}

#[wasm_bindgen_test]
async fn the_page_may_make_the_request_itself() {
    let (backend, _host) = backend();
    let url = blob_url(&Uint8Array::new_from_slice(b"own"));
    let (_, own) = backend.http().fetch(HttpRequest { url: format!("{url}#own").into(), first: 1, last: None }).await.unwrap();
    assert_eq!(body(own).await, b"own");
}

#[wasm_bindgen_test]
async fn an_origin_that_refuses_or_is_not_there_is_told() {
    let (backend, _host) = backend();
    let fetch = |url: &str| backend.http().fetch(HttpRequest { url: url.into(), first: 0, last: None });
    assert_eq!(fetch("/there/is/nothing").await.unwrap().0.status, 404);
    assert!(fetch("http://127.0.0.1:1/").await.is_err());
}

#[wasm_bindgen_test]
async fn a_tracker_that_is_not_there_is_told() {
    let (backend, _host) = backend();
    assert!(backend.tracker().connect("ws://127.0.0.1:1/".into()).await.is_err());
    assert!(backend.tracker().connect("no url".into()).await.is_err());
}

#[wasm_bindgen_test]
async fn the_page_keeps_segments() {
    let (backend, _host) = backend();
    let key = |id| SegmentKey { stream: StreamKey(3), id: SegmentId(id) };
    let segment: SegmentBytes = [Bytes::from(bytes(1000)), Bytes::from_static(b"end")].into_iter().collect();
    backend.storage().store(key(7), segment.clone()).await.unwrap();
    assert_eq!(backend.storage().load(key(7)).await.unwrap().map(|loaded| loaded.join()), Some(segment.join()));
    assert_eq!(backend.storage().load(key(8)).await, Ok(None));
    backend.storage().forget(key(7)).await;
    assert_eq!(backend.storage().load(key(7)).await, Ok(None));
}

#[wasm_bindgen_test]
async fn two_peers_meet_talk_and_part() {
    let ((here, _), (there, _)) = (backend(), backend());
    let (offering, offer) = here.peers().offer("a label".to_owned()).await.unwrap();
    let (answering, answer) = there.peers().answer(offer).await.unwrap();
    offering.accept_answer(answer).await.unwrap();
    let (ours, theirs) = futures::join!(offering.channel(), answering.channel());
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());

    // More than a channel's buffer holds at one time.
    let sent = bytes(60_000);
    let received = Rc::new(RefCell::new(0));
    let sender = async {
        for _ in 0..40 {
            ours.send(Bytes::from(sent.clone())).await.unwrap();
        }
    };
    let receiver = async {
        while *received.borrow() < 40 {
            assert!(theirs.receive().await.unwrap().as_deref() == Some(&sent[..]));
            *received.borrow_mut() += 1;
        }
    };
    futures::join!(sender, receiver);
    theirs.send(Bytes::from_static(b"thanks")).await.unwrap();
    assert_eq!(ours.receive().await.unwrap().as_deref(), Some(&b"thanks"[..]));

    drop((ours, offering));
    assert_eq!(theirs.receive().await, Ok(None));
    assert!(theirs.send(Bytes::from_static(b"too late")).await.is_err());
}

#[wasm_bindgen_test]
async fn what_is_no_offer_or_answer_is_told() {
    let (backend, _host) = backend();
    assert!(backend.peers().answer("no description".to_owned()).await.is_err());
    let (connection, _) = backend.peers().offer(String::new()).await.unwrap();
    assert!(connection.accept_answer("no description".to_owned()).await.is_err());
}
