//! What the TypeScript around the engine gives it: somebody who hears events, keeps segments, checks them and sets up requests.

use std::fmt;

use js_sys::{JsString, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    /// The object that the page's `Core` is to the engine; see `js/src/core/host.ts`.
    pub type Host;

    /// Something happened. `name` is the official event's; the others mean what that event needs and are absent where it does not.
    #[wasm_bindgen(method)]
    pub(super) fn event(
        this: &Host,
        name: &str,
        secondary: bool,
        stream: Option<u32>,
        id: Option<f64>,
        from_peer: bool,
        peer: Option<JsString>,
        amount: f64,
        text: Option<String>,
    );

    /// Keeps a segment. A promise, or nothing when it is done at once.
    #[wasm_bindgen(method, catch, js_name = storeSegment)]
    pub(super) fn store_segment(this: &Host, stream: u32, id: f64, bytes: Uint8Array) -> Result<JsValue, JsValue>;

    /// Gives a segment back: a `Uint8Array`, nothing, or a promise of either.
    #[wasm_bindgen(method, catch, js_name = loadSegment)]
    pub(super) fn load_segment(this: &Host, stream: u32, id: f64) -> Result<JsValue, JsValue>;

    /// Drops a segment.
    #[wasm_bindgen(method, catch, js_name = forgetSegment)]
    pub(super) fn forget_segment(this: &Host, stream: u32, id: f64) -> Result<(), JsValue>;

    /// Checks a segment: a promise of true or false.
    #[wasm_bindgen(method, catch, js_name = validateSegment)]
    pub(super) fn validate_segment(this: &Host, stream: u32, id: f64, from_peer: bool, bytes: Uint8Array) -> Result<Promise, JsValue>;

    /// Makes the page's own request for these bytes (`last` absent: to the end): a promise of a `Request`, or nothing where the page has
    /// no wish.
    #[wasm_bindgen(method, catch, js_name = setUpRequest)]
    pub(super) fn set_up_request(this: &Host, url: &str, first: f64, last: Option<f64>, signal: &AbortSignal) -> Result<JsValue, JsValue>;
}

impl Clone for Host {
    fn clone(&self) -> Self {
        let value: &JsValue = self.as_ref();
        value.clone().unchecked_into()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Host")
    }
}
