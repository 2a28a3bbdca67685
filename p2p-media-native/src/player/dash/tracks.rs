//! The tracks of an MPD.

use std::sync::Arc;

use p2p_media_core::media::StreamKind;
use p2p_media_dash::DashStream;

use crate::player::tracks::Track;

/// The one group of all separate audio: any of it goes with any video.
const AUDIO: &str = "audio";

/// One track for each stream.
pub(super) fn of_streams(streams: &[DashStream], url: &str) -> Vec<Track> {
    let group: Arc<str> = AUDIO.into();
    let describe = |(index, stream): (usize, &DashStream)| {
        let is_main = stream.kind == StreamKind::Main;
        Track {
            bandwidth: stream.bandwidth,
            resolution: stream.width.zip(stream.height),
            codecs: stream.codecs.clone(),
            frame_rate: stream.frame_rate,
            name: stream.label.clone(),
            language: stream.language.clone(),
            is_default: stream.is_default,
            switching_set: stream.adaptation_set,
            audio_group: is_main.then(|| Arc::clone(&group)),
            groups: if is_main { Vec::new() } else { vec![Arc::clone(&group)] },
            ..Track::new(index, stream.kind, &stream.id, url)
        }
    };
    streams.iter().enumerate().map(describe).collect()
}
