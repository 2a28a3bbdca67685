//! An open data channel.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use p2p_media_core::backend::{DataChannel, PeerTransportError};
use webrtc::data_channel::{DataChannel as Stack, DataChannelEvent};

use super::connection::Link;
use super::transport_error;

/// An open data channel. When the last clone is dropped, its connection closes.
#[derive(Clone)]
pub struct WebRtcChannel {
    channel: Arc<dyn Stack>,
    link: Arc<Link>,
}

impl WebRtcChannel {
    pub(super) fn new(channel: Arc<dyn Stack>, link: Arc<Link>) -> Self {
        Self { channel, link }
    }
}

impl DataChannel for WebRtcChannel {
    async fn send(&self, message: Bytes) -> Result<(), PeerTransportError> {
        self.link.check()?;
        // The stack wants a buffer of its own: nothing is copied when the message is the only owner of its bytes.
        let message = BytesMut::from(message);
        tokio::select! {
            biased;
            sent = self.channel.send(message) => sent.map_err(transport_error),
            // A peer that is gone never makes room.
            error = self.link.ended() => Err(error),
        }
    }

    async fn receive(&self) -> Result<Option<Bytes>, PeerTransportError> {
        let next = async {
            loop {
                match self.channel.poll().await {
                    Some(DataChannelEvent::OnMessage(message)) => return Ok(Some(message.data.freeze())),
                    Some(DataChannelEvent::OnClose) | None => return Ok(None),
                    Some(DataChannelEvent::OnError) => return Err(PeerTransportError("the data channel failed".to_owned())),
                    Some(_) => {}
                }
            }
        };
        tokio::select! {
            biased;
            message = next => message,
            error = self.link.ended() => Err(error),
        }
    }
}

impl fmt::Debug for WebRtcChannel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WebRtcChannel").finish_non_exhaustive()
    }
}
