//! Turns the manifests of a folder into live ones.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    time::Duration,
};

use super::{
    LiveConfig, LowLatency, NotReplayed, OriginError,
    catalogue::{Catalogue, read_at_most, resolve},
    dash_replay::{LiveMpd, LiveRepresentation, Unreplayable},
    fmp4_samples::InitTracks,
    live::{LivePlaylist, PlaylistParts, micros},
    playlist::{MalformedPlaylist, VodPlaylist, attribute},
    production::Production,
};

/// How much of a file is searched for an init segment.
const MAX_INIT_SEGMENT_BYTES: u64 = 1024 * 1024;
/// Segments that a live playlist lists.
const MAX_LISTED_SEGMENTS: u64 = 100_000;
/// Fewer target durations than this in a live playlist break players (RFC 8216, section 6.2.2).
const MIN_WINDOW_TARGET_DURATIONS: u32 = 3;
/// Size of a segment that is changed on its way (delayed, or offered in parts): it is held in memory for that.
pub(super) const MAX_CHANGED_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The manifests of a folder as live ones.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) playlists: BTreeMap<String, LivePlaylist>,
    pub(super) mpds: BTreeMap<String, LiveMpd>,
    /// DASH manifests that are served as they are, and why.
    pub(super) not_replayed: Vec<NotReplayed>,
    pub(super) production: Production,
    /// Long enough for every playlist.
    pub(super) window: Duration,
    pub(super) low_latency: Option<LowLatency>,
}

impl Replay {
    /// Turns every manifest into a live one. All renditions of a presentation loop together: when the longest ends. Blocks.
    pub(super) fn of(catalogue: &Catalogue, dir: &Path, config: &LiveConfig) -> Result<Self, OriginError> {
        let mut parsed = BTreeMap::new();
        for (path, text) in &catalogue.media_playlists {
            let malformed = |error: MalformedPlaylist| OriginError::MalformedPlaylist { path: dir.join(path), reason: error.to_string() };
            parsed.insert(path.as_str(), VodPlaylist::parse(text).map_err(malformed)?);
        }
        let length_us = |path: &str| parsed.get(path).map_or(0, VodPlaylist::length_us);
        let loop_us: BTreeMap<&str, u64> = catalogue
            .presentations
            .iter()
            .flat_map(|paths| {
                let longest = paths.iter().map(|path| length_us(path)).max().unwrap_or(0);
                paths.iter().map(move |path| (path.as_str(), longest))
            })
            .collect();
        let mut replay = Self {
            playlists: BTreeMap::new(),
            mpds: BTreeMap::new(),
            not_replayed: Vec::new(),
            production: Production::default(),
            window: config.window,
            low_latency: config.low_latency,
        };
        for (path, vod) in parsed {
            let playlist = LivePlaylist::new(vod, loop_us.get(path).copied().unwrap_or(0));
            replay.window = replay.window.max(playlist.target_duration() * MIN_WINDOW_TARGET_DURATIONS);
            if playlist.passes.listed_in(micros(replay.window)) > MAX_LISTED_SEGMENTS {
                let reason = format!("too short for a window of {} s", replay.window.as_secs());
                return Err(OriginError::MalformedPlaylist { path: dir.join(path), reason });
            }
            replay.production.add(&playlist, |uri| resolve(path, uri), |map| init_tracks(dir, path, map));
            replay.playlists.insert(path.into(), playlist);
        }
        if let Some(low_latency) = &config.low_latency {
            replay.divide(catalogue, dir, low_latency);
        }
        replay.add_mpds(catalogue, dir);
        if replay.playlists.is_empty() && replay.mpds.is_empty() {
            let reasons = replay.not_replayed.iter().map(|NotReplayed { path, reason }| format!("; {path}: {reason}")).collect();
            return Err(OriginError::NothingToReplay { dir: dir.to_path_buf(), reasons });
        }
        Ok(replay)
    }

    fn add_mpds(&mut self, catalogue: &Catalogue, dir: &Path) {
        let part_us = self.low_latency.map(|low_latency| micros(low_latency.part).max(1));
        for (path, mpd) in &catalogue.mpds {
            let live = match mpd {
                Ok(mpd) => LiveMpd::new(mpd, dir, micros(self.window), part_us),
                Err(error) => Err(Unreplayable::Unreadable(error.clone())),
            };
            match live {
                Ok(live) => {
                    self.window = self.window.max(Duration::from_micros(live.longest_us) * MIN_WINDOW_TARGET_DURATIONS);
                    self.mpds.insert(path.clone(), live);
                }
                Err(reason) => self.leave(path, &reason),
            }
        }
        let files: Vec<&str> = self.mpds.values().flat_map(LiveMpd::representations).flat_map(LiveRepresentation::files).collect();
        let taken_name = |live: &LiveMpd| {
            let files = || self.production.files().chain(files.iter().copied());
            live.representations().find_map(|representation| representation.taken_name(files()))
        };
        let taken: Vec<_> = self.mpds.iter().filter_map(|(path, live)| Some((path.clone(), taken_name(live)?))).collect();
        for (path, reason) in taken {
            self.mpds.remove(&path);
            self.leave(&path, &reason);
        }
    }

    fn leave(&mut self, path: &str, reason: &Unreplayable) {
        tracing::warn!(%path, %reason, "this manifest is not replayed: it is served as it is");
        self.not_replayed.push(NotReplayed { path: path.to_owned(), reason: reason.to_string() });
    }

    /// Offers every playlist's segments in parts, where they can be divided.
    fn divide(&mut self, catalogue: &Catalogue, dir: &Path, low_latency: &LowLatency) {
        let part_us = micros(low_latency.part).max(1);
        let mut undivided = 0;
        for (path, playlist) in &mut self.playlists {
            let mut parts = Vec::with_capacity(playlist.vod.segments.len());
            for segment in &playlist.vod.segments {
                let read = |file: &str| read_segment(&dir.join(file));
                let file = resolve(path, &segment.uri);
                parts.push(file.map_or_else(|| [].into(), |file| self.production.divide(&file, part_us, || read(&file))));
            }
            undivided += parts.iter().filter(|parts| parts.is_empty()).count();
            let longest_us = parts.iter().flat_map(|parts| {
                let mut start_us = 0;
                parts.iter().map(move |part| part.end_us - std::mem::replace(&mut start_us, part.end_us))
            });
            let Some(longest_us) = longest_us.max() else {
                tracing::warn!(%path, "no segment of this playlist can be offered in parts: it is replayed without low latency");
                continue;
            };
            if longest_us > part_us {
                tracing::warn!(%path, milliseconds = longest_us / 1000, "single frames last longer than a part should");
            }
            let siblings: HashSet<&String> = catalogue.presentations.iter().filter(|set| set.contains(path)).flatten().collect();
            let mut renditions: Vec<_> = siblings.into_iter().filter(|sibling| *sibling != path).cloned().collect();
            renditions.sort();
            let renditions = renditions.into_iter().map(|sibling| (relative_uri(path, &sibling), sibling)).collect();
            let (target_us, byte_ranges) = (longest_us.max(part_us), low_latency.byte_ranges);
            playlist.low_latency = Some(PlaylistParts { target_us, byte_ranges, segments: parts, renditions });
        }
        if undivided > 0 {
            tracing::warn!(
                segments = undivided,
                "some segments cannot be offered in parts (no fMP4 or MPEG-TS file of their own, encrypted, or damaged)"
            );
        }
    }

    /// What the playlist at `path` says of the other renditions.
    pub(super) fn rendition_reports(&self, playlist: &LivePlaylist, now_us: u64) -> String {
        let renditions = playlist.low_latency.iter().flat_map(|low_latency| &low_latency.renditions);
        renditions.filter_map(|(uri, path)| Some(self.playlists.get(path)?.rendition_report(uri, now_us))).collect()
    }
}

/// The tracks of the init segment that an EXT-X-MAP line of the playlist at `path` names; none when there is none. An init segment in the
/// file of its segments comes first there, so that its byte range can be left aside.
fn init_tracks(dir: &Path, path: &str, map: &str) -> InitTracks {
    let file = attribute(map, "URI").and_then(|uri| resolve(path, uri));
    file.map_or_else(InitTracks::default, |file| read_init(&dir.join(file)))
}

/// What an init segment says; nothing when it cannot be read.
pub(super) fn read_init(file: &Path) -> InitTracks {
    read_at_most(file, MAX_INIT_SEGMENT_BYTES).map_or_else(|_| InitTracks::default(), |bytes| InitTracks::read(&bytes))
}

/// The bytes of a segment that is not too large to be changed.
pub(super) fn read_segment(file: &Path) -> Option<Vec<u8>> {
    let is_small = fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_CHANGED_FILE_BYTES);
    is_small.then(|| fs::read(file).ok())?
}

/// How a playlist at one path below the folder names another.
fn relative_uri(from: &str, to: &str) -> String {
    let folders: Vec<&str> = from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect();
    let parts: Vec<&str> = to.split('/').collect();
    let shared = folders.iter().zip(&parts[..parts.len() - 1]).take_while(|(folder, part)| folder == part).count();
    let up = "../".repeat(folders.len() - shared);
    up + &super::respond::encode_path(&parts[shared..].join("/"))
}

#[cfg(test)]
mod tests {
    use super::{super::catalogue::tests::folder, *};

    fn replay(dir: &Path, window_seconds: u64) -> Result<Replay, OriginError> {
        let config = LiveConfig { window: Duration::from_secs(window_seconds), low_latency: None };
        Replay::of(&Catalogue::scan(dir).unwrap(), dir, &config)
    }

    #[test]
    fn playlists_name_each_other() {
        assert_eq!(relative_uri("a.m3u8", "b c.m3u8"), "b%20c.m3u8");
        assert_eq!(relative_uri("x/y/a.m3u8", "x/z/b.m3u8"), "../z/b.m3u8");
        assert_eq!(relative_uri("x/a.m3u8", "b.m3u8"), "../b.m3u8");
        assert_eq!(relative_uri("a.m3u8", "x/a.m3u8"), "x/a.m3u8");
    }

    #[test]
    fn renditions_loop_together() {
        let dir = folder(&[
            ("one.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb.m3u8\n"),
            ("two.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nc.m3u8\n"),
            ("a.m3u8", "#EXTM3U\n#EXTINF:4,\na.ts\n"),
            ("b.m3u8", "#EXTM3U\n#EXTINF:5,\nb.ts\n"),
            ("c.m3u8", "#EXTM3U\n#EXTINF:6,\nc.ts\n"),
            ("alone.m3u8", "#EXTM3U\n#EXTINF:7,\nd.ts\n"),
        ]);
        let replay = replay(dir.path(), 6).unwrap();
        let loops: Vec<_> = replay.playlists.iter().map(|(path, playlist)| (path.as_str(), playlist.passes.loop_us / 1_000_000)).collect();
        assert_eq!(loops, [("a.m3u8", 6), ("alone.m3u8", 7), ("b.m3u8", 6), ("c.m3u8", 6)]);
        assert_eq!(replay.window, Duration::from_secs(21), "three target durations of the longest");
    }

    #[test]
    fn a_replay_needs_sound_playlists() {
        let dir = folder(&[("a/v.m3u8", "#EXTM3U\n#EXTINF:x,\na.ts\n")]);
        let error = replay(dir.path(), 6).unwrap_err();
        assert!(error.to_string().ends_with("a/v.m3u8: line 2: EXTINF has no usable duration"), "{error}");
        let dir = folder(&[("v.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:0.00001,\na.ts\n")]);
        let error = replay(dir.path(), 6).unwrap_err();
        assert!(error.to_string().ends_with("v.m3u8: too short for a window of 12 s"), "{error}");
        let dir = folder(&[("x.mpd", "<MPD/>")]);
        let error = replay(dir.path(), 6).unwrap_err();
        assert!(matches!(error, OriginError::NothingToReplay { .. }));
    }
}
