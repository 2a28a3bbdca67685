//! The player's side of p2p-media: open a stream by its URL, read its segments in order, say where playback stands.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use p2p_media_native::player::{Player, PlayerConfig};
//!
//! let player = Player::open("https://example.com/master.m3u8", PlayerConfig::default()).await?;
//! let mut segments = player.segments(&player.main_tracks()[0]).await?;
//! while let Some(mut segment) = segments.next().await? {
//!     player.set_playhead(segment.info().start, 1.0)?;
//!     let init = segment.init().await?; // to the decoder first, when `segment.init_changed()`
//!     while let Some(bytes) = segment.chunk().await? {
//!         // to the decoder, while the rest is still on its way
//!     }
//! }
//! player.close().await;
//! # Ok(()) }
//! ```
//!
//! Segments come from peers or from the origin, whichever the engine finds better; playlists and initialization segments always from the
//! origin. Keys (EXT-X-KEY) are named in [`SegmentInfo::keys`], fetching them and decrypting is the player's business.

mod cursor;
mod dash;
mod error;
mod hls;
mod init_segments;
pub(crate) mod resource;
mod segments;
mod source;
mod track_version;
mod tracks;

use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use p2p_media_core::backend::Backend as _;
use p2p_media_core::config::Config;
use p2p_media_core::driver::drive;
use p2p_media_core::event::Stats;
use p2p_media_core::media::Playhead;
use p2p_media_core::session::{EventStream, Session, SessionError, session};
use p2p_media_recording::{Outcome, Recorder};

pub use error::PlayerError;
#[cfg(feature = "program")]
pub(crate) use resource::fetch_resource;
pub use segments::{Segment, SegmentInfo, Segments, Window};
pub use tracks::Track;

use crate::backend::NativeBackend;
use crate::http_fetcher::ReqwestFetcher;
use crate::limited_link::{LimitedBackend, LinkLimits};
use crate::manifest_fetch::fetch_manifest;
use crate::peer_transport::Farewells;
use crate::segment_storage::StorageChoice;
use init_segments::InitSegments;
use source::{LiveOptions, Source, SourceContext};

/// How a [`Player`] works.
#[derive(Clone, Debug, Default)]
pub struct PlayerConfig {
    /// Options of the engine: trackers, ICE servers, limits.
    pub engine: Config,
    /// Where segments are kept.
    pub storage: StorageChoice,
    /// HTTP connections to share with others; its own when absent.
    pub http: Option<ReqwestFetcher>,
    /// Seconds behind the live edge at which playing is to begin; as the manifest says when absent.
    pub latency: Option<f64>,
    /// Whether parts of segments (low-latency HLS), or segments that are not finished yet (DASH), are read near the live edge. When absent,
    /// they are where they are offered; parts only if the wanted latency is less than whole segments allow.
    pub low_latency: Option<bool>,
    /// Seed of the engine's choices, its peer id among them; random when absent.
    pub seed: Option<u64>,
    /// A slower link than the machine has, for tests and trials.
    pub link: LinkLimits,
    /// Record the session into this file, see [`p2p_media_recording`]: no media, but what trackers and peers say.
    pub record: Option<PathBuf>,
}

/// An open stream. Needs a tokio runtime; leaves its swarms by [`Player::close`], or when it and everything that it gave are dropped.
#[derive(Debug)]
pub struct Player {
    shared: Arc<Shared>,
    tracks: Vec<Track>,
    manifest_url: String,
    recording: Option<Outcome>,
}

/// What a player and its open tracks have in common.
#[derive(Debug)]
struct Shared {
    session: Session,
    http: ReqwestFetcher,
    farewells: Farewells,
    source: Source,
    init_segments: InitSegments,
}

impl Player {
    /// Fetches a manifest and gets ready to share its streams. Nothing is shared before segments are read.
    ///
    /// # Errors
    /// When the manifest cannot be had, or is neither an HLS playlist nor a DASH manifest, or the configuration is wrong, or the file for a
    /// recording cannot be made.
    pub async fn open(url: &str, config: PlayerConfig) -> Result<Self, PlayerError> {
        config.engine.validate()?;
        if !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(PlayerError::InvalidUrl { url: url.to_owned() });
        }
        let mut backend = NativeBackend::new(&config.engine.ice_servers, config.storage)?;
        if let Some(http) = config.http {
            backend = backend.with_http(http);
        }
        let http = backend.http().clone();
        let farewells = backend.peers().farewells().clone();

        let unavailable = |reason| PlayerError::Manifest { url: url.to_owned(), reason };
        let manifest = fetch_manifest(&http, url).await.map_err(unavailable)?;
        let manifest_url = manifest.url.clone();

        let seed = config.seed.unwrap_or_else(|| RandomState::new().hash_one(url));
        let (swarm_label, swarm_base) = (config.engine.protocol_version_label.clone(), config.engine.swarm_id.clone());
        let (session, mut input) = session(config.engine, seed);
        let mut recording = None;
        if let Some(path) = config.record {
            let recorder = Recorder::create(&path).map_err(|error| PlayerError::Recording { path, reason: error.to_string() })?;
            recording = Some(recorder.outcome());
            input = input.with_observer(Box::new(recorder));
        }
        let live = LiveOptions { latency: config.latency, low_latency: config.low_latency };
        let context = SourceContext { session: session.clone(), http: http.clone(), live, swarm_label, swarm_base };
        let (source, tracks) = Source::open(context, manifest).await?;
        if config.link.is_unlimited() {
            tokio::spawn(drive(backend, input));
        } else {
            tokio::spawn(drive(LimitedBackend::new(backend, config.link), input));
        }
        let init_segments = InitSegments::new(http.clone());
        Ok(Self { shared: Arc::new(Shared { session, http, farewells, source, init_segments }), tracks, manifest_url, recording })
    }

    /// The manifest's URL after redirects.
    pub fn manifest_url(&self) -> &str {
        &self.manifest_url
    }

    /// Everything that can be played, in the manifest's order: main tracks first.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Tracks to choose one of: video (with or without sound), or the audio of an audio-only presentation. Never empty.
    pub fn main_tracks(&self) -> &[Track] {
        let count = self.tracks.iter().take_while(|track| track.is_main()).count();
        // A manifest with nothing but audio renditions.
        &self.tracks[..if count == 0 { self.tracks.len() } else { count }]
    }

    /// The separate audio to play beside a main track: the default one of its group. `None` when it has its sound in itself, or none.
    pub fn audio_of(&self, main: &Track) -> Option<&Track> {
        let group = main.audio_group.as_deref()?;
        let audio = || self.tracks.iter().filter(|track| !track.is_main() && track.groups.iter().any(|held| **held == *group));
        audio().find(|track| track.is_default).or_else(|| audio().next())
    }

    /// Begins to read a track: at its beginning, or near the live edge (three target durations behind it, or as the playlist says).
    ///
    /// # Errors
    /// When its playlist (HLS) or its segment index (DASH) cannot be had or is none, or the player was closed.
    pub async fn segments(&self, track: &Track) -> Result<Segments, PlayerError> {
        let versions = self.shared.source.open_track(track).await?;
        Ok(Segments::new(Arc::clone(&self.shared), versions))
    }

    /// Says where playback stands, in seconds on the timeline of [`SegmentInfo::start`], and how fast it goes: 1 is normal, 0 paused. Call it
    /// on a seek, a pause, and a few times a second while playing: by it the engine knows what is needed when.
    ///
    /// # Errors
    /// When the player was closed.
    pub fn set_playhead(&self, position: f64, rate: f64) -> Result<(), SessionError> {
        self.shared.session.set_playhead(Playhead { position, rate })
    }

    /// Figures since the player was opened.
    pub async fn stats(&self) -> Stats {
        self.shared.session.stats().await
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> EventStream {
        self.shared.session.events()
    }

    /// What became of the recording, also when the player is closed; `None` when none was asked for.
    pub fn recording(&self) -> Option<Outcome> {
        self.recording.clone()
    }

    /// The engine's session, for what the player does not offer itself.
    pub fn session(&self) -> &Session {
        &self.shared.session
    }

    /// The HTTP connections.
    #[cfg(feature = "program")]
    pub(crate) fn http(&self) -> &ReqwestFetcher {
        &self.shared.http
    }

    /// Leaves the swarms and ends every transfer; trackers and peers hear of it. Gives the last figures.
    pub async fn close(self) -> Stats {
        self.shared.session.shutdown().await;
        self.shared.farewells.said().await;
        self.shared.session.stats().await
    }
}
