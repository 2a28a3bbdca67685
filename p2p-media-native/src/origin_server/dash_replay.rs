//! Replays static DASH manifests as endless dynamic ones: which segments there are is a function of the time alone.

use std::{path::Path, sync::Arc};

use p2p_media_dash::{Addressing, MediaKind, Mpd, Period, Representation, SegmentTemplate, SegmentTimes};

use super::{
    catalogue::{FOLDER_URL, file_at},
    fmp4_samples::InitTracks,
    parts::{Part, PartedSegment},
    passes::{Passes, Position},
    production::{Delay, LiveSegment},
    replay::{read_init, read_segment},
};

/// Segments of one representation.
const MAX_SEGMENTS: u64 = 100_000;

/// A manifest that is replayed.
#[derive(Debug)]
pub(super) struct LiveMpd {
    /// Its representations, by AdaptationSet.
    pub(super) sets: Vec<Vec<LiveRepresentation>>,
    pub(super) low_latency: Option<LowLatencyMpd>,
    /// The length of the longest segment and of the shortest.
    pub(super) longest_us: u64,
    pub(super) shortest_us: u64,
}

/// What a manifest says of segments that have not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct LowLatencyMpd {
    pub(super) part_us: u64,
    /// All segments of each representation last about equally long, so that none has to be listed.
    pub(super) is_uniform: bool,
}

#[derive(Debug)]
pub(super) struct LiveRepresentation {
    pub(super) about: Representation,
    pub(super) template: SegmentTemplate,
    pub(super) passes: Passes,
    /// Of one pass; never empty.
    pub(super) segments: Vec<DashSegment>,
    /// How long before their end segments can be had: all but the first part. 0 when they can be had whole only.
    pub(super) early_us: u64,
    init: Arc<InitTracks>,
}

/// A segment of the first pass.
#[derive(Debug)]
pub(super) struct DashSegment {
    pub(super) number: u64,
    /// Ticks.
    pub(super) time: u64,
    pub(super) duration: u64,
    pub(super) start_us: u64,
    end_us: u64,
    file: String,
    /// At least one where segments can be had before they have ended.
    parts: Arc<[Part]>,
}

/// Why a manifest is served as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreplayable {
    #[error("{0}")]
    Unreadable(String),
    #[error("it is a live one already")]
    IsLive,
    #[error("it has several periods")]
    SeveralPeriods,
    #[error("it has no video or audio")]
    NoMedia,
    #[error("its media are protected")]
    IsProtected,
    #[error("representation {0} has no SegmentTemplate with a timeline or a duration")]
    NoTemplate(String),
    #[error("representation {0} has no fragmented MP4 init segment in the folder")]
    NoInit(String),
    #[error("segments of representation {0} are not in the folder")]
    NotInFolder(String),
    #[error("representation {0} has no segments, or too many")]
    SegmentCount(String),
    #[error("it is too short for the window")]
    TooShort,
    #[error("later numbers of representation {0} would take the name of {1}")]
    NameTaken(String, String),
}

impl LiveMpd {
    /// `part_us` is given in low-latency mode. Blocks.
    pub(super) fn new(mpd: &Mpd, dir: &Path, window_us: u64, part_us: Option<u64>) -> Result<Self, Unreplayable> {
        let [period] = &mpd.periods[..] else { return Err(Unreplayable::SeveralPeriods) };
        if mpd.live {
            return Err(Unreplayable::IsLive);
        }
        let mut representations = Vec::new();
        for about in &period.representations {
            let is_essential = matches!(about.kind, MediaKind::Video | MediaKind::Audio) && !about.is_trick_mode;
            match LiveRepresentation::new(mpd, period, about, dir, part_us) {
                Ok(representation) => representations.push(representation),
                Err(reason) if is_essential => return Err(reason),
                Err(reason) => tracing::warn!(%reason, "left out of the live replay"),
            }
        }
        if !representations.iter().any(|representation| matches!(representation.about.kind, MediaKind::Video | MediaKind::Audio)) {
            return Err(Unreplayable::NoMedia);
        }
        let loop_us = representations.iter().map(|representation| representation.passes.loop_us).max().unwrap_or(0);
        for representation in &mut representations {
            representation.passes.loop_us = loop_us;
            if representation.passes.listed_in(window_us) > MAX_SEGMENTS {
                return Err(Unreplayable::TooShort);
            }
        }
        let lengths = || representations.iter().flat_map(|representation| &representation.segments).map(DashSegment::duration_us);
        let (longest_us, shortest_us) = (lengths().max().unwrap_or(0), lengths().min().unwrap_or(0));
        let is_early = representations.iter().any(|representation| representation.early_us > 0);
        let is_uniform = representations.iter().all(LiveRepresentation::is_uniform);
        let low_latency = part_us.filter(|_| is_early).map(|part_us| LowLatencyMpd { part_us, is_uniform });
        let mut sets: Vec<Vec<LiveRepresentation>> = Vec::new();
        for representation in representations {
            match sets.last_mut().filter(|set| set[0].about.adaptation_set == representation.about.adaptation_set) {
                Some(set) => set.push(representation),
                None => sets.push(vec![representation]),
            }
        }
        Ok(Self { sets, low_latency, longest_us, shortest_us })
    }

    pub(super) fn representations(&self) -> impl Iterator<Item = &LiveRepresentation> {
        self.sets.iter().flatten()
    }

    /// The segment that a request below the folder means.
    pub(super) fn segment(&self, path_and_query: &str) -> Option<LiveSegment> {
        let url = |text: &str| format!("{FOLDER_URL}{}", text.trim_start_matches('/'));
        let found = |url: &str| self.representations().find_map(|representation| Some((representation, representation.position(url)?)));
        let without_query = path_and_query.split('?').next().unwrap_or_default();
        let (representation, at) = found(&url(path_and_query)).or_else(|| found(&url(without_query)))?;
        Some(representation.live_segment(at))
    }
}

impl DashSegment {
    fn duration_us(&self) -> u64 {
        self.end_us - self.start_us
    }

    /// How long before its end it can be had, 0 when whole only.
    fn early_us(&self) -> u64 {
        self.duration_us() - self.parts.first().map_or(self.duration_us(), |part| part.end_us)
    }
}

impl LiveRepresentation {
    fn new(mpd: &Mpd, period: &Period, about: &Representation, dir: &Path, part_us: Option<u64>) -> Result<Self, Unreplayable> {
        let id = || about.id.as_deref().unwrap_or("without an id").to_owned();
        if about.is_protected {
            return Err(Unreplayable::IsProtected);
        }
        let template = match &about.addressing {
            Addressing::Template(template) if template.media.is_some() && !matches!(template.times, SegmentTimes::Unknown) => template,
            _ => return Err(Unreplayable::NoTemplate(id())),
        };
        if matches!(template.times, SegmentTimes::Duration(_)) && period.duration.is_none() && template.end_number.is_none() {
            return Err(Unreplayable::SegmentCount(id()));
        }
        let init = about.init.as_ref().filter(|init| init.byte_range.is_none()).and_then(|init| file_at(&init.url));
        let init = init.map(|file| read_init(&dir.join(file))).filter(|init| !init.timescales.is_empty());
        let init = Arc::new(init.ok_or_else(|| Unreplayable::NoInit(id()))?);

        let listed = about.segments(mpd, period, 0.0);
        if !(1..=MAX_SEGMENTS).contains(&listed.remaining()) {
            return Err(Unreplayable::SegmentCount(id()));
        }
        let mut segments: Vec<DashSegment> = Vec::new();
        for segment in listed {
            let place = segment.place;
            let start_us = to_us(place.start - period.start);
            let end_us = to_us(place.end() - period.start);
            let time = match template.times {
                SegmentTimes::Timeline(_) => place.time.unwrap_or_default(),
                _ => ticks(start_us, template.timescale).saturating_add_signed(template.presentation_time_offset),
            };
            let duration = (place.duration * template.timescale as f64).round() as u64;
            let follows = segments.last().is_none_or(|last| end_us > last.end_us && Some(last.number) < place.number);
            let (Some(number), true, true) = (place.number, follows, duration > 0 && end_us > start_us) else {
                return Err(Unreplayable::SegmentCount(id()));
            };
            let file = file_at(&segment.url).filter(|file| dir.join(file).is_file()).ok_or_else(|| Unreplayable::NotInFolder(id()))?;
            let parts = part_us.map_or_else(|| [].into(), |part_us| parts_of(&dir.join(&file), &init, end_us - start_us, part_us));
            segments.push(DashSegment { number, time, duration, start_us, end_us, file, parts });
        }
        if segments.is_empty() {
            return Err(Unreplayable::SegmentCount(id()));
        }
        // The last segment is often shorter, and a few may come whole only. They do not make the others late: requests for them are held.
        let regular = &segments[..segments.len().saturating_sub(1).max(1)];
        let early_us = regular.iter().map(DashSegment::early_us).filter(|early_us| *early_us > 0).min().unwrap_or(0);
        let passes = Passes::new(segments.iter().map(|segment| segment.end_us).collect(), 0);
        Ok(Self { about: about.clone(), template: template.clone(), passes, segments, early_us, init })
    }

    /// How far numbers move on with each pass.
    fn numbers(&self) -> u64 {
        let (first, last) = (self.segments.first(), self.segments.last());
        first.zip(last).map_or(1, |(first, last)| last.number - first.number + 1)
    }

    pub(super) fn number(&self, at: Position) -> u64 {
        self.segments[at.index].number.saturating_add(at.pass.saturating_mul(self.numbers()))
    }

    pub(super) fn time(&self, at: Position) -> u64 {
        self.segments[at.index].time.saturating_add(ticks(self.passes.pass_us(at.pass), self.template.timescale))
    }

    /// The length of every segment in ticks, when that places all of them well.
    pub(super) fn uniform_duration(&self) -> u64 {
        let ticks = u128::from(self.passes.loop_us) * u128::from(self.template.timescale) / 1_000_000 / self.segments.len() as u128;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Whether numbers and one length say it all, over all passes.
    fn is_uniform(&self) -> bool {
        let (count, timescale) = (self.segments.len() as u64, u128::from(self.template.timescale));
        let each_us = self.passes.loop_us / count;
        u128::from(self.uniform_duration()) * u128::from(count) * 1_000_000 == u128::from(self.passes.loop_us) * timescale
            && self.numbers() == count
            && self.template.media.as_ref().is_some_and(|media| !media.contains("$Time"))
            && (0..).zip(&self.segments).all(|(index, segment)| segment.start_us.abs_diff(index * each_us) < each_us / 4)
    }

    fn live_segment(&self, at: Position) -> LiveSegment {
        let segment = &self.segments[at.index];
        let microseconds = self.passes.pass_us(at.pass);
        LiveSegment {
            file: segment.file.clone(),
            delay: Delay { microseconds, init: self.init.clone() },
            start_us: microseconds.saturating_add(segment.start_us),
            duration_us: segment.duration_us(),
            parts: segment.parts.clone(),
            streamed_early_us: Some(self.early_us).filter(|early_us| *early_us > 0),
        }
    }

    /// Which segment is at a URL.
    fn position(&self, url: &str) -> Option<Position> {
        let first = self.segments.first()?;
        match self.about.values_at(url)? {
            (Some(number), _) => {
                let from_first = number.checked_sub(first.number)?;
                let in_pass = first.number + from_first % self.numbers();
                let index = self.segments.binary_search_by_key(&in_pass, |segment| segment.number).ok()?;
                Some(Position { pass: from_first / self.numbers(), index })
            }
            (None, Some(time)) => {
                let us = u128::from(time.checked_sub(first.time)?) * 1_000_000 / u128::from(self.template.timescale);
                let pass = u64::try_from(us / u128::from(self.passes.loop_us)).ok()?;
                // Rounding may put the first segment of a pass a tick before it.
                [pass, pass.saturating_add(1)].into_iter().find_map(|pass| {
                    let in_pass = time.checked_sub(ticks(self.passes.pass_us(pass), self.template.timescale))?;
                    let index = self.segments.binary_search_by_key(&in_pass, |segment| segment.time).ok()?;
                    Some(Position { pass, index })
                })
            }
            (None, None) => None,
        }
    }

    /// Files of segments that are not of this representation, yet have the name that it gives to one of a later pass.
    pub(super) fn taken_name<'f>(&self, mut files: impl Iterator<Item = &'f str>) -> Option<Unreplayable> {
        let url = |file: &str| format!("{FOLDER_URL}{}", super::respond::encode_path(file));
        let taken = files.find(|file| self.position(&url(file)).is_some_and(|at| at.pass > 0))?;
        Some(Unreplayable::NameTaken(self.about.id.as_deref().unwrap_or_default().into(), taken.into()))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(|segment| segment.file.as_str())
    }
}

/// The parts of a segment; a single one when it cannot be divided.
fn parts_of(file: &Path, init: &InitTracks, segment_us: u64, part_us: u64) -> Arc<[Part]> {
    let Some(bytes) = read_segment(file) else { return [].into() };
    let whole = Part { bytes: 0..bytes.len(), end_us: segment_us, is_independent: true };
    PartedSegment::of(bytes, init, segment_us, part_us).map_or_else(|_| [whole].into(), |parted| parted.parts.into())
}

fn to_us(seconds: f64) -> u64 {
    (seconds * 1e6).round().max(0.0) as u64
}

fn ticks(us: u64, timescale: u64) -> u64 {
    u64::try_from(u128::from(us) * u128::from(timescale) / 1_000_000).unwrap_or(u64::MAX)
}
