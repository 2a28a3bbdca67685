//! Peer connections leave nothing behind. The only test of its process: nothing else opens files.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report, also in its helper functions")]

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use p2p_media_core::backend::{DataChannel, PeerConnection, PeerTransport};
use p2p_media_native::peer_transport::{WebRtcChannel, WebRtcTransport};

/// Bound of every wait.
const LIMIT: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

async fn connected(transport: &WebRtcTransport) -> (WebRtcChannel, WebRtcChannel) {
    let (offerer, offer) = within(transport.offer("label".to_owned())).await.unwrap();
    let (answerer, answer) = within(transport.answer(offer)).await.unwrap();
    within(offerer.accept_answer(answer)).await.unwrap();
    within(async { tokio::try_join!(offerer.channel(), answerer.channel()) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_connections_free_their_sockets() {
    let transport = WebRtcTransport::new(&[]).unwrap();
    // Whatever the first connection opens for good is no leak.
    let (one, other) = connected(&transport).await;
    one.send(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(within(other.receive()).await.unwrap().as_deref(), Some(&b"hello"[..]));
    drop((one, other));
    let mut settled = open_files();
    within(async {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            match std::mem::replace(&mut settled, open_files()) {
                before if before == settled => return,
                _ => {}
            }
        }
    })
    .await;

    for number in 0..50 {
        match number % 5 {
            // One end goes, then the other.
            0 | 1 => drop(connected(&transport).await),
            // An offer that nobody answers, and an answer that nobody takes.
            2 => {
                let (_offerer, offer) = within(transport.offer("label".to_owned())).await.unwrap();
                let _ = within(transport.answer(offer)).await.unwrap();
            }
            // A handshake that is given up while it waits for the channel.
            3 => {
                let (_offerer, offer) = within(transport.offer("label".to_owned())).await.unwrap();
                let (answerer, _) = within(transport.answer(offer)).await.unwrap();
                assert!(tokio::time::timeout(Duration::from_millis(20), answerer.channel()).await.is_err());
            }
            // An offer that is given up while it is made.
            _ => {
                let offer = transport.offer("label".to_owned());
                let _ = tokio::time::timeout(Duration::from_micros(100), offer).await;
            }
        }
    }
    let freed = within(async {
        while open_files() > settled {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(tokio::time::timeout(LIMIT, freed).await.is_ok(), "{settled} files were open before, {} are now", open_files());
}
