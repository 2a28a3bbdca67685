//! Divides a fragmented MP4 segment into several fragments, between samples (ISO/IEC 14496-12, section 8.8).

use super::{
    fmp4_samples::{Fragments, IS_NON_SYNC, InitTracks, Sample, Track, read},
    parts::{Part, PartedSegment, cut, to_us},
};

/// Parts of one segment.
const MAX_PARTS: usize = 10_000;

/// Fragments of at most `part_us` microseconds, or of one sample where that lasts longer. The samples, their order, times and flags stay as
/// they are. `None` when the segment cannot be divided.
pub(super) fn split(segment: &[u8], init: &InitTracks, part_us: u64) -> Option<PartedSegment> {
    let Fragments { sequence_number, tracks, others } = read(segment, init)?;
    let leading = leading_track(&tracks);
    let ends = cut(leading.samples.iter().map(|sample| u64::from(sample.duration)), leading.timescale, part_us);
    if ends.is_empty() || ends.len() > MAX_PARTS {
        return None;
    }
    let mut bytes: Vec<u8> = others.into_iter().flat_map(|range| &segment[range]).copied().collect();
    let mut parts = Vec::with_capacity(ends.len());
    let mut cursors = vec![Cursor::default(); tracks.len()];
    let mut part_start = 0;
    for (index, (_, end)) in ends.iter().enumerate() {
        let is_last = index + 1 == ends.len();
        let mut runs = Vec::with_capacity(tracks.len());
        for (track, cursor) in tracks.iter().zip(&mut cursors) {
            let run = cursor.take(track, |time| is_last || is_before(time, track.timescale, leading.start + end, leading.timescale));
            if !run.samples.is_empty() {
                runs.push(run);
            }
        }
        let is_independent = runs.iter().all(|run| run.samples.first().is_some_and(|sample| sample.flags & IS_NON_SYNC == 0));
        let sequence_number = sequence_number.wrapping_mul(MAX_PARTS as u32).wrapping_add(index as u32);
        write_fragment(&mut bytes, segment, sequence_number, &runs)?;
        parts.push(Part { bytes: part_start..bytes.len(), end_us: to_us(*end, leading.timescale), is_independent });
        part_start = bytes.len();
    }
    Some(PartedSegment { bytes, parts })
}

/// The track whose samples decide where parts end: video, where there is any.
fn leading_track(tracks: &[Track]) -> &Track {
    let has_dependent_samples = |track: &&Track| track.samples.iter().any(|sample| sample.flags & IS_NON_SYNC != 0);
    tracks.iter().find(has_dependent_samples).unwrap_or(&tracks[0])
}

/// Compares two times of different timescales.
fn is_before(time: u64, timescale: u32, limit: u64, limit_timescale: u32) -> bool {
    u128::from(time) * u128::from(limit_timescale) < u128::from(limit) * u128::from(timescale)
}

/// How far a track has been written.
#[derive(Clone, Copy, Default)]
struct Cursor {
    sample: usize,
    ticks: u64,
}

/// Successive samples of one track.
struct Run<'a> {
    track: &'a Track,
    start: u64,
    samples: &'a [Sample],
}

impl Cursor {
    /// The samples from here on whose decode time is `wanted`.
    fn take<'a>(&mut self, track: &'a Track, wanted: impl Fn(u64) -> bool) -> Run<'a> {
        let (first, start) = (self.sample, track.start + self.ticks);
        while let Some(sample) = track.samples.get(self.sample)
            && wanted(track.start + self.ticks)
        {
            self.sample += 1;
            self.ticks += u64::from(sample.duration);
        }
        Run { track, start, samples: &track.samples[first..self.sample] }
    }
}

/// Appends `moof` and `mdat`. `None` when it becomes too large for their fields.
fn write_fragment(out: &mut Vec<u8>, segment: &[u8], sequence_number: u32, runs: &[Run<'_>]) -> Option<()> {
    let moof_start = out.len();
    let mut data_offsets = Vec::with_capacity(runs.len());
    write_box(out, b"moof", |out| {
        write_box(out, b"mfhd", |out| put(out, &[0, sequence_number]))?;
        runs.iter().try_for_each(|run| write_box(out, b"traf", |out| write_track_fragment(out, run, &mut data_offsets)))
    })?;
    let moof_size = out.len() - moof_start;
    let mut data = moof_size + 8;
    for (run, at) in runs.iter().zip(data_offsets) {
        out.get_mut(at..at + 4)?.copy_from_slice(&i32::try_from(data).ok()?.to_be_bytes());
        data += run.samples.iter().map(|sample| sample.data.len()).sum::<usize>();
    }
    write_box(out, b"mdat", |out| {
        runs.iter().flat_map(|run| run.samples).for_each(|sample| out.extend_from_slice(&segment[sample.data.clone()]));
        Some(())
    })
}

/// Values that all samples share are written once: with few samples to a part, the rest would weigh as much as low bit-rate audio.
fn write_track_fragment(out: &mut Vec<u8>, run: &Run<'_>, data_offsets: &mut Vec<usize>) -> Option<()> {
    let samples = run.samples;
    let first = samples.first()?;
    let rest_flags = samples.get(1).unwrap_or(first).flags;
    let each_duration = samples.iter().any(|sample| sample.duration != first.duration);
    let each_flags = samples.iter().skip(1).any(|sample| sample.flags != rest_flags);
    let first_flags = !each_flags && first.flags != rest_flags;
    let composition = samples.iter().any(|sample| sample.composition_offset != 0);
    let is_signed = samples.iter().any(|sample| sample.composition_offset < 0);

    write_box(out, b"tfhd", |out| {
        let description = run.track.description;
        put(out, &[0x2_0000 | 0x8 | 0x20 | if description.is_some() { 0x2 } else { 0 }, run.track.id])?;
        put(out, description.as_slice())?;
        put(out, &[first.duration, rest_flags])
    })?;
    write_box(out, b"tfdt", |out| {
        put(out, &[1 << 24, (run.start >> 32) as u32, run.start as u32]) // version 1: 64 bits
    })?;
    write_box(out, b"trun", |out| {
        let flag = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
        let flags = 0x1 | 0x200 | flag(first_flags, 0x4) | flag(each_duration, 0x100) | flag(each_flags, 0x400) | flag(composition, 0x800);
        put(out, &[flag(is_signed, 1 << 24) | flags, u32::try_from(samples.len()).ok()?])?;
        data_offsets.push(out.len());
        put(out, &[0])?;
        if first_flags {
            put(out, &[first.flags])?;
        }
        for sample in samples {
            if each_duration {
                put(out, &[sample.duration])?;
            }
            put(out, &[u32::try_from(sample.data.len()).ok()?])?;
            if each_flags {
                put(out, &[sample.flags])?;
            }
            if composition {
                let offset = sample.composition_offset;
                put(out, &[if is_signed { i32::try_from(offset).ok()?.cast_unsigned() } else { u32::try_from(offset).ok()? }])?;
            }
        }
        Some(())
    })
}

fn write_box(out: &mut Vec<u8>, kind: &[u8; 4], payload: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let start = out.len();
    put(out, &[0])?;
    out.extend_from_slice(kind);
    payload(out)?;
    let size = u32::try_from(out.len() - start).ok()?;
    out.get_mut(start..start + 4)?.copy_from_slice(&size.to_be_bytes());
    Some(())
}

fn put(out: &mut Vec<u8>, fields: &[u32]) -> Option<()> {
    fields.iter().for_each(|field| out.extend_from_slice(&field.to_be_bytes()));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::mp4_box::{all_boxes, tests::mp4_box},
        *,
    };

    const SAMPLE_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/media");

    fn sample_file(name: &str) -> Vec<u8> {
        std::fs::read(format!("{SAMPLE_FOLDER}/{name}")).unwrap()
    }

    /// What a decoder gets: bytes, decode time, duration, flags and composition offset of a sample.
    type Decoded = (Vec<u8>, u64, u32, u32, i64);

    /// All samples by track.
    fn decoded(segment: &[u8], init: &InitTracks) -> Vec<(u32, Vec<Decoded>)> {
        let fragments = read(segment, init).unwrap();
        let samples = |track: &Track| {
            let mut time = track.start;
            let mut samples = Vec::new();
            for sample in &track.samples {
                let data = segment[sample.data.clone()].to_vec();
                samples.push((data, time, sample.duration, sample.flags, sample.composition_offset));
                time += u64::from(sample.duration);
            }
            samples
        };
        let mut tracks: Vec<_> = fragments.tracks.iter().map(|track| (track.id, samples(track))).collect();
        tracks.sort_by_key(|(id, _)| *id);
        tracks
    }

    fn check_same_samples(segment: &[u8], init: &InitTracks, part_us: u64) -> PartedSegment {
        let parted = split(segment, init, part_us).unwrap();
        assert_eq!(decoded(&parted.bytes, init), decoded(segment, init));
        let mut end = 0;
        for part in &parted.parts {
            assert_eq!(part.bytes.start, end, "parts follow each other");
            end = part.bytes.end;
            assert!(read(&parted.bytes[part.bytes.clone()], init).is_some(), "each part stands alone");
        }
        assert_eq!(end, parted.bytes.len());
        parted
    }

    #[test]
    fn parts_hold_the_same_samples() {
        for (stream, lengths_ms) in [(0, [320, 320, 320, 320, 320, 320, 80]), (2, [320, 320, 320, 320, 320, 320, 80])] {
            let init = InitTracks::read(&sample_file(&format!("init_{stream}.m4s")));
            let segment = sample_file(&format!("seg_{stream}_07.m4s"));
            let parted = check_same_samples(&segment, &init, 333_000);
            let mut start = 0;
            let lengths: Vec<u64> =
                parted.parts.iter().map(|part| (part.end_us - std::mem::replace(&mut start, part.end_us)) / 1000).collect();
            assert_eq!(lengths, lengths_ms);
            let independent: Vec<bool> = parted.parts.iter().map(|part| part.is_independent).collect();
            assert_eq!(independent, [true, false, false, false, false, false, false]);
            assert!(parted.bytes.len() < segment.len() + 7 * 120, "{} of {}", parted.bytes.len(), segment.len());
        }
        let init = InitTracks::read(&sample_file("init_3.m4s"));
        let parted = check_same_samples(&sample_file("seg_3_01.m4s"), &init, 333_000);
        assert!(parted.parts.iter().all(|part| part.is_independent), "sound can begin anywhere");
        assert_eq!((parted.parts.len(), parted.parts[0].end_us), (7, 320_000));
    }

    #[test]
    fn a_sample_longer_than_a_part_is_one() {
        let init = InitTracks::read(&sample_file("init_0.m4s"));
        let parted = check_same_samples(&sample_file("seg_0_01.m4s"), &init, 1);
        assert_eq!(parted.parts.len(), 50);
        let parted = check_same_samples(&sample_file("seg_0_01.m4s"), &init, 5_000_000);
        assert_eq!(parted.parts.len(), 1);
    }

    #[test]
    fn fragments_that_are_parts_already_can_be_divided_anew() {
        let init = InitTracks::read(&sample_file("init_1.m4s"));
        let segment = sample_file("seg_1_03.m4s");
        let fine = split(&segment, &init, 100_000).unwrap();
        let coarse = check_same_samples(&fine.bytes, &init, 1_000_000);
        assert_eq!(coarse.parts.len(), 2);
        assert_eq!(decoded(&coarse.bytes, &init), decoded(&segment, &init));
    }

    /// Two tracks in one fragment, with values given in as many ways as there are.
    fn muxed() -> (InitTracks, Vec<u8>) {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let trak = |id: u32, timescale: u32| {
            let tkhd = mp4_box(b"tkhd", &[&words(&[7, 0, 0, id]), &[0; 60]]);
            mp4_box(b"trak", &[&tkhd, &mp4_box(b"mdia", &[&mp4_box(b"mdhd", &[&words(&[0, 0, 0, timescale, 0])])])])
        };
        let trex = |id, duration, size, flags| mp4_box(b"trex", &[&words(&[0, id, 1, duration, size, flags])]);
        let mvex = mp4_box(b"mvex", &[&trex(1, 0, 0, 0), &trex(2, 10, 3, 0x0200_0000)]);
        let init = mp4_box(b"moov", &[&trak(1, 10), &trak(2, 100), &mvex]);
        let sizes = [5_u32, 2, 0, 4];
        let fragment = |first_offset: u32, first_time: u32, second_time: u32| {
            let tfhd = mp4_box(b"tfhd", &[&words(&[0x2_0028, 1, 2, IS_NON_SYNC])]);
            let run: Vec<u32> = sizes.iter().enumerate().flat_map(|(index, size)| [*size, (index as u32).wrapping_sub(1)]).collect();
            let trun = mp4_box(b"trun", &[&words(&[0x0100_0A05, 4, first_offset, 0x0200_0000]), &words(&run)]);
            let first = mp4_box(b"traf", &[&tfhd, &mp4_box(b"tfdt", &[&words(&[0, first_time])]), &trun]);
            // Its data follow those of the first; samples of two runs.
            let tfdt = mp4_box(b"tfdt", &[&words(&[1 << 24, 0, second_time])]);
            let runs = [mp4_box(b"trun", &[&words(&[0, 5])]), mp4_box(b"trun", &[&words(&[0, 3])])].concat();
            let second = mp4_box(b"traf", &[&mp4_box(b"tfhd", &[&words(&[0, 2])]), &tfdt, &runs]);
            mp4_box(b"moof", &[&mp4_box(b"mfhd", &[&words(&[0, 7])]), &first, &second])
        };
        let size = fragment(0, 0, 0).len() as u32;
        let data = mp4_box(b"mdat", &[&(0..35).collect::<Vec<u8>>()]);
        let styp = mp4_box(b"styp", &[b"msdh"]);
        let (first, second) = (fragment(size + 8, 0, 0), fragment(size + 8, 8, 80));
        (InitTracks::read(&init), [styp, first, data.clone(), second, data].concat())
    }

    #[test]
    fn muxed_tracks_are_cut_at_the_same_time() {
        let (init, segment) = muxed();
        let parted = check_same_samples(&segment, &init, 400_000);
        assert_eq!(parted.parts.iter().map(|part| part.end_us).collect::<Vec<_>>(), [400_000, 800_000, 1_200_000, 1_600_000]);
        let part = read(&parted.bytes[parted.parts[1].bytes.clone()], &init).unwrap();
        assert_eq!(part.tracks.iter().map(|track| (track.start, track.samples.len())).collect::<Vec<_>>(), [(4, 2), (40, 4)]);
        assert_eq!(parted.parts.iter().map(|part| part.is_independent).collect::<Vec<_>>(), [true, false, true, false]);
        assert_eq!(&parted.bytes[..12], mp4_box(b"styp", &[b"msdh"]), "kept in the first part");
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        let (init, segment) = muxed();
        let replaced = |from: &[u8], to: &[u8]| {
            let at = segment.windows(from.len()).position(|window| window == from).unwrap();
            [&segment[..at], to, &segment[at + from.len()..]].concat()
        };
        assert!(split(&replaced(b"tfdt", b"senc"), &init, 400_000).is_none(), "encryption data are per sample");
        assert!(split(&replaced(b"tfdt", b"free"), &init, 400_000).is_none(), "no time");
        assert!(split(&replaced(&[0, 0, 0, 80], &[0, 0, 0, 81]), &init, 400_000).is_none(), "a leap");
        assert!(split(&segment, &InitTracks::default(), 400_000).is_none(), "unknown tracks");
        assert!(split(b"", &init, 400_000).is_none());
        assert!(split(&[0; 64], &init, 400_000).is_none());
    }

    #[test]
    fn damaged_segments_are_divided_or_refused() {
        let init = InitTracks::read(&sample_file("init_2.m4s"));
        let (muxed_init, muxed) = muxed();
        let mut random = fastrand::Rng::with_seed(7);
        for (init, whole) in [(init, sample_file("seg_2_05.m4s")), (muxed_init, muxed)] {
            let head = whole.len().min(1200);
            for length in 0..head {
                let is_whole_boxes = all_boxes(&whole, 0..length).is_some();
                assert!(split(&whole[..length], &init, 100_000).is_none() || is_whole_boxes, "cut off at {length}");
            }
            for _ in 0..20_000 {
                let mut damaged = whole.clone();
                for _ in 0..random.usize(1..4) {
                    damaged[random.usize(0..head)] = if random.bool() { random.u8(..) } else { [0, 1, 0x7f, 0xff][random.usize(0..4)] };
                }
                if let Some(parted) = split(&damaged, &init, random.u64(0..3_000_000)) {
                    assert_eq!(decoded(&parted.bytes, &init), decoded(&damaged, &init));
                    assert_eq!(parted.parts.last().unwrap().bytes.end, parted.bytes.len());
                }
            }
        }
    }
}
