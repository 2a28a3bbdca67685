//! Reads an HLS VOD playlist (RFC 8216) into segments that stand alone, so that a live playlist can begin at any of them.

use std::sync::Arc;

/// Segments read from one playlist.
const MAX_SEGMENTS: usize = 100_000;
/// Length of one segment.
const MAX_SEGMENT_SECONDS: f64 = 86_400.0;

/// A media playlist. Byte ranges, keys and init segments are explicit in every segment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VodPlaylist {
    pub(super) version: u64,
    pub(super) target_duration_seconds: u64,
    /// Tags of the whole playlist that hold for a live one as well.
    pub(super) header: Vec<String>,
    pub(super) segments: Vec<VodSegment>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct VodSegment {
    /// EXT-X-MAP and EXT-X-KEY lines in force, in the order they came.
    pub(super) context: Vec<Arc<str>>,
    /// The tags that belong to this segment alone.
    pub(super) tags: Vec<String>,
    pub(super) uri: String,
    /// Offset and length in the resource.
    pub(super) byte_range: Option<(u64, u64)>,
    /// The segment begins a new timeline. False for the first.
    pub(super) discontinuity: bool,
    /// When it ends, in microseconds since the start of the playlist.
    pub(super) end_us: u64,
}

/// What is wrong with a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct MalformedPlaylist {
    /// Counted from one.
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

impl VodPlaylist {
    pub(super) fn parse(text: &str) -> Result<Self, MalformedPlaylist> {
        let mut reader = Reader::default();
        let mut begun = false;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            let at = |reason| MalformedPlaylist { line: index + 1, reason };
            if line.is_empty() {
                continue;
            } else if !begun {
                begun = line == "#EXTM3U";
                if !begun {
                    return Err(at("not an HLS playlist: #EXTM3U is missing"));
                }
            } else if line.starts_with("#EXT") {
                reader.tag(line).map_err(at)?;
            } else if !line.starts_with('#') {
                reader.segment(line).map_err(at)?;
            }
        }
        if reader.segments.is_empty() || reader.end_us == 0 {
            return Err(MalformedPlaylist { line: 1, reason: "the playlist has no segments" });
        }
        Ok(reader.finish())
    }

    /// Microseconds.
    pub(super) fn length_us(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end_us)
    }
}

/// The value of an attribute, without its quotes.
pub(super) fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag.split_once(':')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if key.trim() == name {
            return Some(value);
        }
        rest = next.strip_prefix(',')?;
    }
}

#[derive(Default)]
struct Reader {
    version: u64,
    target_duration_seconds: u64,
    media_sequence: u64,
    header: Vec<String>,
    segments: Vec<VodSegment>,
    end_us: u64,
    context: Vec<Arc<str>>,
    // of the segment that comes next
    tags: Vec<String>,
    duration_us: Option<u64>,
    byte_range: Option<(u64, Option<u64>)>,
    discontinuity: bool,
}

impl Reader {
    fn tag(&mut self, line: &str) -> Result<(), &'static str> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name {
            "#EXT-X-VERSION" => self.version = value.trim().parse().map_err(|_| "EXT-X-VERSION is not a number")?,
            "#EXT-X-TARGETDURATION" => {
                let seconds: f64 = value.trim().parse().map_err(|_| "EXT-X-TARGETDURATION is not a number")?;
                self.target_duration_seconds = microseconds(seconds).ok_or("EXT-X-TARGETDURATION is out of range")?.div_ceil(1_000_000);
            }
            "#EXT-X-MEDIA-SEQUENCE" => {
                self.media_sequence = value.trim().parse().map_err(|_| "EXT-X-MEDIA-SEQUENCE is not a number")?;
            }
            "#EXTINF" => {
                let seconds = value.split(',').next().unwrap_or_default().trim().parse();
                self.duration_us = Some(seconds.ok().and_then(microseconds).ok_or("EXTINF has no usable duration")?);
                self.tags.push(line.into());
            }
            "#EXT-X-BYTERANGE" => self.byte_range = Some(parse_byte_range(value).ok_or("EXT-X-BYTERANGE is not LENGTH[@OFFSET]")?),
            "#EXT-X-DISCONTINUITY" => self.discontinuity = true,
            "#EXT-X-MAP" => {
                self.context.retain(|line| !line.starts_with("#EXT-X-MAP"));
                self.context.push(line.into());
            }
            "#EXT-X-KEY" => {
                let format = |key: &str| attribute(key, "KEYFORMAT").unwrap_or("identity").to_owned();
                let none = attribute(line, "METHOD") == Some("NONE");
                self.context.retain(|old| !old.starts_with("#EXT-X-KEY") || !none && format(old) != format(line));
                if !none {
                    self.context.push(line.into());
                }
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" | "#EXT-X-DEFINE" | "#EXT-X-I-FRAMES-ONLY" => self.header.push(line.into()),
            // Either written anew for the live playlist, or untrue in it: dates, the end, low-latency parts.
            "#EXTM3U"
            | "#EXT-X-ENDLIST"
            | "#EXT-X-PLAYLIST-TYPE"
            | "#EXT-X-DISCONTINUITY-SEQUENCE"
            | "#EXT-X-PROGRAM-DATE-TIME"
            | "#EXT-X-DATERANGE"
            | "#EXT-X-START"
            | "#EXT-X-ALLOW-CACHE"
            | "#EXT-X-SERVER-CONTROL"
            | "#EXT-X-PART-INF"
            | "#EXT-X-PART"
            | "#EXT-X-PRELOAD-HINT"
            | "#EXT-X-RENDITION-REPORT"
            | "#EXT-X-SKIP" => {}
            _ => self.tags.push(line.into()),
        }
        Ok(())
    }

    fn segment(&mut self, uri: &str) -> Result<(), &'static str> {
        let duration_us = self.duration_us.take().ok_or("a segment without EXTINF")?;
        if self.segments.len() >= MAX_SEGMENTS {
            return Err("more than 100000 segments");
        }
        let byte_range = match self.byte_range.take() {
            None => None,
            Some((length, offset)) => {
                let previous = self.segments.last().filter(|segment| segment.uri == uri).and_then(|segment| segment.byte_range);
                let offset = offset.or(previous.map(|(offset, length)| offset + length)).unwrap_or(0);
                offset.checked_add(length).ok_or("EXT-X-BYTERANGE is out of range")?;
                Some((offset, length))
            }
        };
        let sequence = self.media_sequence.saturating_add(self.segments.len() as u64);
        self.end_us = self.end_us.saturating_add(duration_us);
        self.segments.push(VodSegment {
            context: self.context.iter().map(|line| with_explicit_iv(line, sequence)).collect(),
            tags: std::mem::take(&mut self.tags),
            uri: uri.into(),
            byte_range,
            discontinuity: std::mem::take(&mut self.discontinuity) && !self.segments.is_empty(),
            end_us: self.end_us,
        });
        Ok(())
    }

    fn finish(self) -> VodPlaylist {
        let mut longest_us = 0;
        let mut start_us = 0;
        for segment in &self.segments {
            longest_us = longest_us.max(segment.end_us - start_us);
            start_us = segment.end_us;
        }
        let target_duration_seconds = match self.target_duration_seconds {
            0 => longest_us.div_ceil(1_000_000),
            seconds => seconds,
        };
        // Durations with a fraction and explicit IVs need version 3.
        VodPlaylist { version: self.version.max(3), target_duration_seconds, header: self.header, segments: self.segments }
    }
}

fn microseconds(seconds: f64) -> Option<u64> {
    (0.0..=MAX_SEGMENT_SECONDS).contains(&seconds).then(|| (seconds * 1e6).round() as u64)
}

fn parse_byte_range(value: &str) -> Option<(u64, Option<u64>)> {
    match value.trim().split_once('@') {
        None => Some((value.trim().parse().ok()?, None)),
        Some((length, offset)) => Some((length.parse().ok()?, Some(offset.parse().ok()?))),
    }
}

/// A key without an IV uses the media sequence number (RFC 8216, section 5.2), which the live playlist changes: write the old one out.
fn with_explicit_iv(line: &Arc<str>, sequence: u64) -> Arc<str> {
    let identity = line.starts_with("#EXT-X-KEY") && attribute(line, "KEYFORMAT").is_none_or(|format| format == "identity");
    if identity && attribute(line, "IV").is_none() { format!("{line},IV=0x{sequence:032X}").into() } else { line.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_segment_stands_alone() {
        let text = "\u{feff}#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PLAYLIST-TYPE:VOD\n\
            #EXT-X-MAP:URI=\"m.mp4\",BYTERANGE=\"700@0\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k,1\"\n#EXTINF:4,\n#EXT-X-BYTERANGE:100@700\nm.mp4\n\
            #EXTINF:3.5,title\n#EXT-X-BYTERANGE:50\nm.mp4\n#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n# a remark\n#EXT-X-GAP\n#EXTINF:.25\n\
            n.mp4\n#EXT-X-ENDLIST\n";
        let playlist = VodPlaylist::parse(text).unwrap();
        assert_eq!((playlist.version, playlist.target_duration_seconds, playlist.length_us()), (6, 4, 7_750_000));
        let [first, second, third] = &playlist.segments[..] else { panic!("three segments") };
        assert_eq!((first.byte_range, second.byte_range, third.byte_range), (Some((700, 100)), Some((800, 50)), None));
        let map: Arc<str> = "#EXT-X-MAP:URI=\"m.mp4\",BYTERANGE=\"700@0\"".into();
        let key = |number: &str| -> Arc<str> { format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k,1\",IV=0x{number:0>32}").into() };
        assert_eq!(first.context, [map.clone(), key("7")]);
        assert_eq!(second.context, [map.clone(), key("8")]);
        assert_eq!(third.context, [map]);
        assert_eq!(third.tags, ["#EXT-X-GAP", "#EXTINF:.25"]);
        assert_eq!((first.discontinuity, second.discontinuity, third.discontinuity), (false, false, true));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let wrong = |text| VodPlaylist::parse(text).unwrap_err().to_string();
        assert_eq!(wrong("<html>"), "line 1: not an HLS playlist: #EXTM3U is missing");
        assert_eq!(wrong("#EXTM3U\n#EXTINF:x,\na.ts"), "line 2: EXTINF has no usable duration");
        assert_eq!(wrong("#EXTM3U\n#EXTINF:NaN,\na.ts"), "line 2: EXTINF has no usable duration");
        assert_eq!(wrong("#EXTM3U\na.ts"), "line 2: a segment without EXTINF");
        assert_eq!(wrong("#EXTM3U\n#EXTINF:1,\n#EXT-X-BYTERANGE:18446744073709551615@9\na.ts"), "line 4: EXT-X-BYTERANGE is out of range");
        assert_eq!(wrong("#EXTM3U\n#EXTINF:0,\na.ts"), "line 1: the playlist has no segments");
    }

    #[test]
    fn finds_attributes() {
        let tag = "#EXT-X-KEY:METHOD=AES-128,URI=\"a,IV=1\",IV=0x2";
        assert_eq!(attribute(tag, "METHOD"), Some("AES-128"));
        assert_eq!(attribute(tag, "URI"), Some("a,IV=1"));
        assert_eq!(attribute(tag, "IV"), Some("0x2"));
        assert_eq!(attribute(tag, "KEYFORMAT"), None);
        assert_eq!(attribute("#EXT-X-KEY:URI=\"open", "URI"), None);
    }
}
