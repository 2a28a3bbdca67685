//! How long after their completion at the origin segments and parts of a live stream are here, by where their last byte came from.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use p2p_media_core::event::SegmentSource;
use p2p_media_core::media::SegmentKey;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::lock;

/// Delays that are kept for each source: hours of parts.
const MAX_SAMPLES: usize = 50_000;
/// Segments of which only one of the two moments is known: the engine loads ahead, and what it loads need not be read.
const MAX_INCOMPLETE: usize = 256;

/// The delays of one viewer, or of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SegmentDelays {
    /// Whose last byte came from the origin.
    pub http: DelaySamples,
    /// Whose last byte came from a peer.
    pub p2p: DelaySamples,
}

/// Delays in milliseconds. Serialised as `{"median", "p95", "count"}`, the first two null when there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DelaySamples(Vec<f64>);

/// Brings together when segments were complete at the origin and when they were here.
#[derive(Debug)]
pub(super) struct DelayMeter {
    /// Seconds since 1970.
    began: f64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    loaded: VecDeque<(SegmentKey, (SegmentSource, f64))>,
    completed: VecDeque<(SegmentKey, f64)>,
    delays: SegmentDelays,
}

impl SegmentDelays {
    /// Adds those of another viewer.
    pub fn merge(&mut self, other: &Self) {
        self.http.0.extend(&other.http.0);
        self.p2p.0.extend(&other.p2p.0);
    }

    const fn is_empty(&self) -> bool {
        self.http.0.is_empty() && self.p2p.0.is_empty()
    }
}

impl DelaySamples {
    /// How many there are.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The delay that this share of all does not exceed: 0.5 for the median.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }
}

impl Serialize for DelaySamples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut figures = serializer.serialize_struct("DelaySamples", 3)?;
        figures.serialize_field("median", &self.quantile(0.5))?;
        figures.serialize_field("p95", &self.quantile(0.95))?;
        figures.serialize_field("count", &self.count())?;
        figures.end()
    }
}

impl DelayMeter {
    /// Measures from now on.
    pub(super) fn new() -> Self {
        Self { began: seconds_since_1970(), inner: Mutex::default() }
    }

    /// The last byte of a segment came just now.
    pub(super) fn loaded(&self, key: SegmentKey, source: SegmentSource) {
        self.loaded_at(key, source, seconds_since_1970());
    }

    /// A segment that was read was complete at the origin at this time, in seconds since 1970.
    pub(super) fn completed(&self, key: SegmentKey, at: f64) {
        // What was there before is fetched as late as the viewer comes.
        if at < self.began {
            return;
        }
        let inner = &mut *lock(&self.inner);
        match take(&mut inner.loaded, key) {
            Some((source, loaded_at)) => inner.add(source, loaded_at - at),
            None => keep(&mut inner.completed, key, at),
        }
    }

    fn loaded_at(&self, key: SegmentKey, source: SegmentSource, at: f64) {
        let inner = &mut *lock(&self.inner);
        match take(&mut inner.completed, key) {
            Some(completed) => inner.add(source, at - completed),
            None => keep(&mut inner.loaded, key, (source, at)),
        }
    }

    /// What was measured; `None` when nothing was.
    pub(super) fn take(&self) -> Option<SegmentDelays> {
        let delays = std::mem::take(&mut lock(&self.inner).delays);
        (!delays.is_empty()).then_some(delays)
    }
}

impl Inner {
    fn add(&mut self, source: SegmentSource, seconds: f64) {
        let samples = match source {
            SegmentSource::Http => &mut self.delays.http.0,
            SegmentSource::P2p => &mut self.delays.p2p.0,
        };
        if samples.len() < MAX_SAMPLES {
            samples.push(seconds * 1000.0);
        }
    }
}

fn take<T>(incomplete: &mut VecDeque<(SegmentKey, T)>, key: SegmentKey) -> Option<T> {
    let index = incomplete.iter().position(|(held, _)| *held == key)?;
    incomplete.remove(index).map(|(_, value)| value)
}

fn keep<T>(incomplete: &mut VecDeque<(SegmentKey, T)>, key: SegmentKey, value: T) {
    if incomplete.len() == MAX_INCOMPLETE {
        incomplete.pop_front();
    }
    incomplete.push_back((key, value));
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use p2p_media_core::media::{SegmentId, StreamKey};

    use super::*;

    fn key(id: i64) -> SegmentKey {
        SegmentKey { stream: StreamKey(0), id: SegmentId(id) }
    }

    #[test]
    fn the_two_moments_come_in_any_order() {
        let meter = DelayMeter { began: 100.0, inner: Mutex::default() };
        assert_eq!(meter.take(), None);
        meter.completed(key(1), 101.0);
        meter.loaded_at(key(1), SegmentSource::Http, 101.25);
        meter.loaded_at(key(2), SegmentSource::P2p, 103.5);
        meter.completed(key(2), 103.0);
        meter.loaded_at(key(3), SegmentSource::P2p, 104.0);
        meter.completed(key(3), 99.0);
        let delays = meter.take().unwrap();
        assert_eq!((delays.http.quantile(0.5), delays.p2p.quantile(0.5), delays.p2p.count()), (Some(250.0), Some(500.0), 1));
    }

    #[test]
    fn what_is_never_completed_is_forgotten() {
        let meter = DelayMeter { began: 0.0, inner: Mutex::default() };
        for id in 0..10_000 {
            meter.loaded_at(key(id), SegmentSource::Http, 1.0);
            meter.completed(key(-id - 1), 1.0);
        }
        let inner = lock(&meter.inner);
        assert_eq!((inner.loaded.len(), inner.completed.len()), (MAX_INCOMPLETE, MAX_INCOMPLETE));
    }

    #[test]
    fn quantiles_are_of_what_there_is() {
        assert_eq!(DelaySamples::default().quantile(0.5), None);
        let samples = DelaySamples((1..=100).rev().map(f64::from).collect());
        assert_eq!([0.5, 0.95, 1.0].map(|share| samples.quantile(share)), [Some(50.0), Some(95.0), Some(100.0)]);
        let json = serde_json::to_string(&DelaySamples(vec![2.0])).unwrap();
        assert_eq!(json, r#"{"median":2.0,"p95":2.0,"count":1}"#);
    }
}
