//! Which stream of an MPD a URL may belong to, by templates and BaseURLs alone: nothing is expanded.

use crate::mpd::{Addressing, Representation};
use crate::template::UrlTemplate;
use crate::timeline::PresentationTimeline;

/// What a URL may be in an MPD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlMatch {
    /// Index in [`PresentationTimeline::streams`].
    pub stream: usize,
    /// What stands in place of `$Number$`.
    pub number: Option<u64>,
    /// What stands in place of `$Time$`.
    pub time: Option<u64>,
}

impl PresentationTimeline {
    /// The streams that may have a segment at a URL, whether or not it is available or even listed. Costs a comparison of texts for each
    /// representation, and for each segment of a SegmentList.
    pub fn streams_at<'t>(&'t self, url: &'t str) -> impl Iterator<Item = UrlMatch> + 't {
        self.placements().iter().filter_map(move |placement| {
            let representation = self.mpd().periods.get(placement.period)?.representations.get(placement.representation)?;
            let (number, time) = representation.values_at(url)?;
            Some(UrlMatch { stream: placement.stream, number, time })
        })
    }
}

impl Representation {
    /// Number and time of its segment at a URL, as far as the URL has them; `None` when it has none there.
    pub fn values_at(&self, url: &str) -> Option<(Option<u64>, Option<u64>)> {
        let is_there = match &self.addressing {
            Addressing::Template(template) => {
                let values = UrlTemplate::new(template.media.as_deref()?).values_in(url)?;
                return Some((values.number, values.time));
            }
            Addressing::List(list) => list.segments.iter().any(|segment| *segment.url == *url),
            Addressing::Indexed(index) => *index.media == *url,
            Addressing::Whole(media) => **media == *url,
            Addressing::None => false,
        };
        is_there.then_some((None, None))
    }
}
