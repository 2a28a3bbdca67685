//! The smallest player: the best picture of an HLS or DASH stream (with its sound, unless that is separate), in order, to standard output.
//!
//! ```sh
//! cargo run --release -p rust-player -- https://example.com/master.m3u8 | ffplay -
//! ```
//!
//! A second argument names a tracker to meet other viewers through, in place of the public ones.

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use p2p_media_native::player::{Player, PlayerConfig};
use tokio::time::Instant;

/// Seconds of media that are written ahead of the picture.
const AHEAD_S: f64 = 20.0;

#[tokio::main]
async fn main() -> ExitCode {
    match play().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-player: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: rust-player URL [TRACKER]")?;
    let mut config = PlayerConfig::default();
    if let Some(tracker) = arguments.next() {
        config.engine.announce_trackers = vec![tracker];
    }

    let player = Player::open(&url, config).await?;
    let track = player.main_tracks().iter().max_by_key(|track| track.bandwidth).ok_or("nothing to play")?;
    let mut segments = player.segments(track).await?;
    let (began, start) = (Instant::now(), segments.window().start_playing_at);
    'segments: while let Some(mut segment) = segments.next().await? {
        // The picture runs by the clock; peers have time to deliver what it needs only later.
        let due_s = (segment.info().start - start - AHEAD_S).max(0.0);
        tokio::time::sleep_until(began + Duration::from_secs_f64(due_s)).await;
        player.set_playhead(start + began.elapsed().as_secs_f64(), 1.0)?;
        if segment.init_changed()
            && let Some(init) = segment.init().await?
            && !write(&init)?
        {
            break 'segments;
        }
        while let Some(bytes) = segment.chunk().await? {
            if !write(&bytes)? {
                break 'segments;
            }
        }
    }
    let stats = player.close().await;
    eprintln!("{} bytes from the origin, {} from peers, {} sent to peers", stats.http_bytes, stats.p2p_bytes, stats.uploaded_bytes);
    Ok(())
}

/// False when nobody reads any more.
fn write(bytes: &[u8]) -> Result<bool, std::io::Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        outcome => outcome.map(|()| true),
    }
}
