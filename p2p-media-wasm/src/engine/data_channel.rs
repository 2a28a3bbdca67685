//! Data channels (RFC 8831): messages out, as fast as the browser takes them, and in, as fast as they come.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use js_sys::{ArrayBuffer, Uint8Array};
use p2p_media_core::backend::{DataChannel, PeerTransportError};
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use super::peer_transport::Link;
use super::text_of;
use super::watched::Watched;

/// Bytes that may wait in the browser to be sent: what a busy page loses at the end of a larger burst comes again only after SCTP's time-out.
const SEND_BUFFER_BYTES: u32 = 64 * 1024;
/// Bytes that may wait to be read: `onmessage` cannot make the sender wait. The driver reads all that is there in every turn, and the
/// engine asks for one segment at a time, so a peer that is this far ahead sends what nobody asked for.
const RECEIVE_BUFFER_BYTES: usize = 32 << 20;

/// An open data channel. Clones share it.
#[derive(Clone, Debug)]
pub struct BrowserChannel {
    channel: Rc<Channel>,
    /// The connection closes with the last handle on it.
    _link: Rc<Link>,
}

#[derive(Debug)]
pub(super) struct Channel {
    channel: RtcDataChannel,
    state: Rc<Watched<State>>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_change: Closure<dyn FnMut(JsValue)>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    ended: Option<&'static str>,
    messages: VecDeque<Bytes>,
    bytes: usize,
}

impl BrowserChannel {
    pub(super) const fn new(channel: Rc<Channel>, link: Rc<Link>) -> Self {
        Self { channel, _link: link }
    }
}

impl DataChannel for BrowserChannel {
    async fn send(&self, message: Bytes) -> Result<(), PeerTransportError> {
        let channel = &self.channel;
        let room = channel.state.wait_for(|state| match state.ended {
            Some(reason) => Some(Err(PeerTransportError(reason.to_owned()))),
            None => (channel.channel.buffered_amount() <= SEND_BUFFER_BYTES).then_some(Ok(())),
        });
        room.await?;
        channel.channel.send_with_u8_array(&message).map_err(|thrown| PeerTransportError(text_of(&thrown)))
    }

    async fn receive(&self) -> Result<Option<Bytes>, PeerTransportError> {
        let next = self.channel.state.wait_for(|state| match state.messages.pop_front() {
            Some(message) => {
                state.bytes -= message.len();
                Some(Ok(Some(message)))
            }
            None => state.ended.map(|_| Ok(None)),
        });
        next.await
    }
}

impl Channel {
    pub(super) fn new(channel: RtcDataChannel) -> Rc<Self> {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(SEND_BUFFER_BYTES);
        let state = Rc::new(Watched::new(State::default()));
        let on_message = {
            let state = Rc::clone(&state);
            Closure::new(move |event: MessageEvent| {
                // Text is not part of the protocol.
                if let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() {
                    state.change(|state| state.take(&Uint8Array::new(&buffer)));
                }
            })
        };
        let on_change = {
            let (channel, state) = (channel.clone(), Rc::clone(&state));
            // Opened, closed, broken, or with room to send again.
            Closure::new(move |_event| match channel.ready_state() {
                RtcDataChannelState::Open => state.change(|state| state.open = true),
                RtcDataChannelState::Closed => state.change(|state| state.end("the channel closed")),
                _ => {}
            })
        };
        let change = on_change.as_ref().unchecked_ref();
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        channel.set_onopen(Some(change));
        channel.set_onclose(Some(change));
        channel.set_onerror(Some(change));
        channel.set_onbufferedamountlow(Some(change));
        if channel.ready_state() == RtcDataChannelState::Open {
            state.change(|state| state.open = true);
        }
        Rc::new(Self { channel, state, _on_message: on_message, _on_change: on_change })
    }

    /// Waits until it is open; false when that will not be.
    pub(super) async fn opened(&self) -> bool {
        self.state.wait_for(|state| if state.ended.is_some() { Some(false) } else { state.open.then_some(true) }).await
    }

    /// Waits until it is closed.
    pub(super) async fn ended(&self) {
        self.state.wait_for(|state| state.ended.map(drop)).await;
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.ready_state() == RtcDataChannelState::Open
    }

    pub(super) fn close(&self) {
        self.channel.close();
    }

    /// It is of no use any more, whatever the browser says of it.
    pub(super) fn end(&self, reason: &'static str) {
        self.state.change(|state| state.end(reason));
    }
}

impl State {
    fn take(&mut self, message: &Uint8Array) {
        let length = message.length() as usize;
        if self.bytes + length > RECEIVE_BUFFER_BYTES {
            self.end("the peer sends more than anybody asked for");
        } else if self.ended.is_none() {
            self.bytes += length;
            self.messages.push_back(Bytes::from(message.to_vec()));
        }
    }

    fn end(&mut self, reason: &'static str) {
        self.ended.get_or_insert(reason);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        self.channel.set_onopen(None);
        self.channel.set_onclose(None);
        self.channel.set_onerror(None);
        self.channel.set_onbufferedamountlow(None);
    }
}
