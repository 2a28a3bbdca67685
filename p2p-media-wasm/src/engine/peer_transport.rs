//! Peer connections by the browser's `RTCPeerConnection`, with one data channel each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::future::{Either, select};
use p2p_media_core::backend::{PeerConnection, PeerTransport, PeerTransportError};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    RtcConfiguration, RtcDataChannelEvent, RtcIceGatheringState, RtcPeerConnection, RtcPeerConnectionState, RtcSdpType,
    RtcSessionDescriptionInit,
};

use super::clock::{now_ms, sleep_ms};
use super::data_channel::{BrowserChannel, Channel};
use super::text_of;
use super::watched::Watched;

/// How long candidates are waited for, as the official library does.
const GATHERING_LIMIT_MS: f64 = 5000.0;
/// Once there is an address as others see it, how long more candidates are waited for: a STUN server that does not answer takes seconds.
const FURTHER_GATHERING_MS: f64 = 700.0;
/// How long a connection may take to tell the other side that its channel closes. Ending it at once is an error there.
const CHANNEL_CLOSING_LIMIT_MS: f64 = 300.0;
/// The least time between two new connections. Making one waits for threads of the browser's, up to 10 ms, and an announce wants several:
/// in one task they would hold the page up.
const SPACING_MS: f64 = 5.0;

/// Makes connections with one configuration.
#[derive(Clone, Debug)]
pub struct BrowserTransport {
    configuration: JsValue,
    /// When the next connection may be made, as `performance.now()` has it.
    next_at_ms: Rc<Cell<f64>>,
}

/// A connection. It closes when the last clone, and the channel it gave, is dropped.
#[derive(Clone, Debug)]
pub struct BrowserConnection {
    link: Rc<Link>,
}

/// What a connection and its channel share.
#[derive(Debug)]
pub(super) struct Link {
    connection: RtcPeerConnection,
    state: Rc<Watched<State>>,
    channel: Rc<RefCell<Option<Rc<Channel>>>>,
    _on_change: Closure<dyn FnMut(JsValue)>,
    _on_candidate: Closure<dyn FnMut(JsValue)>,
    _on_channel: Closure<dyn FnMut(RtcDataChannelEvent)>,
}

#[derive(Debug, Default)]
struct State {
    gathered: bool,
    /// A candidate from a STUN or TURN server is there.
    reflexive: bool,
    has_channel: bool,
    failed: bool,
}

impl BrowserTransport {
    pub(super) fn new(configuration: JsValue) -> Self {
        Self { configuration, next_at_ms: Rc::default() }
    }

    /// A new connection, in a task of its own.
    async fn link(&self) -> Result<Link, JsValue> {
        let now = now_ms();
        let at = now.max(self.next_at_ms.get());
        self.next_at_ms.set(at + SPACING_MS);
        if at > now {
            sleep_ms(at - now).await;
        }
        let link = Link::new(RtcPeerConnection::new_with_configuration(self.configuration.unchecked_ref::<RtcConfiguration>())?);
        // Others who ask in this very task wait for a later one, however long it has taken.
        self.next_at_ms.set(self.next_at_ms.get().max(now_ms() + SPACING_MS));
        link
    }

    async fn make_offer(&self, label: &str) -> Result<(BrowserConnection, String), JsValue> {
        let link = self.link().await?;
        link.take_channel(Channel::new(link.connection.create_data_channel(label)));
        let offer = JsFuture::from(link.connection.create_offer()).await?;
        link.describe(offer.unchecked_ref()).await
    }

    async fn make_answer(&self, offer: &str) -> Result<(BrowserConnection, String), JsValue> {
        let link = self.link().await?;
        link.set_remote(RtcSdpType::Offer, offer).await?;
        let answer = JsFuture::from(link.connection.create_answer()).await?;
        link.describe(answer.unchecked_ref()).await
    }
}

impl PeerTransport for BrowserTransport {
    type Connection = BrowserConnection;

    async fn offer(&self, label: String) -> Result<(BrowserConnection, String), PeerTransportError> {
        self.make_offer(&label).await.map_err(transport_error)
    }

    async fn answer(&self, offer_sdp: String) -> Result<(BrowserConnection, String), PeerTransportError> {
        self.make_answer(&offer_sdp).await.map_err(transport_error)
    }
}

impl PeerConnection for BrowserConnection {
    type Channel = BrowserChannel;

    async fn accept_answer(&self, answer_sdp: String) -> Result<(), PeerTransportError> {
        self.link.set_remote(RtcSdpType::Answer, &answer_sdp).await.map_err(transport_error)
    }

    async fn channel(&self) -> Result<BrowserChannel, PeerTransportError> {
        let has_channel = self.link.state.wait_for(|state| if state.failed { Some(false) } else { state.has_channel.then_some(true) });
        let channel = if has_channel.await { self.link.channel.borrow().clone() } else { None };
        let Some(channel) = channel else { return Err(failed()) };
        match channel.opened().await {
            true => Ok(BrowserChannel::new(channel, Rc::clone(&self.link))),
            false => Err(failed()),
        }
    }
}

impl Link {
    fn new(connection: RtcPeerConnection) -> Result<Self, JsValue> {
        let state = Rc::new(Watched::new(State::default()));
        let channel = Rc::new(RefCell::new(None::<Rc<Channel>>));

        let on_change = {
            let (connection, state, channel) = (connection.clone(), Rc::clone(&state), Rc::clone(&channel));
            Closure::new(move |_event| {
                let gathered = connection.ice_gathering_state() == RtcIceGatheringState::Complete;
                let failed = matches!(connection.connection_state(), RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed);
                state.change(|state| {
                    state.gathered |= gathered;
                    state.failed |= failed;
                });
                if failed && let Some(channel) = channel.borrow().as_ref() {
                    channel.end("the connection failed");
                }
            })
        };
        let on_candidate = {
            let state = Rc::clone(&state);
            Closure::new(move |event| {
                let candidate = property(&property(&event, "candidate"), "candidate").as_string().unwrap_or_default();
                if candidate.contains(" typ srflx") || candidate.contains(" typ relay") {
                    state.change(|state| state.reflexive = true);
                }
            })
        };
        let on_channel = {
            let (state, channel) = (Rc::clone(&state), Rc::clone(&channel));
            Closure::new(move |event: RtcDataChannelEvent| {
                // A peer has one channel; further ones are let be.
                channel.borrow_mut().get_or_insert_with(|| Channel::new(event.channel()));
                state.change(|state| state.has_channel = true);
            })
        };
        connection.set_onicegatheringstatechange(Some(on_change.as_ref().unchecked_ref()));
        connection.set_onconnectionstatechange(Some(on_change.as_ref().unchecked_ref()));
        connection.set_onicecandidate(Some(on_candidate.as_ref().unchecked_ref()));
        connection.set_ondatachannel(Some(on_channel.as_ref().unchecked_ref()));
        Ok(Self { connection, state, channel, _on_change: on_change, _on_candidate: on_candidate, _on_channel: on_channel })
    }

    fn take_channel(&self, channel: Rc<Channel>) {
        *self.channel.borrow_mut() = Some(channel);
        self.state.change(|state| state.has_channel = true);
    }

    async fn set_remote(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(sdp);
        JsFuture::from(self.connection.set_remote_description(&description)).await.map(drop)
    }

    /// Sets our description and gives it back with the candidates gathered, or with those known when the time for it is over.
    async fn describe(self, description: &RtcSessionDescriptionInit) -> Result<(BrowserConnection, String), JsValue> {
        JsFuture::from(self.connection.set_local_description(description)).await?;
        let first = self.state.wait_for(|state| (state.gathered || state.reflexive || state.failed).then_some(()));
        if within(GATHERING_LIMIT_MS, first).await {
            within(FURTHER_GATHERING_MS, self.state.wait_for(|state| (state.gathered || state.failed).then_some(()))).await;
        }
        let description = self.connection.local_description().ok_or_else(|| JsValue::from_str("there is no local description"))?;
        Ok((BrowserConnection { link: Rc::new(self) }, description.sdp()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let connection = self.connection.clone();
        connection.set_onicegatheringstatechange(None);
        connection.set_onconnectionstatechange(None);
        connection.set_onicecandidate(None);
        connection.set_ondatachannel(None);
        let Some(channel) = self.channel.borrow_mut().take() else { return connection.close() };
        if !channel.is_open() {
            return connection.close();
        }
        channel.close();
        spawn_local(async move {
            within(CHANNEL_CLOSING_LIMIT_MS, channel.ended()).await;
            connection.close();
        });
    }
}

/// Waits for `future` for so many milliseconds; false when it took longer.
async fn within(milliseconds: f64, future: impl Future<Output = ()>) -> bool {
    matches!(select(std::pin::pin!(future), sleep_ms(milliseconds)).await, Either::Left(_))
}

fn property(object: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

fn transport_error(thrown: JsValue) -> PeerTransportError {
    PeerTransportError(text_of(&thrown))
}

fn failed() -> PeerTransportError {
    PeerTransportError("the connection failed".to_owned())
}
