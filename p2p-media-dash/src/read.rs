//! The MPD element to data (ISO/IEC 23009-1, section 5.3.1), and when periods begin and end (section 5.3.2.1).

use std::sync::Arc;

use p2p_media_core::date_time::parse_date_time;

use crate::base_url::{BaseUrls, UrlBudget};
use crate::durations::parse_duration;
use crate::encoding::decode;
use crate::error::{MpdError, excerpt};
use crate::mpd::{Mpd, PatchLocation, Period, UtcTiming};
use crate::read_period::{PeriodReader, is_resolved_to_zero};
use crate::read_segments::SegmentReader;
use crate::read_values::decimal;
use crate::remarks::Remarks;
use crate::xml::{Document, Element};

/// Time sources, and likewise locations, of one MPD.
const MAX_ALTERNATIVES: usize = 16;

/// Reads an MPD (ISO/IEC 23009-1) that was loaded from `url`. Tolerant: an attribute that cannot be read counts as absent, an unknown element is
/// passed over. Segments are not expanded.
///
/// # Errors
/// [`MpdError`] when it is no well-formed XML, no MPD, or larger than the limits of this crate; or when `url` is not absolute.
pub fn parse(bytes: &[u8], url: &str) -> Result<Mpd, MpdError> {
    let text = decode(bytes)?;
    let document = Document::parse(&text)?;
    read_mpd(document.root(), url)
}

/// The meaning of a tree whose root must be an MPD element.
pub(crate) fn read_mpd(root: Element<'_>, url: &str) -> Result<Mpd, MpdError> {
    if root.name() != "MPD" {
        return Err(MpdError::NotAnMpd { line: root.line(), root: excerpt(root.name()) });
    }
    let of_document = BaseUrls::of_mpd(url)?;
    let mut segments = SegmentReader::new();
    let base_urls = of_document.of_contents(root).below(root, &mut segments.urls)?;
    let mut remarks = Remarks::default();
    remarks.note(root);

    let time = |name| root.attribute(name).and_then(|text| parse_date_time(&text));
    let duration = |name| root.attribute(name).and_then(|text| parse_duration(&text));
    let mut mpd = Mpd {
        id: root.attribute("id").map(Arc::from),
        live: root.attribute("type").is_some_and(|kind| kind.trim() == "dynamic"),
        duration: duration("mediaPresentationDuration"),
        availability_start: time("availabilityStartTime").unwrap_or(0.0),
        availability_end: time("availabilityEndTime"),
        publish_time: time("publishTime"),
        minimum_update_period: duration("minimumUpdatePeriod"),
        time_shift_buffer_depth: duration("timeShiftBufferDepth"),
        suggested_presentation_delay: duration("suggestedPresentationDelay"),
        max_segment_duration: duration("maxSegmentDuration"),
        ..Mpd::default()
    };
    for child in root.children() {
        match child.name() {
            "UTCTiming" if mpd.utc_timings.len() < MAX_ALTERNATIVES => {
                read_utc_timing(child, &base_urls, &mut segments.urls, &mut mpd.utc_timings, &mut remarks)?;
            }
            "Location" if mpd.locations.len() < MAX_ALTERNATIVES => {
                mpd.locations.extend(of_document.resolve(&child.text(), child, &mut segments.urls)?);
            }
            "ServiceDescription" if mpd.target_latency.is_none() => {
                let target = child.children_named("Latency").find_map(|latency| latency.attribute("target"));
                mpd.target_latency = target.and_then(|text| decimal(&text)).filter(|&target| target >= 0.0).map(|target| target / 1000.0);
            }
            _ => {}
        }
    }

    if let Some(location) = root.child("PatchLocation") {
        let ttl = location.attribute("ttl").and_then(|text| decimal(&text)).filter(|&ttl| ttl >= 0.0);
        let url = of_document.resolve(&location.text(), location, &mut segments.urls)?;
        mpd.patch_location = url.map(|url| PatchLocation { url, ttl });
    }

    let placed = place_periods(root, mpd.duration, &mut remarks);
    let mut reader = PeriodReader::new(segments, remarks);
    for PlacedPeriod { element, start, duration } in placed {
        let representations = reader.read(element, &base_urls)?;
        mpd.periods.push(Period { id: element.attribute("id").map(Arc::from), start, duration, representations });
    }
    mpd.remarks = reader.remarks.into_list();
    Ok(mpd)
}

/// UTCTiming (section 5.8.4.11); @value may list several URLs. The schemes of the first edition (2012) mean the same.
fn read_utc_timing(
    element: Element<'_>,
    base_urls: &BaseUrls,
    budget: &mut UrlBudget,
    timings: &mut Vec<UtcTiming>,
    remarks: &mut Remarks,
) -> Result<(), MpdError> {
    let (Some(scheme), Some(value)) = (element.attribute("schemeIdUri"), element.attribute("value")) else { return Ok(()) };
    let scheme = scheme.trim();
    let kind = scheme.strip_prefix("urn:mpeg:dash:utc:").and_then(|kind| kind.strip_suffix(":2014").or_else(|| kind.strip_suffix(":2012")));
    let make: fn(Arc<str>) -> UtcTiming = match kind {
        Some("direct") => {
            timings.extend(parse_date_time(&value).map(UtcTiming::Direct));
            return Ok(());
        }
        Some("http-xsdate" | "http-iso") => UtcTiming::HttpBody,
        Some("http-head") => UtcTiming::HttpHead,
        _ => {
            remarks.add("UTCTiming", Some(scheme));
            return Ok(());
        }
    };
    for url in value.split_ascii_whitespace().take(MAX_ALTERNATIVES - timings.len()) {
        timings.extend(base_urls.resolve(url, element, budget)?.map(make));
    }
    Ok(())
}

/// A Period with its place on the presentation timeline.
struct PlacedPeriod<'d> {
    element: Element<'d>,
    start: f64,
    duration: Option<f64>,
}

/// When periods begin: at their @start, or where the one before them ends by its own @duration; the first at 0, as players have it in dynamic
/// MPDs, too. One without such a place is announced early and left out. A period lasts up to the @start of the next, the last one up to the end
/// of the presentation; its own @duration counts where that is not known.
fn place_periods<'d>(root: Element<'d>, presentation_duration: Option<f64>, remarks: &mut Remarks) -> Vec<PlacedPeriod<'d>> {
    let time = |element: Element<'_>, name| element.attribute(name).and_then(|text| parse_duration(&text));
    let mut placed: Vec<PlacedPeriod<'d>> = Vec::new();
    let mut expected_start = Some(0.0);
    for element in root.children_named("Period").filter(|period| !is_resolved_to_zero(*period)) {
        let own_start = time(element, "start");
        if let (Some(start), Some(previous)) = (own_start, placed.last_mut()) {
            previous.duration = Some(start - previous.start).filter(|&duration| duration > 0.0).or(previous.duration);
        }
        let Some(start) = own_start.or(expected_start) else {
            remarks.add("Period without a start", element.attribute("id").as_deref());
            continue;
        };
        let duration = time(element, "duration");
        expected_start = duration.map(|duration| start + duration);
        placed.push(PlacedPeriod { element, start, duration });
    }
    if let (Some(end), Some(last)) = (presentation_duration, placed.last_mut()) {
        last.duration = Some((end - last.start).max(0.0));
    }
    placed
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
