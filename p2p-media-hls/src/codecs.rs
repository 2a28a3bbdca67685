//! Which codecs of a CODECS attribute are video and which are audio, as hls.js 1.x tells them apart: stream ids depend on it.

/// Sample entries of audio (mp4ra.org) that hls.js knows, with the spellings that it accepts.
const AUDIO: &[&str] = &[
    "a3ds", "ac-3", "ac-4", "alac", "alaw", "dra1", "dts+", "dts-", "dtsc", "dtse", "dtsh", "ec-3", "enca", "fLaC", "flac", "FLAC", "g719",
    "g726", "m4ae", "mha1", "mha2", "mhm1", "mhm2", "mlpa", "mp4a", "Opus", "opus", "samr", "sawb", "sawp", "sevc", "sqcp", "ssmv", "twos",
    "ulaw",
];
/// Sample entries of video.
const VIDEO: &[&str] = &[
    "avc1", "avc2", "avc3", "avc4", "avcp", "av01", "dav1", "drac", "dva1", "dvav", "dvh1", "dvhe", "encv", "hev1", "hvc1", "mjp2", "mp4v",
    "mvc1", "mvc2", "mvc3", "mvc4", "resv", "rv60", "s263", "svc1", "svc2", "vc-1", "vp08", "vp09",
];
/// Sample entries of subtitles and images.
const OTHER: &[&str] = &["stpp", "wvtt", "mjpg"];

/// The codecs of a variant by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodecsByKind {
    /// Video codecs, joined by commas.
    pub(crate) video: Option<String>,
    /// Audio codecs, joined by commas.
    pub(crate) audio: Option<String>,
    /// True when a codec is of no known kind.
    pub(crate) has_unknown: bool,
}

impl CodecsByKind {
    /// Sorts the codecs of a CODECS attribute.
    pub(crate) fn of(codecs: &str) -> Self {
        let list = || codecs.split([' ', ',']).filter(|codec| !codec.is_empty());
        let joined = |entries: &[&str]| {
            // What follows a slash is a compatible brand, no part of the codec.
            let of_kind: Vec<&str> = list().filter(|codec| is_one_of(codec, entries)).filter_map(|codec| codec.split('/').next()).collect();
            (!of_kind.is_empty()).then(|| of_kind.join(","))
        };
        let has_unknown = list().any(|codec| ![AUDIO, VIDEO, OTHER].into_iter().any(|entries| is_one_of(codec, entries)));
        Self { video: joined(VIDEO), audio: joined(AUDIO), has_unknown }
    }
}

fn is_one_of(codec: &str, sample_entries: &[&str]) -> bool {
    codec.get(..4).is_some_and(|entry| sample_entries.contains(&entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_by_sample_entry() {
        let codecs = CodecsByKind::of("avc1.4d401f, mp4a.40.2,ec-3 stpp.ttml.im1t");
        assert_eq!(
            (codecs.video.as_deref(), codecs.audio.as_deref(), codecs.has_unknown),
            (Some("avc1.4d401f"), Some("mp4a.40.2,ec-3"), false)
        );
        let codecs = CodecsByKind::of("dvh1.08.07/db4h,xxxx,é");
        assert_eq!((codecs.video.as_deref(), codecs.audio.as_deref(), codecs.has_unknown), (Some("dvh1.08.07"), None, true));
        assert_eq!(CodecsByKind::of(""), CodecsByKind::default());
    }
}
