//! Loading one track: segment after segment, as far ahead as a player would, in the rendition that fits.

use std::sync::Arc;
use std::time::Duration;

use p2p_media_core::error::SegmentError;
use p2p_media_core::media::SegmentForm;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::arriving_fragments::ArrivingFragments;
use super::check::Delivered;
use super::playback::PlaybackState;
use super::quality::{Transfer, choose};
use super::{Viewing, lock, sleep_until};
use crate::player::{PlayerError, Segment, Segments, Track};

/// Seconds of media that are loaded ahead of the picture.
const BUFFER_TARGET_S: f64 = 30.0;
/// Attempts at one segment, and the first wait between them; doubled each time.
const ATTEMPTS: u32 = 4;
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(500);
/// The playlist that withdraws a part is here in a moment.
const WITHDRAWN_WAIT: Duration = Duration::from_millis(20);

impl Viewing<'_> {
    /// Loads a track to its end. `main` is the rendition that `segments` begins with, for the track whose rendition may change.
    pub(super) async fn load_track(&self, index: usize, mut main: Option<Track>, mut segments: Segments) {
        loop {
            self.wait_for_room(index).await;
            let segment = match segments.next().await {
                Ok(Some(segment)) => segment,
                Ok(None) => break,
                Err(error) => {
                    self.errors.add(error.to_string());
                    break;
                }
            };
            self.note_edge(&segments);
            // Decoding can only go over to another rendition where it can begin.
            if segment.info().is_independent
                && let Some(current) = main.as_mut()
                && let Some(other) = self.better_rendition(index, current)
            {
                match self.player.segments(&other).await {
                    Ok(opened) => {
                        segments = opened;
                        segments.continue_from(segment.info().start);
                        *lock(&self.height) = other.resolution.map(|(_, height)| height);
                        *current = other;
                        continue;
                    }
                    Err(error) => self.errors.add(error.to_string()),
                }
            }
            self.load_segment(index, segment, &mut segments).await;
        }
        lock(&self.playback).track_ended(Instant::now(), index);
        self.changed.notify_one();
    }

    /// Waits until the track is not too far ahead. Of a live stream everything is loaded at once.
    async fn wait_for_room(&self, index: usize) {
        loop {
            let (surplus_s, is_playing) = {
                let mut playback = lock(&self.playback);
                playback.advance(Instant::now());
                (playback.ahead_s(index) - BUFFER_TARGET_S, playback.state() == PlaybackState::Playing)
            };
            if self.live || surplus_s < 0.0 {
                return;
            }
            // While the picture stands still there is no telling when; looking twice a second costs nothing.
            let wait_s = if is_playing { surplus_s } else { 0.5 };
            sleep_until(Some(Instant::now() + Duration::from_secs_f64(wait_s) + Duration::from_millis(1))).await;
        }
    }

    fn better_rendition(&self, index: usize, current: &Track) -> Option<Track> {
        let ahead_s = lock(&self.playback).ahead_s(index);
        let chosen = choose(self.player.main_tracks(), self.quality, &lock(&self.throughput), Some((current, ahead_s)));
        (chosen != current).then(|| chosen.clone())
    }

    async fn load_segment(&self, index: usize, mut segment: Segment, segments: &mut Segments) {
        let start = segment.info().start;
        tracing::debug!(
            track = index,
            number = segment.info().number,
            part = segment.info().part,
            start,
            ahead = lock(&self.playback).ahead_s(index),
            "asking"
        );
        let stalls_before = lock(&self.playback).stalls();
        let mut wait = FIRST_RETRY_WAIT;
        let mut attempt = 1;
        let outcome = loop {
            match self.read(&mut segment, index).await {
                // Left the live window, or was never there: there is nothing to ask for.
                Err(error @ PlayerError::Segment { reason: SegmentError::UnknownSegment | SegmentError::Removed, .. }) => break Err(error),
                Err(error @ PlayerError::Segment { reason: SegmentError::OriginStatus(400..=499), .. }) if !self.live => break Err(error),
                Err(error) if attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "asking for a segment again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    attempt += 1;
                    segment.start_over();
                }
                outcome => break outcome,
            }
        };
        let (now, end) = (Instant::now(), segments.end_of(segment.info()));
        tracing::debug!(track = index, number = segment.info().number, part = segment.info().part, failed = outcome.is_err(), "answered");
        match outcome {
            Ok(true) => {
                let info = segment.info();
                if let (true, Some(key), Some(begins)) = (self.live, info.key, info.program_date_time) {
                    self.delays.completed(key, begins + end - start);
                }
                lock(&self.playback).segment_arrived(now, index, start, end);
            }
            // A part that was only hinted at need not come: another may in its place.
            Err(PlayerError::Segment { reason: SegmentError::UnknownSegment | SegmentError::Removed, .. }) if segment.info().is_part() => {
                tokio::time::sleep(WITHDRAWN_WAIT).await;
                segments.step_back();
            }
            Ok(false) => lock(&self.playback).segment_lost(now, index, end),
            Err(error) => {
                self.errors.add(error.to_string());
                lock(&self.playback).segment_lost(now, index, end);
            }
        }
        if index == 0 && lock(&self.playback).stalls() > stalls_before {
            lock(&self.throughput).distrust();
        }
        self.changed.notify_one();
    }

    /// Reads a segment with the initialization segment that it needs. False when it is a gap.
    async fn read(&self, segment: &mut Segment, index: usize) -> Result<bool, PlayerError> {
        if segment.info().gap {
            return Ok(false);
        }
        let mut transfer = Transfer::new();
        let mut hash = self.check.then(Sha256::new);
        let mut bytes = 0;
        // The decoder needs both; neither waits for the other.
        let init = if segment.init_changed() { Some(segment.init()) } else { None };
        let start = segment.info().start;
        let mut fragments = match segment.info().form {
            SegmentForm::Unfinished => segment.init().await?.map(|init| ArrivingFragments::new(&init)),
            SegmentForm::Whole | SegmentForm::Part => None,
        };
        let body = async {
            while let Some(chunk) = segment.chunk().await? {
                transfer.chunk(Instant::now(), chunk.len());
                bytes += chunk.len() as u64;
                if let Some(playable_s) = fragments.as_mut().and_then(|fragments| fragments.push(&chunk)) {
                    lock(&self.playback).segment_arrived(Instant::now(), index, start, start + playable_s);
                    self.changed.notify_one();
                }
                if let Some(hash) = hash.as_mut() {
                    hash.update(&chunk);
                }
            }
            Ok::<_, PlayerError>(())
        };
        match init {
            Some(init) => drop(futures::future::try_join(body, init).await?),
            None => body.await?,
        }
        let info = segment.info();
        // What is still being produced comes no faster than that.
        if index == 0 && info.form == SegmentForm::Whole {
            lock(&self.throughput).add(&transfer);
        }
        self.delivered.add(
            bytes,
            hash.map(|hash| Delivered {
                url: Arc::clone(&info.url),
                byte_range: info.byte_range,
                sha256: hash.finalize().into(),
                at: Instant::now(),
            }),
        );
        Ok(true)
    }
}
