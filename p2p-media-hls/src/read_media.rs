//! Reads a media playlist: numbering, inheritance of keys and init segments, chained byte ranges, start times, dates, parts.

use std::sync::Arc;

use p2p_media_core::date_time::parse_date_time;
use p2p_media_core::media::{ByteRange, Resource};

use crate::attributes::Attributes;
use crate::error::PlaylistError;
use crate::lines::LineKind;
use crate::playlist::{Key, MediaPlaylist, MediaSegment, Part, PreloadHint, PreloadHintKind, RenditionReport, TrailingContext};
use crate::reader::Reader;
use crate::{MAX_KEY_FORMATS, MAX_MEDIA_SEQUENCE, MAX_SEGMENT_DURATION_SECONDS, MAX_SEGMENTS, numbers};

/// Reads the lines after the header as a media playlist.
pub(crate) fn read_media(reader: &mut Reader<'_, '_>) -> Result<MediaPlaylist, PlaylistError> {
    let mut media = MediaReader { playlist: MediaPlaylist { live: true, ..MediaPlaylist::default() }, ..MediaReader::default() };
    while let Some(line) = reader.next()? {
        match line {
            LineKind::Uri(uri) => media.segment(reader, uri)?,
            LineKind::Tag { name, value } => media.tag(reader, name, value)?,
            LineKind::Comment => {}
        }
    }
    Ok(media.finish())
}

/// What the tags so far mean for the next segment or part.
#[derive(Default)]
struct MediaReader {
    playlist: MediaPlaylist,
    /// EXTINF of the next segment.
    duration: f64,
    byte_range: Option<ByteRange>,
    /// Where a byte range without an offset begins.
    next_byte: u64,
    gap: bool,
    init: Option<Arc<Resource>>,
    keys: Arc<[Key]>,
    discontinuity_sequence: u64,
    /// Where the next segment begins, in seconds.
    start: f64,
    /// A date that is waiting for its segment.
    tagged_date: Option<f64>,
    /// The last date: seconds since 1970 at start 0.
    date_at_zero: Option<f64>,
    /// Segments before the first date.
    undated: usize,
    /// Parts of the next segment so far.
    part_index: u32,
}

impl MediaReader {
    fn tag(&mut self, reader: &mut Reader<'_, '_>, name: &str, value: &str) -> Result<(), PlaylistError> {
        match name {
            "INF" => self.duration = duration(reader, "EXTINF", value)?,
            "-X-BYTERANGE" => self.byte_range = Some(chained_range(reader, "EXT-X-BYTERANGE", value, self.next_byte)?),
            "-X-DISCONTINUITY" => self.discontinuity_sequence = self.discontinuity_sequence.saturating_add(1),
            "-X-PROGRAM-DATE-TIME" => self.tagged_date = parse_date_time(value).or(self.tagged_date),
            "-X-GAP" => self.gap = true,
            "-X-KEY" => self.key(reader, value)?,
            "-X-MAP" => self.map(reader, value)?,
            "-X-PART" => self.part(reader, value)?,
            "-X-TARGETDURATION" => self.playlist.target_duration = numbers::decimal(value).or(self.playlist.target_duration),
            "-X-MEDIA-SEQUENCE" => self.playlist.media_sequence = sequence(reader, "EXT-X-MEDIA-SEQUENCE", value)?,
            "-X-DISCONTINUITY-SEQUENCE" => self.discontinuity_sequence = sequence(reader, "EXT-X-DISCONTINUITY-SEQUENCE", value)?,
            "-X-ENDLIST" => self.playlist.live = false,
            "-X-SKIP" => self.skip(reader, value)?,
            "-X-SERVER-CONTROL" => self.server_control(value),
            "-X-PART-INF" => {
                self.playlist.part_target = find(value, "PART-TARGET").and_then(numbers::decimal);
            }
            "-X-PRELOAD-HINT" => self.preload_hint(reader, value)?,
            "-X-RENDITION-REPORT" => self.rendition_report(reader, value)?,
            _ => {}
        }
        Ok(())
    }

    fn segment(&mut self, reader: &mut Reader<'_, '_>, uri: &str) -> Result<(), PlaylistError> {
        reader.check_room(self.playlist.segments.len(), MAX_SEGMENTS, "segments")?;
        let url = reader.line_url(uri)?;
        let byte_range = self.byte_range.take();
        if let Some(range) = byte_range {
            self.next_byte = range.last.saturating_add(1);
        }
        if let Some(date) = self.tagged_date.take() {
            self.date_at_zero = Some(date - self.start);
        }
        if self.date_at_zero.is_none() {
            self.undated += 1;
        }
        let duration = std::mem::take(&mut self.duration);
        self.playlist.segments.push(MediaSegment {
            // Numbered at the end: EXT-X-MEDIA-SEQUENCE may come late.
            sequence: 0,
            url,
            start: self.start,
            duration,
            byte_range,
            discontinuity_sequence: self.discontinuity_sequence,
            gap: std::mem::take(&mut self.gap),
            init: self.init.clone(),
            program_date_time: self.date_at_zero.map(|date| date + self.start),
            keys: self.keys.clone(),
        });
        self.start += duration;
        self.part_index = 0;
        Ok(())
    }

    fn finish(mut self) -> MediaPlaylist {
        let first = self.playlist.first_sequence();
        let total = self.start;
        // A date after the last segment belongs to the one under way; it still dates those before it.
        let first_date_at_zero = match self.playlist.segments.get(self.undated) {
            Some(first_dated) => first_dated.program_date_time.map(|date| date - first_dated.start),
            None => self.tagged_date.map(|date| date - total),
        };
        let date_at_zero = self.tagged_date.map(|date| date - total).or(self.date_at_zero);
        self.playlist.trailing = TrailingContext {
            init: self.init,
            keys: self.keys,
            discontinuity_sequence: self.discontinuity_sequence,
            program_date_time: date_at_zero.map(|date| date + total),
        };
        for (index, segment) in self.playlist.segments.iter_mut().enumerate() {
            segment.sequence = first + index as u64;
            if index < self.undated {
                segment.program_date_time = first_date_at_zero.map(|date| date + segment.start);
            }
        }
        for part in &mut self.playlist.parts {
            part.sequence += first;
        }
        self.playlist
    }

    fn key(&mut self, reader: &mut Reader<'_, '_>, value: &str) -> Result<(), PlaylistError> {
        let (mut method, mut url, mut iv, mut format) = (None, None, None, None);
        for attribute in Attributes::of(value) {
            match attribute.name {
                "METHOD" => method = Some(reader.kept(&attribute)?),
                "URI" => url = reader.attribute_url(&attribute)?,
                "IV" => iv = Some(reader.kept(&attribute)?),
                "KEYFORMAT" => format = Some(reader.kept(&attribute)?),
                _ => {}
            }
        }
        let Some(method) = method.filter(|method| !method.is_empty()) else { return Ok(()) };
        if &*method == "NONE" {
            self.keys = Arc::default();
            return Ok(());
        }
        let key = Key { method, url, iv, format: format.unwrap_or_else(|| Arc::from("identity")) };
        let mut keys = self.keys.to_vec();
        match keys.iter_mut().find(|other| other.format == key.format) {
            Some(other) => *other = key,
            None => {
                reader.check_room(keys.len(), MAX_KEY_FORMATS, "key formats")?;
                keys.push(key);
            }
        }
        self.keys = Arc::from(keys);
        Ok(())
    }

    fn map(&mut self, reader: &mut Reader<'_, '_>, value: &str) -> Result<(), PlaylistError> {
        let (mut url, mut byte_range) = (None, None);
        for attribute in Attributes::of(value) {
            match attribute.name {
                "URI" => url = reader.attribute_url(&attribute)?,
                "BYTERANGE" => {
                    let range = reader.text(&attribute)?;
                    byte_range = Some(chained_range(reader, "EXT-X-MAP", &range, 0)?);
                }
                _ => {}
            }
        }
        if let Some(url) = url {
            self.init = Some(Arc::new(Resource { url, byte_range }));
        }
        Ok(())
    }

    fn skip(&mut self, reader: &Reader<'_, '_>, value: &str) -> Result<(), PlaylistError> {
        let skipped = find(value, "SKIPPED-SEGMENTS").and_then(numbers::integer);
        let skipped = skipped.ok_or_else(|| reader.malformed("EXT-X-SKIP", "no number of SKIPPED-SEGMENTS"))?;
        if skipped > MAX_MEDIA_SEQUENCE {
            return Err(reader.malformed("EXT-X-SKIP", "SKIPPED-SEGMENTS is out of range"));
        }
        self.playlist.skipped = skipped;
        Ok(())
    }

    fn part(&mut self, reader: &mut Reader<'_, '_>, value: &str) -> Result<(), PlaylistError> {
        reader.check_room(self.playlist.parts.len(), MAX_SEGMENTS, "parts")?;
        let (mut url, mut range_text, mut seconds, mut independent, mut gap) = (None, None, 0.0, false, false);
        for attribute in Attributes::of(value) {
            match attribute.name {
                "URI" => url = reader.attribute_url(&attribute)?,
                "BYTERANGE" => range_text = Some(reader.text(&attribute)?),
                "DURATION" => seconds = duration(reader, "EXT-X-PART", attribute.value)?,
                "INDEPENDENT" => independent = attribute.value == "YES",
                "GAP" => gap = attribute.value == "YES",
                _ => {}
            }
        }
        let Some(url) = url else { return Ok(()) };
        let previous = self.playlist.parts.last().filter(|part| part.url == url).and_then(|part| part.byte_range);
        let next_byte = previous.map_or(0, |range| range.last.saturating_add(1));
        let byte_range = range_text.map(|text| chained_range(reader, "EXT-X-PART", &text, next_byte)).transpose()?;
        // Counted from the first segment listed until the end is reached, as segments are.
        let sequence = self.playlist.segments.len() as u64;
        self.playlist.parts.push(Part { sequence, index: self.part_index, url, duration: seconds, byte_range, independent, gap });
        self.part_index += 1;
        Ok(())
    }

    fn preload_hint(&mut self, reader: &mut Reader<'_, '_>, value: &str) -> Result<(), PlaylistError> {
        reader.check_room(self.playlist.preload_hints.len(), MAX_SEGMENTS, "preload hints")?;
        let (mut kind, mut url, mut first, mut length) = (None, None, None, None);
        for attribute in Attributes::of(value) {
            match attribute.name {
                "TYPE" if attribute.value == "PART" => kind = Some(PreloadHintKind::Part),
                "TYPE" if attribute.value == "MAP" => kind = Some(PreloadHintKind::Map),
                "URI" => url = reader.attribute_url(&attribute)?,
                "BYTERANGE-START" => first = numbers::integer(attribute.value),
                "BYTERANGE-LENGTH" => length = numbers::integer(attribute.value),
                _ => {}
            }
        }
        if let (Some(kind), Some(url)) = (kind, url) {
            let last = length.and_then(|length| first.unwrap_or(0).checked_add(length)).and_then(|end| end.checked_sub(1));
            let first = first.or(last.map(|_| 0));
            self.playlist.preload_hints.push(PreloadHint { kind, url, first, last });
        }
        Ok(())
    }

    fn rendition_report(&mut self, reader: &mut Reader<'_, '_>, value: &str) -> Result<(), PlaylistError> {
        reader.check_room(self.playlist.rendition_reports.len(), MAX_SEGMENTS, "rendition reports")?;
        let (mut url, mut last_sequence, mut last_part) = (None, None, None);
        for attribute in Attributes::of(value) {
            match attribute.name {
                "URI" => url = reader.attribute_url(&attribute)?,
                "LAST-MSN" => last_sequence = numbers::integer(attribute.value),
                "LAST-PART" => last_part = numbers::integer(attribute.value),
                _ => {}
            }
        }
        if let Some(url) = url {
            self.playlist.rendition_reports.push(RenditionReport { url, last_sequence, last_part });
        }
        Ok(())
    }

    fn server_control(&mut self, value: &str) {
        let control = &mut self.playlist.server_control;
        for attribute in Attributes::of(value) {
            match attribute.name {
                "CAN-BLOCK-RELOAD" => control.can_block_reload = Some(attribute.value == "YES"),
                "CAN-SKIP-UNTIL" => control.can_skip_until = numbers::decimal(attribute.value),
                "HOLD-BACK" => control.hold_back = numbers::decimal(attribute.value),
                "PART-HOLD-BACK" => control.part_hold_back = numbers::decimal(attribute.value),
                _ => {}
            }
        }
    }
}

/// The value of one attribute that never holds variables.
fn find<'t>(list: &'t str, name: &str) -> Option<&'t str> {
    Attributes::of(list).find(|attribute| attribute.name == name).map(|attribute| attribute.value)
}

/// A duration in seconds. One that cannot be read counts as 0, like a missing one: players still number the segment.
fn duration(reader: &Reader<'_, '_>, tag: &'static str, value: &str) -> Result<f64, PlaylistError> {
    let seconds = numbers::decimal(value).unwrap_or(0.0);
    if seconds <= MAX_SEGMENT_DURATION_SECONDS { Ok(seconds) } else { Err(reader.malformed(tag, "the duration is out of range")) }
}

/// A sequence number. One that cannot be read counts as 0, the default, as players have it.
fn sequence(reader: &Reader<'_, '_>, tag: &'static str, value: &str) -> Result<u64, PlaylistError> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match numbers::integer(value) {
        Some(number) if number <= MAX_MEDIA_SEQUENCE => Ok(number),
        None if digits == 0 => Ok(0),
        _ => Err(reader.malformed(tag, "the number is out of range")),
    }
}

/// A byte range `n[@o]`; without an offset it begins at `next_byte`.
fn chained_range(reader: &Reader<'_, '_>, tag: &'static str, text: &str, next_byte: u64) -> Result<ByteRange, PlaylistError> {
    let (length, offset) = numbers::length_and_offset(text).ok_or_else(|| reader.malformed(tag, "the byte range is not n[@o]"))?;
    let first = offset.unwrap_or(next_byte);
    let last = length.checked_sub(1).ok_or_else(|| reader.malformed(tag, "the byte range is empty"))?.checked_add(first);
    Ok(ByteRange { first, last: last.ok_or_else(|| reader.malformed(tag, "the byte range is out of range"))? })
}
