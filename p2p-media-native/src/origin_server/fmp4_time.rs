//! Moves fragmented MP4 segments in time (ISO/IEC 14496-12), so that each pass of a replay follows the one before it. Players that keep one
//! timeline over a discontinuity, as ffmpeg does with separate audio, would otherwise halt at the seam.

use std::{collections::BTreeMap, ops::Range};

use super::mp4_box::{boxes_of, read_u32};

/// Ticks per second of each track, by track id.
pub(super) type Timescales = BTreeMap<u32, u32>;

/// Reads an init segment; empty when it is none.
pub(super) fn timescales(init: &[u8]) -> Timescales {
    let mut found = Timescales::new();
    for moov in boxes_of(init, 0..init.len(), b"moov") {
        for trak in boxes_of(init, moov, b"trak") {
            // Both boxes put two dates before the number wanted, which are longer in version 1.
            let after_dates = |range: Range<usize>| read_u32(init, range.start + if init.get(range.start) == Some(&1) { 20 } else { 12 });
            let track = boxes_of(init, trak.clone(), b"tkhd").next().and_then(after_dates);
            let mdhd = boxes_of(init, trak, b"mdia").next().and_then(|mdia| boxes_of(init, mdia, b"mdhd").next());
            if let (Some(track), Some(timescale)) = (track, mdhd.and_then(after_dates)) {
                found.insert(track, timescale);
            }
        }
    }
    found
}

/// Adds to the times of every fragment. What is no fragmented MP4 stays as it is.
pub(super) fn delay(segment: &mut [u8], timescales: &Timescales, microseconds: u64) {
    let mut times = Vec::new(); // where a time is, how many bytes it has, and its timescale
    for moof in boxes_of(segment, 0..segment.len(), b"moof") {
        for traf in boxes_of(segment, moof, b"traf") {
            let track = boxes_of(segment, traf.clone(), b"tfhd").next().and_then(|tfhd| read_u32(segment, tfhd.start + 4));
            let Some(timescale) = track.and_then(|track| timescales.get(&track)) else { continue };
            times.extend(boxes_of(segment, traf, b"tfdt").map(|tfdt| (tfdt.start + 4, width(segment, &tfdt), *timescale)));
        }
    }
    for sidx in boxes_of(segment, 0..segment.len(), b"sidx") {
        if let Some(timescale) = read_u32(segment, sidx.start + 8) {
            times.push((sidx.start + 12, width(segment, &sidx), timescale));
        }
    }
    for (at, width, timescale) in times {
        let Some(field) = segment.get_mut(at..at + width) else { continue };
        let ticks = u128::from(microseconds) * u128::from(timescale) / 1_000_000;
        let old = field.iter().fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
        field.copy_from_slice(&(old + ticks).to_be_bytes()[16 - width..]); // a time too large for its field wraps, as in a real encoder
    }
}

/// Bytes of a time in a full box: four in version 0, else eight.
fn width(data: &[u8], full_box: &Range<usize>) -> usize {
    if data.get(full_box.start) == Some(&0) { 4 } else { 8 }
}

#[cfg(test)]
mod tests {
    use super::{super::mp4_box::tests::mp4_box, *};

    fn fragment(track: u8, tfdt: &[u8]) -> Vec<u8> {
        let tfhd = mp4_box(b"tfhd", &[&[0, 0, 0, 0, 0, 0, 0, track]]);
        mp4_box(b"moof", &[&mp4_box(b"mfhd", &[&[0; 8]]), &mp4_box(b"traf", &[&tfhd, &mp4_box(b"tfdt", &[tfdt])])])
    }

    #[test]
    fn times_of_all_tracks_move() {
        let track = |id: u8, mdhd: &[u8]| {
            let tkhd = mp4_box(b"tkhd", &[&[0, 0, 0, 7], &[0; 8], &[0, 0, 0, id], &[0; 60]]);
            mp4_box(b"trak", &[&tkhd, &mp4_box(b"mdia", &[&mp4_box(b"mdhd", &[mdhd])])])
        };
        let first = track(1, &[&[0; 12][..], &[0, 0, 0, 10, 0, 0, 0, 0]].concat());
        let second = track(2, &[&[1][..], &[0; 19], &[0, 0, 3, 232, 0, 0]].concat());
        let init = [mp4_box(b"ftyp", &[b"iso6"]), mp4_box(b"moov", &[&first, &second])].concat();
        let scales = timescales(&init);
        assert_eq!(scales, Timescales::from([(1, 10), (2, 1000)]));

        let sidx = |time: u8| mp4_box(b"sidx", &[&[0; 8], &[0, 0, 0, 100], &[0, 0, 0, time], &[0; 8]]);
        let segment = |sidx: Vec<u8>, first: &[u8], second: &[u8]| {
            [mp4_box(b"styp", &[]), sidx, fragment(1, first), mp4_box(b"mdat", &[&[9; 5]]), fragment(2, second), fragment(3, first)]
                .concat()
        };
        let mut moved = segment(sidx(1), &[0, 0, 0, 0, 0, 0, 0, 5], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        delay(&mut moved, &scales, 1_500_000);
        let mut expected = segment(sidx(151), &[0, 0, 0, 0, 0, 0, 0, 20], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 221]);
        let unknown_track = expected.len() - 1;
        expected[unknown_track] = 5;
        assert_eq!(moved, expected);
    }

    #[test]
    fn damaged_boxes_stay_as_they_are() {
        let scales = Timescales::from([(1, 10)]);
        let whole = fragment(1, &[0, 0, 0, 0, 0, 0, 0, 5]);
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            delay(&mut cut, &scales, 1_000_000);
            assert_eq!(cut, whole[..length]);
            assert!(timescales(&cut).is_empty());
        }
        for first in [&[0, 0, 0, 7][..], &[0, 0, 0, 1], &[255; 16]] {
            let mut garbage = [first, b"moof", &[255; 30]].concat();
            let before = garbage.clone();
            delay(&mut garbage, &scales, 1_000_000);
            assert_eq!(garbage, before);
        }
    }
}
