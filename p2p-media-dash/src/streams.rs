//! Which streams of an MPD viewers share, and the ids that make a swarm of them: the ids that P2P Media Loader derives from Shaka Player.

use std::collections::HashMap;
use std::sync::Arc;

use p2p_media_core::identity::{StreamProperties, stream_id, stream_swarm_id};
use p2p_media_core::media::{Stream, StreamKey, StreamKind};

use crate::language::shortest_language_tag;
use crate::mpd::{Addressing, MediaKind, Mpd, Period, Representation};

/// Codecs that begin so are not counted as those of a video, which may hold sound too.
const AUDIO_CODECS: [&str; 7] = ["mp4a", "ac-3", "ec-3", "ec+3", "opus", "vorb", "flac"];

/// A stream to share: representations of equal properties, one of each period that has such a one.
///
/// What it tells to a player is taken from the first of them that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct DashStream {
    /// Main for video, secondary for audio; audio is main where there is no video at all.
    pub kind: StreamKind,
    /// What all viewers derive alike: [`p2p_media_core::identity::stream_id`].
    pub id: String,
    /// What it holds: video or audio.
    pub media: MediaKind,
    /// Representation@id.
    pub representation_id: Option<Arc<str>>,
    /// Index of its AdaptationSet in the period where it was seen first: streams of equal kind that are switched between for their bitrate have
    /// the same one, versions in another language, angle or codec have another.
    pub adaptation_set: usize,
    /// Bits per second of this stream alone.
    pub bandwidth: Option<u64>,
    /// Codecs as RFC 6381 lists them.
    pub codecs: Option<Arc<str>>,
    /// MIME type.
    pub mime_type: Option<Arc<str>>,
    /// Pixels across.
    pub width: Option<u32>,
    /// Pixels down.
    pub height: Option<u32>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Language tag (RFC 5646).
    pub language: Option<Arc<str>>,
    /// A name to show.
    pub label: Option<Arc<str>>,
    /// Audio channels.
    pub channels: Option<u32>,
    /// `PQ`, `HLG` or `SDR`.
    pub video_range: Option<&'static str>,
    /// Role@value: `main`, `alternate`, `dub`…
    pub roles: Vec<Arc<str>>,
    /// To be chosen unless the viewer wants another: its roles say `main`, or no stream of its kind does and it is in the first AdaptationSet.
    pub is_default: bool,
    /// ContentProtection is declared.
    pub is_protected: bool,
}

impl DashStream {
    /// The swarm that it is shared in; `label` and `base` as [`stream_swarm_id`] wants them.
    pub fn swarm_id(&self, label: &str, base: &str) -> String {
        stream_swarm_id(label, base, self.kind, &self.id)
    }

    /// What the engine registers.
    pub fn to_stream(&self, key: StreamKey, label: &str, base: &str) -> Stream {
        Stream { key, kind: self.kind, swarm_id: Arc::from(self.swarm_id(label, base)) }
    }

    /// How much a stream differs from another of its kind that was chosen before: the less, the sooner it stands in for it.
    pub(crate) fn unlikeness(&self, chosen: &Self) -> impl Ord + use<> {
        let family = |codecs: &Option<Arc<str>>| codecs.as_deref().and_then(|codecs| codecs.split('.').next().map(str::to_owned));
        (
            self.language != chosen.language,
            self.roles != chosen.roles,
            self.label != chosen.label,
            family(&self.codecs) != family(&chosen.codecs),
            self.channels != chosen.channels,
            self.bandwidth.unwrap_or(0).abs_diff(chosen.bandwidth.unwrap_or(0)),
        )
    }

    fn of(shared: SharedRepresentation<'_>) -> Self {
        let SharedRepresentation { kind, id, is_default, representation, .. } = shared;
        Self {
            kind,
            id,
            media: representation.kind,
            representation_id: representation.id.clone(),
            adaptation_set: representation.adaptation_set,
            bandwidth: representation.bandwidth,
            codecs: representation.codecs.clone(),
            mime_type: representation.mime_type.clone(),
            width: representation.width,
            height: representation.height,
            frame_rate: representation.frame_rate.as_deref().and_then(frames_per_second),
            language: representation.language.clone(),
            label: representation.label.clone(),
            channels: representation.channels,
            video_range: representation.video_range,
            roles: representation.roles.clone(),
            is_default,
            is_protected: representation.is_protected,
        }
    }
}

impl Mpd {
    /// The streams to share, those of kind [`StreamKind::Main`] first: video, and audio of its own. Text, images and trick modes are not shared.
    pub fn streams(&self) -> Vec<DashStream> {
        let mut streams = Vec::new();
        let mut table = StreamTable::default();
        table.place(self, &mut streams);
        streams
    }
}

/// Which stream has which number, over all versions of an MPD.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamTable {
    numbers: HashMap<(StreamKind, String), usize>,
}

/// The representation that a stream has in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Index in `streams`.
    pub(crate) stream: usize,
    /// Index in [`Mpd::periods`].
    pub(crate) period: usize,
    /// Index in [`Period::representations`].
    pub(crate) representation: usize,
}

impl StreamTable {
    /// Appends the streams of `mpd` that are new, and tells where each stream is, by period.
    pub(crate) fn place(&mut self, mpd: &Mpd, streams: &mut Vec<DashStream>) -> Vec<Placement> {
        let shared = mpd.shared_representations();
        let mut new: Vec<&SharedRepresentation<'_>> = shared.iter().filter(|shared| !self.numbers.contains_key(&shared.name())).collect();
        new.sort_by_key(|shared| shared.kind == StreamKind::Secondary);
        for shared in new {
            self.numbers.entry(shared.name()).or_insert_with(|| {
                streams.push(DashStream::of(shared.clone()));
                streams.len() - 1
            });
        }
        let place = |shared: &SharedRepresentation<'_>| {
            let stream = *self.numbers.get(&shared.name())?;
            Some(Placement { stream, period: shared.period, representation: shared.index })
        };
        shared.iter().filter_map(place).collect()
    }
}

/// A representation that is shared, with its place and the id of its stream.
#[derive(Clone, Debug)]
struct SharedRepresentation<'m> {
    kind: StreamKind,
    id: String,
    is_default: bool,
    period: usize,
    index: usize,
    representation: &'m Representation,
}

impl SharedRepresentation<'_> {
    fn name(&self) -> (StreamKind, String) {
        (self.kind, self.id.clone())
    }
}

impl Mpd {
    fn shared_representations(&self) -> Vec<SharedRepresentation<'_>> {
        let audio_only = !self.periods.iter().flat_map(|period| &period.representations).any(|item| item.is_shared(MediaKind::Video));
        let mut shared = Vec::new();
        for (number, period) in self.periods.iter().enumerate() {
            period.add_shared(number, audio_only, &mut shared);
        }
        shared
    }
}

impl Period {
    fn add_shared<'m>(&'m self, number: usize, audio_only: bool, shared: &mut Vec<SharedRepresentation<'m>>) {
        // The official library gives a video the bitrate of the first variant with it: with the first audio beside it.
        let first_audio = self.representations.iter().find(|item| item.is_shared(MediaKind::Audio));
        let audio_bandwidth = first_audio.and_then(|audio| audio.bandwidth).unwrap_or(0);
        let mut seen: HashMap<String, u32> = HashMap::new();
        let kinds = [MediaKind::Video, MediaKind::Audio];
        let default_sets = kinds.map(|kind| self.default_adaptation_set(kind));
        for (index, representation) in self.representations.iter().enumerate() {
            let Some(media) = kinds.iter().position(|&kind| representation.is_shared(kind)) else { continue };
            let kind = if representation.kind == MediaKind::Video || audio_only { StreamKind::Main } else { StreamKind::Secondary };
            let properties = match (representation.kind, audio_only) {
                (MediaKind::Video, _) => representation.video_properties(audio_bandwidth),
                (_, true) => StreamProperties { bitrate: representation.bandwidth.map(|bits| bits as f64), ..StreamProperties::default() },
                (_, false) => representation.audio_properties(),
            };
            let id = stream_id(&properties);
            let count = seen.entry(id.clone()).or_default();
            *count += 1;
            let id = if *count == 1 { id } else { id_of_repetition(properties, *count) };
            let is_default = default_sets[media] == Some(representation.adaptation_set);
            shared.push(SharedRepresentation { kind, id, is_default, period: number, index, representation });
        }
    }

    fn default_adaptation_set(&self, kind: MediaKind) -> Option<usize> {
        let mut candidates = self.representations.iter().filter(|item| item.is_shared(kind)).peekable();
        let first = candidates.peek().map(|first| first.adaptation_set);
        let main = candidates.find(|item| item.roles.iter().any(|role| &**role == "main"));
        main.map(|main| main.adaptation_set).or(first)
    }
}

impl Representation {
    fn is_shared(&self, kind: MediaKind) -> bool {
        self.kind == kind && !self.is_trick_mode && self.addressing != Addressing::None
    }

    fn video_properties(&self, audio_bandwidth: u64) -> StreamProperties {
        let bitrate = self.bandwidth.unwrap_or(0).saturating_add(audio_bandwidth);
        if bitrate == 0 {
            return StreamProperties::default();
        }
        StreamProperties {
            bitrate: Some(bitrate as f64),
            codecs: self.codecs.as_deref().map(without_audio_codecs),
            width: self.width,
            height: self.height,
            // Through a number and back, as text that every viewer writes alike.
            frame_rate: self.frame_rate.as_deref().and_then(frames_per_second).map(|rate| rate.to_string()),
            video_range: self.video_range.map(str::to_owned),
            ..StreamProperties::default()
        }
    }

    fn audio_properties(&self) -> StreamProperties {
        let name = self.label.as_ref().filter(|label| !label.is_empty()).or(self.id.as_ref());
        StreamProperties {
            codecs: self.codecs.as_deref().map(str::to_owned),
            language: self.language.as_deref().map(shortest_language_tag),
            channels: self.channels.filter(|&count| count > 0).map(|count| count.to_string()),
            name: name.map(|name| name.to_string()),
            ..StreamProperties::default()
        }
    }
}

/// The id of the `count`-th (from 2) representation of a period with these properties. Official viewers have one swarm for all of them,
/// whose segments they confuse; ours do not take part with any but the first.
fn id_of_repetition(properties: StreamProperties, count: u32) -> String {
    let name = format!("{}#{count}", properties.name.as_deref().unwrap_or_default());
    stream_id(&StreamProperties { name: Some(name), ..properties })
}

fn without_audio_codecs(codecs: &str) -> String {
    let is_video = |codec: &String| !AUDIO_CODECS.iter().any(|audio| codec.starts_with(audio));
    codecs.split(',').map(|codec| codec.trim().to_lowercase()).filter(is_video).collect::<Vec<_>>().join(",")
}

/// @frameRate: a number, or a quotient of two integers. 0 and what is no number count as absent.
fn frames_per_second(text: &str) -> Option<f64> {
    let integer = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<f64>().ok()).flatten();
    let rate = match text.split_once('/') {
        Some((frames, seconds)) => integer(frames)? / integer(seconds)?,
        None => text.trim().parse().ok()?,
    };
    (rate > 0.0 && rate < f64::INFINITY).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mpd(sets: &str) -> Mpd {
        let text = format!("<MPD mediaPresentationDuration='PT4S'><Period>{sets}</Period></MPD>");
        crate::parse(text.as_bytes(), "https://a.example/m.mpd").unwrap()
    }

    fn set(attributes: &str, representations: &str) -> String {
        format!(
            "<AdaptationSet {attributes}><SegmentTemplate media='$RepresentationID$-$Number$' duration='2'/>{representations}</AdaptationSet>"
        )
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_video_has_the_bitrate_of_the_first_variant_and_its_own_codecs() {
        let audio = set("contentType='audio'", "<Representation id='a' bandwidth='64000'/><Representation id='b' bandwidth='32000'/>");
        let hdr = "<SupplementalProperty schemeIdUri='urn:mpeg:mpegB:cicp:TransferCharacteristics' value='16'/>";
        let video = "<Representation id='v' bandwidth='1000000' codecs='hvc1.2.4.L120, mp4a.40.2' width='1280' height='720' frameRate='30000/1001'/>";
        let mpd = mpd(&(audio + &set("mimeType='video/mp4'", &format!("{hdr}{video}"))));
        let expected = StreamProperties {
            bitrate: Some(1_064_000.0),
            codecs: text("hvc1.2.4.l120"),
            width: Some(1_280),
            height: Some(720),
            frame_rate: text("29.97002997002997"),
            video_range: text("PQ"),
            ..StreamProperties::default()
        };
        let first = &mpd.streams()[0];
        assert_eq!((first.kind, &first.id, first.bandwidth), (StreamKind::Main, &stream_id(&expected), Some(1_000_000)));
        assert_eq!(first.frame_rate, Some(30_000.0 / 1_001.0));
    }

    #[test]
    fn an_audio_has_the_name_that_it_shows_or_that_of_its_representation() {
        let channels = "<AudioChannelConfiguration schemeIdUri='urn:mpeg:dash:23003:3:audio_channel_configuration:2011' value='6'/>";
        let audio = set("contentType='audio' lang='ger' codecs='ec-3'", &format!("{channels}<Representation id='A' bandwidth='64000'/>"));
        let labelled = set("contentType='audio' lang='und' codecs='ec-3'", "<Label>Kommentar</Label><Representation id='B'/>");
        let mpd = mpd(&(set("contentType='video'", "<Representation id='v' bandwidth='1'/>") + &audio + &labelled));
        let streams = mpd.streams();
        let named = StreamProperties { codecs: text("ec-3"), name: text("a"), ..StreamProperties::default() };
        let expected = [
            stream_id(&StreamProperties { language: text("de"), channels: text("6"), ..named.clone() }),
            stream_id(&StreamProperties { name: text("kommentar"), ..named }),
        ];
        assert_eq!(streams[1..].iter().map(|stream| stream.id.clone()).collect::<Vec<_>>(), expected);
        assert!(streams[1..].iter().all(|stream| stream.kind == StreamKind::Secondary));
        assert_eq!(streams.iter().map(|stream| stream.is_default).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn audio_alone_is_main_and_known_by_its_bitrate() {
        let audio = set("contentType='audio' lang='en'", "<Representation id='a' bandwidth='64000'/>");
        let streams = mpd(&audio).streams();
        let expected = stream_id(&StreamProperties { bitrate: Some(64_000.0), ..StreamProperties::default() });
        assert_eq!((streams[0].kind, &streams[0].id), (StreamKind::Main, &expected));
    }

    #[test]
    fn texts_images_and_trick_modes_are_not_shared() {
        let trick =
            "<EssentialProperty schemeIdUri='http://dashif.org/guidelines/trickmode' value='1'/><Representation id='t' bandwidth='9'/>";
        let sets = [
            set("contentType='video'", "<Representation id='v'/>"),
            set("contentType='video'", trick),
            set("contentType='text' mimeType='application/mp4'", "<Representation id='s' bandwidth='9'/>"),
            set("contentType='image' mimeType='image/jpeg'", "<Representation id='i' bandwidth='9'/>"),
        ];
        let streams = mpd(&sets.concat()).streams();
        // Without a bitrate nothing else counts either.
        assert_eq!(streams.iter().map(|stream| &stream.id).collect::<Vec<_>>(), [&stream_id(&StreamProperties::default())]);
    }

    #[test]
    fn frame_rates_are_numbers_or_quotients() {
        let cases = [("25", Some(25.0)), ("25/1", Some(25.0)), ("30000/1001", Some(30_000.0 / 1_001.0)), (" 29.97 ", Some(29.97))];
        for (text, expected) in cases {
            assert_eq!(frames_per_second(text), expected, "{text}");
        }
        for text in ["", "0", "25/0", "0/1", "/1", "1/", "1/2/3", "x", "nan", "inf", "-25"] {
            assert_eq!(frames_per_second(text), None, "{text}");
        }
        assert_eq!((30_000.0_f64 / 1_001.0).to_string(), "29.97002997002997");
    }

    #[test]
    fn codecs_of_sound_are_left_out_of_a_video() {
        assert_eq!(without_audio_codecs("AVC1.4d400c, mp4a.40.2,Opus"), "avc1.4d400c");
        assert_eq!(without_audio_codecs("mp4a.40.2"), "");
    }
}
