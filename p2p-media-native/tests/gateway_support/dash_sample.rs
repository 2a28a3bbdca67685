//! The sample stream as DASH, addressed in every way: the same segments, other MPDs; for SegmentBase also files made of them.

use std::fmt::Write as _;
use std::ops::Range;

use tempfile::TempDir;

use super::file;

const SEGMENTS: usize = 30;

/// A way in which an MPD says where segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// SegmentTemplate with SegmentTimeline and `$Number$`.
    Timeline,
    /// SegmentTemplate with @duration.
    Number,
    /// SegmentList with URLs.
    List,
    /// SegmentList with ranges of one file.
    ListOfRanges,
    /// SegmentBase with the range of a `sidx`.
    Base,
    /// A BaseURL alone, in a file with a `sidx`.
    BareBase,
}

impl Addressing {
    pub(crate) const ALL: [Self; 6] = [Self::Timeline, Self::Number, Self::List, Self::ListOfRanges, Self::Base, Self::BareBase];
}

/// A folder with the media and an MPD for each way.
pub(crate) struct DashSample {
    pub(crate) dir: TempDir,
}

/// What a DASH player asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) range: Option<Range<usize>>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_segment: bool,
}

struct Representation {
    id: usize,
    attributes: &'static str,
    set: &'static str,
    timescale: u32,
    durations: Vec<u32>,
}

impl DashSample {
    pub(crate) fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for representation in representations() {
            std::fs::write(dir.path().join(representation.init_name()), representation.init()).unwrap();
            for (number, bytes) in representation.segments().iter().enumerate() {
                std::fs::write(dir.path().join(representation.segment_name(number)), bytes).unwrap();
            }
            std::fs::write(dir.path().join(representation.file_name()), representation.file()).unwrap();
        }
        for addressing in Addressing::ALL {
            std::fs::write(dir.path().join(mpd_name(addressing)), mpd(addressing)).unwrap();
        }
        Self { dir }
    }

    /// All that a player asks for to play a representation from end to end.
    pub(crate) fn wanted(addressing: Addressing, id: usize) -> Vec<Wanted> {
        let representation = &representations()[id];
        let (init, file) = (representation.init(), representation.file());
        let head_end = init.len() + representation.index().len();
        let whole = |name: String, bytes: Vec<u8>, is_segment| Wanted { name, range: None, bytes, is_segment };
        let part = |range: Range<usize>, is_segment| {
            let bytes = file[range.clone()].to_vec();
            Wanted { name: representation.file_name(), range: Some(range), bytes, is_segment }
        };
        let mut wanted = match addressing {
            Addressing::Timeline | Addressing::Number | Addressing::List => vec![whole(representation.init_name(), init, false)],
            Addressing::ListOfRanges => vec![part(0..init.len(), false)],
            Addressing::Base => vec![part(0..init.len(), false), part(init.len()..head_end, false)],
            Addressing::BareBase => vec![part(0..head_end, false)],
        };
        let mut first = head_end;
        for (number, bytes) in representation.segments().into_iter().enumerate() {
            let range = first..first + bytes.len();
            first = range.end;
            wanted.push(match addressing {
                Addressing::Timeline | Addressing::Number | Addressing::List => whole(representation.segment_name(number), bytes, true),
                _ => part(range, true),
            });
        }
        wanted
    }

    /// A file with a whole representation, and its bytes.
    pub(crate) fn file(id: usize) -> (String, Vec<u8>) {
        let representation = &representations()[id];
        (representation.file_name(), representation.file())
    }
}

pub(crate) fn mpd_name(addressing: Addressing) -> String {
    format!("{addressing:?}.mpd")
}

fn mpd(addressing: Addressing) -> String {
    let sets = ["video", "audio"].map(|set| {
        let of_set = representations().into_iter().filter(|representation| representation.set == set);
        let texts: String = of_set.map(|representation| representation.element(addressing)).collect();
        format!("<AdaptationSet contentType=\"{set}\" mimeType=\"{set}/mp4\" lang=\"en\">\n{texts}</AdaptationSet>\n")
    });
    format!(
        "<?xml version=\"1.0\"?>\n<!-- addressed by {addressing:?} -->\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT60S\" minBufferTime=\"PT4S\" profiles=\"urn:mpeg:dash:profile:isoff-main:2011\">\n<Period>\n{}</Period>\n</MPD>\n",
        sets.concat()
    )
}

fn representations() -> Vec<Representation> {
    let audio = [
        &[95_232; 1][..],
        &[96_256; 6],
        &[95_232],
        &[96_256; 3],
        &[95_232],
        &[96_256; 3],
        &[95_232],
        &[96_256; 3],
        &[95_232],
        &[96_256; 3],
        &[95_232],
        &[96_256; 3],
        &[95_232],
        &[96_256],
        &[95_744],
    ];
    let video = |id, attributes| Representation { id, attributes, set: "video", timescale: 12_800, durations: vec![25_600; SEGMENTS] };
    vec![
        video(0, r#"codecs="avc1.4d400c" bandwidth="90000" width="320" height="180""#),
        video(1, r#"codecs="avc1.4d4015" bandwidth="160000" width="480" height="270""#),
        video(2, r#"codecs="avc1.4d401e" bandwidth="270000" width="640" height="360""#),
        Representation {
            id: 3,
            attributes: r#"codecs="mp4a.40.2" bandwidth="40000""#,
            set: "audio",
            timescale: 48_000,
            durations: audio.concat(),
        },
    ]
}

impl Representation {
    fn init_name(&self) -> String {
        format!("init_{}.m4s", self.id)
    }

    fn segment_name(&self, number: usize) -> String {
        format!("seg_{}_{:02}.m4s", self.id, number + 1)
    }

    fn file_name(&self) -> String {
        format!("whole_{}.mp4", self.id)
    }

    fn init(&self) -> Vec<u8> {
        file(&self.init_name())
    }

    fn segments(&self) -> Vec<Vec<u8>> {
        (0..SEGMENTS).map(|number| file(&self.segment_name(number))).collect()
    }

    /// Initialization segment, index, segments.
    fn file(&self) -> Vec<u8> {
        [self.init(), self.index(), self.segments().concat()].concat()
    }

    /// A `sidx` box, version 0 (ISO/IEC 14496-12, section 8.16.3).
    fn index(&self) -> Vec<u8> {
        let mut sidx = b"sidx\0\0\0\0".to_vec();
        for word in [1, self.timescale, 0, 0, SEGMENTS as u32] {
            sidx.extend(word.to_be_bytes());
        }
        for (bytes, duration) in self.segments().iter().zip(&self.durations) {
            for word in [bytes.len() as u32, *duration, 0x9000_0000] {
                sidx.extend(word.to_be_bytes());
            }
        }
        [&(sidx.len() as u32 + 4).to_be_bytes()[..], &sidx].concat()
    }

    fn element(&self, addressing: Addressing) -> String {
        let init_end = self.init().len();
        let index_end = init_end + self.index().len();
        let runs: String = self.durations.iter().fold(String::new(), |mut text, duration| {
            let _ = write!(text, "<S d=\"{duration}\"/>");
            text
        });
        let timescale = self.timescale;
        let template = r#"initialization="init_$RepresentationID$.m4s" media="seg_$RepresentationID$_$Number%02d$.m4s""#;
        let mut first = index_end;
        let ranges: String = self.segments().iter().fold(String::new(), |mut text, bytes| {
            let _ = write!(text, "<SegmentURL mediaRange=\"{first}-{}\"/>", first + bytes.len() - 1);
            first += bytes.len();
            text
        });
        let urls: String = (0..SEGMENTS).map(|number| format!("<SegmentURL media=\"{}\"/>", self.segment_name(number))).collect();
        let base = format!("<BaseURL>{}</BaseURL>", self.file_name());
        let how = match addressing {
            Addressing::Timeline => {
                format!("<SegmentTemplate timescale=\"{timescale}\" {template}><SegmentTimeline>{runs}</SegmentTimeline></SegmentTemplate>")
            }
            Addressing::Number => format!("<SegmentTemplate timescale=\"{timescale}\" duration=\"{}\" {template}/>", timescale * 2),
            Addressing::List => format!(
                "<SegmentList timescale=\"{timescale}\" duration=\"{}\"><Initialization sourceURL=\"{}\"/>{urls}</SegmentList>",
                timescale * 2,
                self.init_name()
            ),
            Addressing::ListOfRanges => format!(
                "{base}<SegmentList timescale=\"{timescale}\"><Initialization range=\"0-{}\"/><SegmentTimeline>{runs}</SegmentTimeline>\
                 {ranges}</SegmentList>",
                init_end - 1
            ),
            Addressing::Base => format!(
                "{base}<SegmentBase indexRange=\"{init_end}-{}\"><Initialization range=\"0-{}\"/></SegmentBase>",
                index_end - 1,
                init_end - 1
            ),
            Addressing::BareBase => format!("{base}<SegmentBase/>"),
        };
        format!("<Representation id=\"{}\" {}>{how}</Representation>\n", self.id, self.attributes)
    }
}
