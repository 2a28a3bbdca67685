//! Trackers by the browser's `WebSocket`.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use p2p_media_core::backend::{Tracker, TrackerConnection, TrackerError};
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, WebSocket};

use super::text_of;
use super::watched::Watched;

/// Frames that may wait to be read; a tracker that is this far ahead floods us. The driver reads all that are there in every turn.
const FRAMES_WAITING_LIMIT: usize = 1024;

/// Opens websockets.
#[derive(Clone, Copy, Debug)]
pub struct BrowserTracker;

/// An open websocket. Clones share it; it closes when the last one is dropped.
#[derive(Clone, Debug)]
pub struct BrowserSocket {
    socket: Rc<Socket>,
}

#[derive(Debug)]
struct Socket {
    socket: WebSocket,
    state: Rc<Watched<State>>,
    _handlers: [Closure<dyn FnMut(MessageEvent)>; 4],
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// `Ok` when the tracker closed the connection in order.
    ended: Option<Result<(), TrackerError>>,
    frames: VecDeque<String>,
}

impl Tracker for BrowserTracker {
    type Connection = BrowserSocket;

    async fn connect(&self, url: Arc<str>) -> Result<BrowserSocket, TrackerError> {
        let socket = Socket::new(&url).map_err(|thrown| TrackerError(text_of(&thrown)))?;
        let opened = socket.state.wait_for(|state| match &state.ended {
            Some(_) => Some(false),
            None => state.open.then_some(true),
        });
        // Browsers do not say why, lest a page explore the network behind them.
        if opened.await {
            Ok(BrowserSocket { socket: Rc::new(socket) })
        } else {
            Err(TrackerError("the tracker cannot be reached".to_owned()))
        }
    }
}

impl TrackerConnection for BrowserSocket {
    async fn send(&self, text: String) -> Result<(), TrackerError> {
        self.socket.state.look(|state| state.ended.clone()).unwrap_or(Ok(()))?;
        self.socket.socket.send_with_str(&text).map_err(|thrown| TrackerError(text_of(&thrown)))
    }

    async fn receive(&self) -> Result<Option<String>, TrackerError> {
        let next = self.socket.state.wait_for(|state| match state.frames.pop_front() {
            Some(frame) => Some(Ok(Some(frame))),
            None => state.ended.clone().map(|ended| ended.map(|()| None)),
        });
        next.await
    }
}

impl Socket {
    fn new(url: &str) -> Result<Self, JsValue> {
        let socket = WebSocket::new(url)?;
        let state = Rc::new(Watched::new(State::default()));
        let handler = |handle: fn(&mut State, MessageEvent)| {
            let state = Rc::clone(&state);
            Closure::<dyn FnMut(MessageEvent)>::new(move |event| state.change(|state| handle(state, event)))
        };
        let handlers = [
            handler(|state, _| state.open = true),
            handler(|state, event| state.frame(event.data().as_string())),
            handler(|state, _| state.end(Err(TrackerError("the connection to the tracker broke".to_owned())))),
            handler(|state, _| state.end(Ok(()))),
        ];
        socket.set_onopen(Some(handlers[0].as_ref().unchecked_ref()));
        socket.set_onmessage(Some(handlers[1].as_ref().unchecked_ref()));
        socket.set_onerror(Some(handlers[2].as_ref().unchecked_ref()));
        socket.set_onclose(Some(handlers[3].as_ref().unchecked_ref()));
        Ok(Self { socket, state, _handlers: handlers })
    }
}

impl State {
    fn frame(&mut self, text: Option<String>) {
        if self.frames.len() == FRAMES_WAITING_LIMIT {
            self.end(Err(TrackerError("the tracker sends more than can be read".to_owned())));
        } else if self.ended.is_none() {
            // Binary frames mean nothing to us.
            self.frames.extend(text);
        }
    }

    fn end(&mut self, how: Result<(), TrackerError>) {
        self.ended.get_or_insert(how);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onerror(None);
        self.socket.set_onclose(None);
        // Frames that were sent still go out. It cannot fail without a code and a reason.
        let _ = self.socket.close();
    }
}
