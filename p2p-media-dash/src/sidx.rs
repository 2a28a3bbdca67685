//! Segment indexes (`sidx`, ISO/IEC 14496-12, section 8.16.3): which bytes of a resource are its segments. No IO: says what to fetch next.

use std::sync::Arc;

use p2p_media_core::media::{ByteRange, Resource};

use crate::{MAX_SEGMENTS, SegmentIndex};

/// Fetched at once when nothing says how long the index is. An index of 2,000 segments is 24 KB.
const FETCH_BYTES: u64 = 64 * 1024;

/// The longest range that is asked for; a box of 65,535 references, the greatest number, is 786 KB.
const MAX_FETCH_BYTES: u64 = 1024 * 1024;

/// Fetches for one representation: the parts of a hierarchical or chained index, and the head of a file.
const MAX_FETCHES: usize = 256;

/// Boxes that are passed over before the first index.
const MAX_BOXES_BEFORE: usize = 64;

/// A segment that an index lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexedSegment {
    /// Where in the media resource it is.
    pub byte_range: ByteRange,
    /// When it begins, in seconds from the beginning of the period: the presentation time offset is taken off.
    pub start: f64,
    /// How long it plays, in seconds.
    pub duration: f64,
}

/// Why the segments of an indexed representation are not known. All are the fault of the origin or of what made the MPD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// WebM or Matroska: their Cues are another kind of index.
    #[error("not a sidx: the resource is WebM, whose Cues are not read")]
    WebM,
    /// Not a sequence of ISO BMFF boxes.
    #[error("not a sidx: the bytes are no ISO BMFF boxes")]
    NotBoxes,
    /// Media comes first, or nothing does.
    #[error("no sidx before the media")]
    Missing,
    /// The box contradicts itself, or is of an unknown version.
    #[error("the sidx is malformed")]
    Malformed,
    /// The resource ends within the index, or fewer bytes came than were asked for.
    #[error("the sidx is cut off")]
    CutOff,
    /// An index in a file of its own that refers to further ones.
    #[error("the sidx is in a resource of its own and refers to further ones")]
    Detached,
    /// More fetches than a reasonable index takes.
    #[error("the sidx is scattered over too many places")]
    TooScattered,
}

/// Reads the index of a representation, step by step: fetch what [`IndexReader::needed`] says, give it to [`IndexReader::add`], until nothing is
/// needed. Hierarchical and chained indexes are followed. [`IndexReader::segments`] has what is known so far, never more than [`MAX_SEGMENTS`].
#[derive(Clone, Debug)]
pub struct IndexReader {
    url: Arc<str>,
    is_detached: bool,
    /// Seconds.
    presentation_time_offset: f64,
    /// Places to read, the next one last.
    places: Vec<Place>,
    segments: Vec<IndexedSegment>,
    references_read: usize,
    boxes_passed: usize,
    fetches: usize,
}

/// Where an index is, or where boxes begin that contain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: u64,
    /// Bytes from there on that are wanted.
    len: u64,
    /// Where the resource or the range that holds the index is known to end.
    end: Option<u64>,
}

impl IndexReader {
    /// Nothing is known yet.
    pub fn new(index: &SegmentIndex) -> Self {
        let place = match index.range() {
            Some(range) => Place { at: range.first, len: range.len().min(MAX_FETCH_BYTES), end: range.last.checked_add(1) },
            None => Place { at: 0, len: FETCH_BYTES, end: None },
        };
        Self {
            url: Arc::clone(&index.index.url),
            is_detached: index.index.url != index.media,
            presentation_time_offset: index.presentation_time_offset as f64 / index.timescale.max(1) as f64,
            places: vec![place],
            segments: Vec::new(),
            references_read: 0,
            boxes_passed: 0,
            fetches: 0,
        }
    }

    /// What to fetch next; nothing when the index is complete, or of no use.
    pub fn needed(&self) -> Option<Resource> {
        let Place { at, len, .. } = *self.places.last()?;
        let last = at.checked_add(len.max(1) - 1)?;
        Some(Resource { url: Arc::clone(&self.url), byte_range: Some(ByteRange { first: at, last }) })
    }

    /// What is known so far, in the order of time.
    pub fn segments(&self) -> &[IndexedSegment] {
        &self.segments
    }

    /// Takes in bytes that begin at offset `first_byte` of the resource: what was asked for, or the whole.
    ///
    /// # Errors
    /// When they are no index. Nothing more is needed then; segments that are known remain.
    pub fn add(&mut self, first_byte: u64, bytes: &[u8]) -> Result<(), IndexError> {
        let outcome = self.read(first_byte, bytes);
        if outcome.is_err() {
            self.places.clear();
        }
        if !self.segments.is_sorted_by(|a, b| a.start <= b.start) {
            self.segments.sort_by(|a, b| a.start.total_cmp(&b.start));
        }
        outcome
    }

    fn read(&mut self, first_byte: u64, bytes: &[u8]) -> Result<(), IndexError> {
        let asked = self.places.last().copied();
        self.fetches += 1;
        while let Some(place) = self.places.last().copied() {
            let here = place.at.checked_sub(first_byte).and_then(|skip| bytes.get(usize::try_from(skip).ok()?..)).unwrap_or_default();
            match self.read_box(place, here)? {
                Step::Done => {}
                Step::More(len) if self.fetches >= MAX_FETCHES => {
                    return Err(if len > 0 { IndexError::TooScattered } else { IndexError::CutOff });
                }
                Step::More(len) => {
                    let wanted = Place { len: if here.is_empty() { place.len } else { len }, ..place };
                    // The same once more would bring the same.
                    if asked == Some(wanted) || wanted.end.is_some_and(|end| place.at >= end) {
                        return Err(if self.boxes_passed > 0 && here.is_empty() { IndexError::Missing } else { IndexError::CutOff });
                    }
                    self.places.pop();
                    self.places.push(wanted);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads the box at a place, which is the last of `places`, and puts what follows from it there.
    fn read_box(&mut self, place: Place, here: &[u8]) -> Result<Step, IndexError> {
        let Some(header) = BoxHeader::read(here)? else { return Ok(Step::More(FETCH_BYTES)) };
        let end = match header.size {
            Some(size) => place.at.checked_add(size).ok_or(IndexError::Malformed)?,
            None => place.end.filter(|_| header.kind == *b"sidx").ok_or(IndexError::Missing)?,
        };
        if header.kind == *b"sidx" {
            let len = end - place.at;
            if len > MAX_FETCH_BYTES {
                return Err(IndexError::Malformed);
            }
            let Some(body) = usize::try_from(len).ok().and_then(|len| here.get(header.len..len)) else { return Ok(Step::More(len)) };
            self.places.pop();
            self.read_sidx(body, end)?;
            return Ok(Step::Done);
        }
        self.boxes_passed += 1;
        if matches!(&header.kind, b"moof" | b"mdat") || self.boxes_passed > MAX_BOXES_BEFORE || place.end.is_some_and(|last| end >= last) {
            return Err(IndexError::Missing);
        }
        self.places.pop();
        self.places.push(Place { at: end, len: FETCH_BYTES, end: place.end });
        Ok(Step::Done)
    }

    fn read_sidx(&mut self, body: &[u8], end_of_box: u64) -> Result<(), IndexError> {
        let mut fields = Fields(body);
        let version = fields.u32()? >> 24;
        let _reference_id = fields.u32()?;
        let timescale = fields.u32()?;
        let (mut time, first_offset) = match version {
            0 => (u64::from(fields.u32()?), u64::from(fields.u32()?)),
            1 => (fields.u64()?, fields.u64()?),
            _ => return Err(IndexError::Malformed),
        };
        let count = usize::from(fields.u32()? as u16);
        if timescale == 0 {
            return Err(IndexError::Malformed);
        }
        // Offsets count from behind the index, or in the media when the index is not in it.
        let anchor = if self.is_detached { 0 } else { end_of_box };
        let mut at = anchor.checked_add(first_offset).ok_or(IndexError::Malformed)?;
        let mut nested = Vec::new();
        for _ in 0..count {
            let (reference, ticks, _) = (fields.u32()?, fields.u32()?, fields.u32()?);
            if self.references_read == MAX_SEGMENTS {
                break;
            }
            self.references_read += 1;
            let size = u64::from(reference & 0x7fff_ffff);
            let next = at.checked_add(size).ok_or(IndexError::Malformed)?;
            let is_index = reference >> 31 == 1;
            if is_index && self.is_detached {
                return Err(IndexError::Detached);
            }
            if is_index && size > 0 {
                nested.push(Place { at, len: size.min(FETCH_BYTES), end: Some(next) });
            } else if size > 0 && ticks > 0 {
                let seconds = |ticks: u64| ticks as f64 / f64::from(timescale);
                self.segments.push(IndexedSegment {
                    byte_range: ByteRange { first: at, last: next - 1 },
                    start: seconds(time) - self.presentation_time_offset,
                    duration: seconds(u64::from(ticks)),
                });
            }
            time = time.checked_add(u64::from(ticks)).ok_or(IndexError::Malformed)?;
            at = next;
        }
        self.places.extend(nested.into_iter().rev());
        Ok(())
    }
}

enum Step {
    /// The box was read.
    Done,
    /// So many bytes from the place on are needed.
    More(u64),
}

/// ISO/IEC 14496-12, section 4.2.
struct BoxHeader {
    kind: [u8; 4],
    /// Bytes of the header.
    len: usize,
    /// Bytes of the box with its header; absent when it goes on to the end of the file.
    size: Option<u64>,
}

impl BoxHeader {
    /// `None` when more bytes are needed.
    fn read(bytes: &[u8]) -> Result<Option<Self>, IndexError> {
        /// EBML header, Segment, and Cues.
        const WEBM: [[u8; 4]; 3] = [[0x1a, 0x45, 0xdf, 0xa3], [0x18, 0x53, 0x80, 0x67], [0x1c, 0x53, 0xbb, 0x6b]];
        let mut fields = Fields(bytes);
        let (Ok(size), Ok(kind)) = (fields.u32(), fields.u32()) else { return Ok(None) };
        if WEBM.contains(&size.to_be_bytes()) {
            return Err(IndexError::WebM);
        }
        let kind = kind.to_be_bytes();
        if !kind.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte == 0xa9) {
            return Err(IndexError::NotBoxes);
        }
        let (len, size) = match size {
            0 => (8, None),
            1 => match fields.u64() {
                Ok(size) => (16, Some(size)),
                Err(_) => return Ok(None),
            },
            size => (8, Some(u64::from(size))),
        };
        if size.is_some_and(|size| size < len as u64) { Err(IndexError::NotBoxes) } else { Ok(Some(Self { kind, len, size })) }
    }
}

/// Big-endian numbers, one after the other.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn u32(&mut self) -> Result<u32, IndexError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(IndexError::Malformed)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, IndexError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(IndexError::Malformed)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MEDIA: &str = "https://a.example/v.mp4";

    fn reader(range: Option<(u64, u64)>) -> IndexReader {
        let byte_range = range.map(|(first, last)| ByteRange { first, last });
        let index = Resource { url: MEDIA.into(), byte_range };
        IndexReader::new(&SegmentIndex { media: MEDIA.into(), index, timescale: 10, presentation_time_offset: 5 })
    }

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
    }

    const INDEX: u32 = 1 << 31;

    /// References are sizes (with [`INDEX`]) and durations; the timescale is 10.
    fn sidx(version: u8, time: u64, first_offset: u64, references: &[(u32, u32)]) -> Vec<u8> {
        let number = |value: u64| if version == 0 { (value as u32).to_be_bytes().to_vec() } else { value.to_be_bytes().to_vec() };
        let mut body = vec![version, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 10];
        body.extend([number(time), number(first_offset), (references.len() as u32).to_be_bytes().to_vec()].concat());
        for (reference, duration) in references {
            body.extend([reference.to_be_bytes(), duration.to_be_bytes(), [0; 4]].concat());
        }
        boxed(b"sidx", &body)
    }

    fn listed(reader: &IndexReader) -> Vec<(u64, u64, f64, f64)> {
        let line = |s: &IndexedSegment| (s.byte_range.first, s.byte_range.last, s.start, s.duration);
        reader.segments().iter().map(line).collect()
    }

    /// Serves what is needed out of a file; the number of fetches.
    fn serve(reader: &mut IndexReader, file: &[u8]) -> Result<usize, IndexError> {
        let mut fetches = 0;
        while let Some(range) = reader.needed().and_then(|resource| resource.byte_range) {
            let first = (range.first as usize).min(file.len());
            let last = (range.last as usize).saturating_add(1).min(file.len());
            reader.add(range.first, &file[first..last])?;
            fetches += 1;
        }
        Ok(fetches)
    }

    #[test]
    fn an_index_in_its_range() {
        for version in [0, 1] {
            let index = sidx(version, 5, 7, &[(100, 20), (50, 30)]);
            let mut reader = reader(Some((1000, 999 + index.len() as u64)));
            assert_eq!(reader.needed().unwrap().byte_range.unwrap().last, 999 + index.len() as u64);
            reader.add(1000, &index).unwrap();
            let at = 1000 + index.len() as u64 + 7;
            assert_eq!(listed(&reader), [(at, at + 99, 0.0, 2.0), (at + 100, at + 149, 2.0, 3.0)]);
            assert_eq!(reader.needed(), None);
        }
    }

    #[test]
    fn an_index_somewhere_in_the_head() {
        let index = sidx(0, 0, 0, &[(10, 10)]);
        let file = [boxed(b"ftyp", &[0; 8]), boxed(b"moov", &vec![0; 100_000]), index, boxed(b"moof", &[])].concat();
        let mut reader = reader(None);
        assert_eq!(serve(&mut reader, &file), Ok(2), "a long moov is not loaded");
        assert_eq!(listed(&reader).len(), 1);
        let mut whole = self::reader(None);
        whole.add(0, &file).unwrap();
        assert_eq!(listed(&whole), listed(&reader), "a server may answer with the whole file");
    }

    #[test]
    fn a_range_that_is_too_short_is_made_longer() {
        let index = sidx(0, 0, 0, &[(10, 10); 3]);
        let mut reader = reader(Some((0, 39)));
        assert_eq!(serve(&mut reader, &index), Ok(2));
        assert_eq!(listed(&reader).len(), 3);
    }

    #[test]
    fn hierarchical_and_chained_indexes_are_followed() {
        let leaf = |time| sidx(1, time, 0, &[(10, 10), (10, 10)]);
        let leaf_len = leaf(0).len() as u32;
        let root = sidx(0, 0, 0, &[(INDEX | (leaf_len + 20), 20), (INDEX | (leaf_len + 20), 20), (8, 10)]);
        let media = vec![0; 20];
        let file = [root.clone(), leaf(0), media.clone(), leaf(20), media, vec![0; 8]].concat();
        let mut reader = reader(None);
        serve(&mut reader, &file).unwrap();
        let starts: Vec<_> = reader.segments().iter().map(|segment| segment.start).collect();
        assert_eq!(starts, [-0.5, 0.5, 1.5, 2.5, 3.5]);
        let first = (root.len() + leaf_len as usize) as u64;
        assert_eq!(reader.segments()[0].byte_range, ByteRange { first, last: first + 9 });

        let mut apart = self::reader(Some((0, root.len() as u64 - 1)));
        assert_eq!(serve(&mut apart, &file), Ok(3), "each of them by itself when the range holds only the root");
        assert_eq!(listed(&apart), listed(&reader));
    }

    #[test]
    fn big_box_sizes_and_open_ends() {
        let small = sidx(0, 0, 0, &[(10, 10)]);
        let big = [&1_u32.to_be_bytes(), b"sidx".as_slice(), &(small.len() as u64 + 8).to_be_bytes(), &small[8..]].concat();
        let mut reader = reader(None);
        reader.add(0, &big).unwrap();
        assert_eq!(reader.segments()[0].byte_range.first, big.len() as u64);
        let open = [&[0; 4], &small[4..]].concat();
        let mut reader = self::reader(Some((0, open.len() as u64 - 1)));
        reader.add(0, &open).unwrap();
        assert_eq!(reader.segments()[0].byte_range.first, open.len() as u64);
        assert_eq!(self::reader(None).add(0, &open), Err(IndexError::Missing));
    }

    #[test]
    fn an_index_of_its_own_counts_from_the_media() {
        let index = Resource { url: "https://a.example/v.sidx".into(), byte_range: None };
        let index = SegmentIndex { media: MEDIA.into(), index, timescale: 1, presentation_time_offset: 0 };
        let mut reader = IndexReader::new(&index);
        assert_eq!(reader.needed().unwrap().url.as_ref(), "https://a.example/v.sidx");
        reader.add(0, &sidx(0, 0, 700, &[(10, 10)])).unwrap();
        assert_eq!(listed(&reader), [(700, 709, 0.0, 1.0)]);
        assert_eq!(IndexReader::new(&index).add(0, &sidx(0, 0, 0, &[(INDEX | 10, 10)])), Err(IndexError::Detached));
    }

    #[test]
    fn what_is_no_index_is_an_error() {
        let fails = |bytes: &[u8]| {
            let mut reader = reader(None);
            let outcome = serve(&mut reader, bytes);
            assert!(outcome.is_ok() || reader.needed().is_none());
            outcome.err()
        };
        assert_eq!(fails(&[0x1c, 0x53, 0xbb, 0x6b, 0xcd, 0xbb, 0x8b, 0xb3]), Some(IndexError::WebM));
        assert_eq!(fails(b"<html><body>not found"), Some(IndexError::Missing));
        assert_eq!(fails(&[0, 0, 0, 9, 1, 2, 3, 4]), Some(IndexError::NotBoxes));
        assert_eq!(fails(&[0, 0, 0, 3, b's', b'i', b'd', b'x']), Some(IndexError::NotBoxes));
        assert_eq!(fails(b""), Some(IndexError::CutOff));
        assert_eq!(fails(&boxed(b"mdat", b"")), Some(IndexError::Missing));
        assert_eq!(fails(&boxed(b"ftyp", b"")), Some(IndexError::Missing));
        assert_eq!(fails(&boxed(b"free", b"").repeat(100)), Some(IndexError::Missing));
        assert_eq!(fails(&sidx(2, 0, 0, &[])), Some(IndexError::Malformed));
        let whole = sidx(0, 0, 0, &[(1, 1); 4]);
        assert_eq!(fails(&whole[..40]), Some(IndexError::CutOff));
        assert_eq!(fails(&boxed(b"sidx", &whole[8..40])), Some(IndexError::Malformed));
        assert_eq!(fails(&sidx(1, u64::MAX, 0, &[(1, 1)])), Some(IndexError::Malformed));
        assert_eq!(fails(&sidx(1, 0, u64::MAX, &[(1, 1)])), Some(IndexError::Malformed));
    }

    #[test]
    fn a_maze_of_indexes_ends() {
        // Each refers to all that follow, so there are 2^n ways through them.
        let size = sidx(0, 0, 0, &[(INDEX | 1, 1); 40]).len() as u32;
        let links: Vec<_> = (0..40).map(|_| (INDEX | size, 1)).collect();
        let file = sidx(0, 0, 0, &links).repeat(60);
        let mut reader = reader(None);
        assert!(serve(&mut reader, &file).is_err());
        assert!(reader.references_read <= MAX_SEGMENTS);
    }

    proptest! {
        #[test]
        fn any_bytes_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), first: u64, head in 0..4_u8) {
            if head > 0 {
                bytes.splice(0..0, [0, 0, 0, 200, b's', b'i', b'd', b'x', head - 1]);
            }
            let mut reader = reader(None);
            let _ = reader.add(first, &bytes);
            let mut reader = self::reader(Some((first, first.saturating_add(u64::from(head)))));
            let _ = (reader.add(first, &bytes), reader.needed());
            let mut served = self::reader(None);
            let _ = serve(&mut served, &bytes);
            prop_assert!(served.segments().iter().all(|segment| segment.duration > 0.0 && segment.byte_range.first <= segment.byte_range.last));
        }
    }
}
