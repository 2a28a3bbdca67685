//! Time by `performance.now()` and `setTimeout`.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use p2p_media_core::backend::Clock;
use p2p_media_core::timestamp::Timestamp;
use wasm_bindgen::prelude::*;

use super::watched::Watched;

/// The longest time that `setTimeout` takes: a signed 32-bit number of milliseconds (HTML, section 8.6). A wait that ends too early is
/// begun again by the driver.
const LONGEST_TIMEOUT_MS: f64 = 2_147_483_647.0;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    pub(super) fn now_ms() -> f64;
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &JsValue, milliseconds: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timeout: &JsValue);
}

/// The page's monotonic clock. Background tabs are woken about once a second.
#[derive(Clone, Copy, Debug)]
pub struct BrowserClock {
    began_ms: f64,
}

impl BrowserClock {
    /// A clock that begins now.
    pub fn new() -> Self {
        Self { began_ms: now_ms() }
    }
}

impl Default for BrowserClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for BrowserClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(((now_ms() - self.began_ms) * 1000.0) as u64)
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        sleep_ms(deadline.since(self.now()).as_secs_f64() * 1000.0).await;
    }
}

/// A wait; dropping it takes the timeout back.
#[derive(Debug)]
pub(super) struct Sleep {
    over: Rc<Watched<bool>>,
    timeout: JsValue,
    _callback: Closure<dyn FnMut()>,
}

/// Waits for at least so many milliseconds.
pub(super) fn sleep_ms(milliseconds: f64) -> Sleep {
    let over = Rc::new(Watched::new(false));
    let in_callback = Rc::clone(&over);
    let callback = Closure::new(move || in_callback.change(|over| *over = true));
    // Fractions are cut off by the browser, and a deadline must not be served early for nothing.
    let timeout = set_timeout(callback.as_ref(), milliseconds.ceil().min(LONGEST_TIMEOUT_MS));
    Sleep { over, timeout, _callback: callback }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let over = Rc::clone(&self.over);
        std::pin::pin!(over.wait_for(|over| over.then_some(()))).poll(context)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        clear_timeout(&self.timeout);
    }
}
