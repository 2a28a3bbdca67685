//! Segment indexes in a resource of arbitrary bytes, fetched as asked for or cut off anywhere.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use p2p_media_core::media::{ByteRange, Resource};
use p2p_media_dash::{IndexReader, MAX_SEGMENTS, SegmentIndex};

/// No origin is asked more often.
const MAX_FETCHES: usize = 300;

fuzz_target!(|input: &[u8]| {
    let Some((&[form, cut], resource)) = input.split_first_chunk() else { return };
    let media: Arc<str> = Arc::from("https://a.example/v.mp4");
    let index_url = if form & 1 == 0 { Arc::clone(&media) } else { Arc::from("https://a.example/v.sidx") };
    let byte_range = (form & 2 != 0).then(|| ByteRange { first: u64::from(form >> 3), last: u64::from(form >> 3) + u64::from(cut) });
    let index = SegmentIndex { media, index: Resource { url: index_url, byte_range }, timescale: 90_000, presentation_time_offset: 7 };
    let mut reader = IndexReader::new(&index);
    let mut fetches = 0;
    while let Some(wanted) = reader.needed() {
        fetches += 1;
        assert!(fetches < MAX_FETCHES, "asks without end");
        let Some(range) = wanted.byte_range else { panic!("a whole file is wanted") };
        // Some answers are shorter than what was asked for, and some are the whole resource.
        let whole = form & 4 != 0;
        let first = if whole { 0 } else { (range.first as usize).min(resource.len()) };
        let end = if whole { resource.len() } else { (range.last as usize).saturating_add(1).min(resource.len()) };
        let end = if fetches == usize::from(cut) { end.min(first + usize::from(form)) } else { end };
        let _ = reader.add(first as u64, &resource[first..end]);
    }
    let segments = reader.segments();
    assert!(segments.len() <= MAX_SEGMENTS);
    assert!(segments.iter().all(|segment| segment.start.is_finite() && segment.byte_range.first <= segment.byte_range.last));
});
