//! Reads the samples of a fragmented MP4 segment (ISO/IEC 14496-12, sections 8.8.3 to 8.8.12).

use std::{collections::BTreeMap, ops::Range};

use super::{
    fmp4_time::{Timescales, timescales},
    mp4_box::{Mp4Box, all_boxes, boxes_of, read_u32, read_u64},
};

/// Samples of one segment.
const MAX_SAMPLES: usize = 100_000;
/// Tracks of one segment.
const MAX_TRACKS: usize = 16;

/// Bit of a sample's flags: it is no sync sample.
pub(super) const IS_NON_SYNC: u32 = 0x1_0000;

/// What an init segment says of its tracks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InitTracks {
    pub(super) timescales: Timescales,
    pub(super) defaults: BTreeMap<u32, SampleDefaults>,
}

/// Values of samples for which a fragment gives none (`trex`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SampleDefaults {
    description: u32,
    duration: u32,
    size: u32,
    flags: u32,
}

/// The samples of one track.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Track {
    pub(super) id: u32,
    /// Ticks per second.
    pub(super) timescale: u32,
    /// Index of the sample entry, where the fragment itself says.
    pub(super) description: Option<u32>,
    /// Decode time of the first sample.
    pub(super) start: u64,
    pub(super) samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Where its data are in the segment.
    pub(super) data: Range<usize>,
    pub(super) duration: u32,
    pub(super) flags: u32,
    pub(super) composition_offset: i64,
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fragments {
    pub(super) sequence_number: u32,
    /// In the order in which they come first.
    pub(crate) tracks: Vec<Track>,
    /// Boxes beside the fragments that a player may want: `styp`, `emsg`.
    pub(super) others: Vec<Range<usize>>,
}

impl InitTracks {
    /// Reads an init segment; empty when it is none.
    pub(crate) fn read(init: &[u8]) -> Self {
        let mut defaults = BTreeMap::new();
        for moov in boxes_of(init, 0..init.len(), b"moov") {
            for mvex in boxes_of(init, moov, b"mvex") {
                for trex in boxes_of(init, mvex, b"trex") {
                    let field = |index: usize| read_u32(&init[trex.clone()], 4 + 4 * index);
                    let (Some(track), Some(description), Some(duration), Some(size), Some(flags)) =
                        (field(0), field(1), field(2), field(3), field(4))
                    else {
                        continue;
                    };
                    defaults.insert(track, SampleDefaults { description, duration, size, flags });
                }
            }
        }
        Self { timescales: timescales(init), defaults }
    }
}

impl Track {
    /// Seconds that its samples last.
    pub(crate) fn seconds(&self) -> f64 {
        self.end().map_or(0.0, |end| (end - self.start) as f64 / f64::from(self.timescale))
    }

    /// Decode time at which the last sample ends.
    fn end(&self) -> Option<u64> {
        self.start.checked_add(self.samples.iter().map(|sample| u64::from(sample.duration)).sum())
    }
}

/// Reads a segment. `None` when it is no fragmented MP4, is damaged, or holds what cannot be divided between samples (auxiliary
/// information such as that of encryption, sample groups) or does not follow on (a time that leaps within the segment).
pub(crate) fn read(segment: &[u8], init: &InitTracks) -> Option<Fragments> {
    let mut reader =
        Reader { segment, init, fragments: Fragments { sequence_number: 0, tracks: Vec::new(), others: Vec::new() }, samples: 0, bytes: 0 };
    let mut begun = false;
    for found in all_boxes(segment, 0..segment.len())? {
        match &found.kind {
            b"moof" => {
                reader.moof(&found, !begun)?;
                begun = true;
            }
            // Indexes describe the segment as it was; producer times are of fragments that are no more.
            b"mdat" | b"sidx" | b"ssix" | b"prft" | b"free" | b"skip" | b"mfra" => {}
            b"styp" if begun => {}
            _ if read_u32(segment, found.whole.start) == Some(0) => return None, // it would reach to the end of anything
            _ => reader.fragments.others.push(found.whole),
        }
    }
    let mut fragments = reader.fragments;
    fragments.tracks.retain(|track| !track.samples.is_empty());
    let is_sound = !fragments.tracks.is_empty() && fragments.tracks.iter().all(|track| track.end().is_some());
    is_sound.then_some(fragments)
}

struct Reader<'a> {
    segment: &'a [u8],
    init: &'a InitTracks,
    fragments: Fragments,
    samples: usize,
    /// Of all samples: more than there are in the segment would be a trick.
    bytes: usize,
}

/// What a `tfhd` says.
struct Header {
    track: u32,
    description: Option<u32>,
    defaults: SampleDefaults,
    is_relative_to_moof: bool,
}

impl Reader<'_> {
    fn moof(&mut self, moof: &Mp4Box, is_first: bool) -> Option<()> {
        let mut data_end = moof.whole.start;
        for found in all_boxes(self.segment, moof.payload.clone())? {
            match &found.kind {
                b"mfhd" if is_first => self.fragments.sequence_number = read_u32(&self.segment[found.payload], 4)?,
                b"mfhd" | b"free" | b"skip" => {}
                b"traf" => data_end = self.traf(found.payload, moof.whole.start, data_end)?,
                _ => return None,
            }
        }
        Some(())
    }

    /// Gives where the data of the track end.
    fn traf(&mut self, traf: Range<usize>, moof_start: usize, previous_data_end: usize) -> Option<usize> {
        let segment = self.segment;
        let (mut header, mut time, mut runs) = (None, None, Vec::new());
        for found in all_boxes(segment, traf)? {
            let payload = &segment[found.payload];
            match &found.kind {
                b"tfhd" => header = Some(self.tfhd(payload)?),
                b"tfdt" if payload.first() == Some(&0) => time = Some(u64::from(read_u32(payload, 4)?)),
                b"tfdt" => time = Some(read_u64(payload, 4)?),
                b"trun" => runs.push(payload),
                b"free" | b"skip" => {}
                _ => return None,
            }
        }
        let (header, time) = (header?, time?);
        let index = self.track(&header, time)?;
        let base = if header.is_relative_to_moof { moof_start } else { previous_data_end };
        let mut at = base;
        for run in runs {
            at = self.trun(run, &header, index, base, at)?;
        }
        Some(at)
    }

    fn tfhd(&self, tfhd: &[u8]) -> Option<Header> {
        let flags = read_u32(tfhd, 0)? & 0xff_ffff;
        let track = read_u32(tfhd, 4)?;
        let trex = self.init.defaults.get(&track).copied();
        let mut at = 8;
        let mut optional = |bit: u32| {
            let here = at;
            (flags & bit != 0).then(|| {
                at += 4;
                read_u32(tfhd, here)
            })
        };
        if flags & 0x1 != 0 {
            return None; // an offset in the file that the segment was cut from
        }
        let description = optional(0x2).map_or(Some(None), |value| value.map(Some))?;
        let mut or_default = |bit, default: Option<u32>| optional(bit).unwrap_or(default);
        let defaults = SampleDefaults {
            description: description.or(trex.map(|trex| trex.description)).unwrap_or(1),
            duration: or_default(0x8, Some(trex.map_or(0, |trex| trex.duration)))?,
            size: or_default(0x10, Some(trex.map_or(0, |trex| trex.size)))?,
            flags: or_default(0x20, Some(trex.map_or(0, |trex| trex.flags)))?,
        };
        Some(Header { track, description, defaults, is_relative_to_moof: flags & 0x2_0000 != 0 })
    }

    /// The track's place; it must go on where it was left.
    fn track(&mut self, header: &Header, time: u64) -> Option<usize> {
        let tracks = &mut self.fragments.tracks;
        if let Some(index) = tracks.iter().position(|track| track.id == header.track) {
            return (tracks[index].description == header.description && tracks[index].end() == Some(time)).then_some(index);
        }
        let timescale = *self.init.timescales.get(&header.track).filter(|timescale| **timescale > 0)?;
        if tracks.len() >= MAX_TRACKS {
            return None;
        }
        tracks.push(Track { id: header.track, timescale, description: header.description, start: time, samples: Vec::new() });
        Some(tracks.len() - 1)
    }

    /// Gives where the data of the run end.
    fn trun(&mut self, trun: &[u8], header: &Header, track: usize, base: usize, previous_end: usize) -> Option<usize> {
        let flags = read_u32(trun, 0)?;
        let is_signed = flags >> 24 != 0;
        let mut at = 4;
        let mut next = || {
            let value = read_u32(trun, at);
            at += 4;
            value
        };
        let count = usize::try_from(next()?).ok()?;
        self.samples = self.samples.checked_add(count).filter(|samples| *samples <= MAX_SAMPLES)?;
        let mut data = previous_end;
        if flags & 0x1 != 0 {
            data = base.checked_add_signed(isize::try_from(next()?.cast_signed()).ok()?)?;
        }
        let first_flags = if flags & 0x4 != 0 { Some(next()?) } else { None };
        for index in 0..count {
            let mut field = |bit: u32, default: u32| if flags & bit != 0 { next() } else { Some(default) };
            let duration = field(0x100, header.defaults.duration)?;
            let size = usize::try_from(field(0x200, header.defaults.size)?).ok()?;
            let default_flags = first_flags.filter(|_| index == 0).unwrap_or(header.defaults.flags);
            let sample_flags = field(0x400, default_flags)?;
            let offset = field(0x800, 0)?;
            let composition_offset = if is_signed { i64::from(offset.cast_signed()) } else { i64::from(offset) };
            let end = data.checked_add(size).filter(|end| *end <= self.segment.len())?;
            self.bytes = self.bytes.checked_add(size).filter(|bytes| *bytes <= self.segment.len())?;
            let sample = Sample { data: data..end, duration, flags: sample_flags, composition_offset };
            self.fragments.tracks.get_mut(track)?.samples.push(sample);
            data = end;
        }
        Some(data)
    }
}
