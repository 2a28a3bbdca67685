//! Two native peers on this machine.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use p2p_media_core::backend::{DataChannel, PeerConnection, PeerTransport};

use super::*;

/// Bound of every wait.
const LIMIT: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

fn transport() -> WebRtcTransport {
    WebRtcTransport::new(&[]).unwrap()
}

/// The offerer's and the answerer's channel.
async fn connected() -> (WebRtcChannel, WebRtcChannel) {
    let transport = transport();
    let (offerer, offer) = within(transport.offer("0123456789abcdef".to_owned())).await.unwrap();
    let (answerer, answer) = within(transport.answer(offer)).await.unwrap();
    within(offerer.accept_answer(answer)).await.unwrap();
    within(async { tokio::try_join!(offerer.channel(), answerer.channel()) }).await.unwrap()
}

fn message(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn descriptions_are_complete_and_state_what_the_protocol_wants() {
    let (_offerer, offer) = within(transport().offer("label".to_owned())).await.unwrap();
    for line in ["a=setup:actpass", "a=max-message-size:262144", "a=end-of-candidates", "webrtc-datachannel", " 127.0.0.1 "] {
        assert!(offer.contains(line), "{line} in {offer}");
    }
    let (_answerer, answer) = within(transport().answer(offer)).await.unwrap();
    for line in ["a=setup:active", "a=max-message-size:262144", "a=end-of-candidates", " 127.0.0.1 "] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}

#[tokio::test]
async fn messages_of_every_length_go_both_ways_in_order() {
    let (one, other) = connected().await;
    let messages = [message(1), message(0), message(1200), message(65_535), message(262_144), message(3)];
    for (from, to) in [(&one, &other), (&other, &one)] {
        let send = async {
            for message in messages.clone() {
                from.send(message).await.unwrap();
            }
        };
        let receive = async {
            for expected in &messages {
                let received = to.receive().await.unwrap().unwrap();
                assert!(received == expected, "{} for {} bytes", received.len(), expected.len());
            }
        };
        within(async { tokio::join!(send, receive) }).await;
    }
}

#[tokio::test]
async fn sends_wait_for_a_peer_that_does_not_read_and_go_on_when_it_does() {
    let (one, other) = connected().await;
    let count = 3 * (connection_settings::SEND_BUFFER_BYTES + (8 << 20)) / 65_535;
    let sender = tokio::spawn(async move {
        for _ in 0..count {
            one.send(message(65_535)).await.unwrap();
        }
        one
    });
    let mut received = 0;
    while received < count {
        let message = within(other.receive()).await.unwrap().unwrap();
        assert_eq!(message.len(), 65_535);
        received += 1;
    }
    within(sender).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed_at_once() {
    let (one, other) = connected().await;
    one.send(message(10)).await.unwrap();
    assert_eq!(within(other.receive()).await.unwrap().unwrap(), message(10));
    drop(one);
    let end = tokio::time::timeout(Duration::from_secs(2), other.receive()).await.expect("at once");
    assert!(matches!(end, Ok(None)), "the channel is closed, not the connection torn: {end:?}");
    assert!(tokio::time::timeout(Duration::from_secs(2), other.send(message(1))).await.expect("at once").is_err());
}

#[tokio::test]
async fn the_farewells_of_connections_can_be_waited_for() {
    let farewells = Farewells::default();
    assert!(farewells.said().now_or_never().is_some(), "there are none");
    let farewell = farewells.begin();
    let mut said = std::pin::pin!(farewells.said());
    assert!((&mut said).now_or_never().is_none(), "one is still being said");
    drop(farewell);
    assert!(said.now_or_never().is_some());
}

#[test]
fn a_peer_that_dies_without_a_word_is_noticed() {
    let here = tokio::runtime::Runtime::new().unwrap();
    let there = tokio::runtime::Runtime::new().unwrap();
    let transport = transport();
    let (offerer, offer) = there.block_on(transport.offer("label".to_owned())).unwrap();
    let (answerer, answer) = here.block_on(transport.answer(offer)).unwrap();
    there.block_on(offerer.accept_answer(answer)).unwrap();
    let remote = there.block_on(offerer.channel()).unwrap();
    let local = here.block_on(answerer.channel()).unwrap();
    // Every task of the other peer is gone from one moment to the next, as with a killed process.
    there.shutdown_background();
    let end = here.block_on(within(local.receive()));
    assert!(end.is_err(), "{end:?}");
    assert!(here.block_on(within(local.send(message(1)))).is_err());
    drop((remote, offerer));
}

#[tokio::test]
async fn descriptions_that_are_none_are_errors() {
    assert!(within(transport().answer("nonsense".to_owned())).await.is_err());
    assert!(within(transport().answer(String::new())).await.is_err());
    let (offerer, offer) = within(transport().offer("label".to_owned())).await.unwrap();
    assert!(within(offerer.accept_answer("v=0".to_owned())).await.is_err());
    // Not an answer: it has no role in the DTLS handshake.
    let _ = within(offerer.accept_answer(offer)).await;
}
