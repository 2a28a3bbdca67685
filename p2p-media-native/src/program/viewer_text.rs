//! A viewer's state in words, for progress lines and tables.

use std::time::Duration;

use indicatif::DecimalBytes;

use crate::viewer::{DelaySamples, PlaybackState, SegmentDelays, ViewerReport, ViewerStatus};

/// The columns of [`row`].
pub(super) const HEADER: &str = "  state    time  buffer  picture       http        p2p   p2p %         up  peers  stalls";

/// Errors of one viewer that are shown.
const MAX_ERROR_LINES: usize = 5;

/// One viewer in a table.
pub(super) fn row(status: &ViewerStatus) -> String {
    let stats = &status.stats;
    format!(
        "{:>7} {:>7} {:>6.1}s {:>8} {:>10} {:>10} {:>6} {:>10} {:>6} {:>7}{}",
        state(status.state),
        clock(status.elapsed),
        status.buffer,
        status.height.map_or_else(String::new, |height| format!("{height}p")),
        bytes(stats.http_bytes),
        bytes(stats.p2p_bytes),
        share(stats.p2p_bytes, stats.http_bytes),
        bytes(stats.uploaded_bytes),
        stats.peers,
        status.stalls,
        status.latency.map_or_else(String::new, |latency| format!("  {latency:.1} s behind")),
    )
}

/// One viewer on a line.
pub(super) fn line(status: &ViewerStatus) -> String {
    let stats = &status.stats;
    let mut parts = vec![
        format!("{} {}", state(status.state), clock(status.elapsed)),
        format!("buffer {:.1} s", status.buffer),
        format!("http {}", bytes(stats.http_bytes)),
        format!("p2p {} ({})", bytes(stats.p2p_bytes), share(stats.p2p_bytes, stats.http_bytes)),
        format!("up {}", bytes(stats.uploaded_bytes)),
        format!("{} peers", stats.peers),
        format!("{} stalls", status.stalls),
    ];
    parts.extend(status.height.map(|height| format!("{height}p")));
    parts.extend(status.latency.map(|latency| format!("{latency:.1} s behind live")));
    parts.join(" · ")
}

/// What a viewer reports, on a few lines.
pub(super) fn summary(report: &ViewerReport) -> String {
    let startup = report.startup_ms.map_or_else(|| "never started".to_owned(), |ms| format!("started in {ms:.0} ms"));
    let mut text = format!(
        "{}\n  {startup}, played {:.1} s, {} stalls ({:.1} s)",
        report.manifest,
        report.played_s,
        report.stalls,
        report.stall_ms / 1000.0
    );
    if let Some(latency) = report.latency_s {
        text += &format!(", {latency:.1} s behind live");
    }
    text += &format!(
        "\n  {} segments, {}: http {}, p2p {} ({}), uploaded {}, at most {} peers",
        report.segments,
        bytes(report.delivered_bytes),
        bytes(report.http_bytes),
        bytes(report.p2p_bytes),
        share(report.p2p_bytes, report.http_bytes),
        bytes(report.uploaded_bytes),
        report.peers_max
    );
    if let Some(delays) = &report.segment_delay_ms {
        text += &format!("\n  segments came {} after their completion at the origin", delay_text(delays));
    }
    if let (Some(checked), Some(unchecked), Some(mismatched)) = (report.checked, report.unchecked, report.mismatched) {
        text += &format!("\n  checked {checked} segments against the origin: {mismatched} differ");
        if unchecked > 0 {
            text += &format!(", {unchecked} could not be had again");
        }
    }
    text
}

/// What went wrong, on a few lines.
pub(super) fn error_lines(report: &ViewerReport) -> Vec<String> {
    let mut lines: Vec<_> = report.errors.iter().take(MAX_ERROR_LINES).cloned().collect();
    if let more @ 1.. = report.errors.len().saturating_sub(MAX_ERROR_LINES) {
        lines.push(format!("and {more} more errors"));
    }
    lines
}

/// The delays of segments: `210 ms over HTTP (95% within 300 ms, 41), …`.
pub(super) fn delay_text(delays: &SegmentDelays) -> String {
    let part = |samples: &DelaySamples, over: &str| {
        let (median, p95) = samples.quantile(0.5).zip(samples.quantile(0.95))?;
        Some(format!("{median:.0} ms over {over} (95% within {p95:.0} ms, {} of them)", samples.count()))
    };
    [part(&delays.http, "HTTP"), part(&delays.p2p, "P2P")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn bytes(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

fn share(part: u64, rest: u64) -> String {
    match part + rest {
        0 => "-".to_owned(),
        all => format!("{:.0}%", part as f64 * 100.0 / all as f64),
    }
}

fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

const fn state(state: PlaybackState) -> &'static str {
    match state {
        PlaybackState::Starting => "waiting",
        PlaybackState::Playing => "playing",
        PlaybackState::Stalled => "stalled",
        PlaybackState::Ended => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_errors_are_counted() {
        let mut report = ViewerReport { errors: vec!["404".to_owned(); MAX_ERROR_LINES], ..ViewerReport::default() };
        assert_eq!(error_lines(&report), report.errors);
        report.errors.extend(["404".to_owned(), "404".to_owned()]);
        assert_eq!(error_lines(&report).len(), MAX_ERROR_LINES + 1);
        assert_eq!(error_lines(&report).last().map(String::as_str), Some("and 2 more errors"));
    }
}
