//! What changed in a stream between two views: only what may differ is looked at.

use std::collections::HashMap;
use std::sync::Arc;

use p2p_media_core::media::{Resource, SegmentForm, SegmentId, StreamUpdate};

use super::common_times;
use super::version::{Item, Span, View};
use crate::mpd::Addressing;

/// Periods that begin within so many seconds of each other are the same one in two versions.
const SAME_START_SECONDS: f64 = 0.001;

/// A server that moves its availabilityStartTime further than this, in seconds, was restarted; less is a clock that is set.
const RESTART_SECONDS: f64 = 1.0;

/// Notes in `update` what is in one view and not in the other, or is there in another way.
pub(super) fn note_changes(old: View<'_>, new: View<'_>, update: &mut StreamUpdate) {
    if is_restart(&old, &new) {
        update.removed.extend(old.items().map(|(_, item)| item.id));
        update.added.extend(new.items().filter_map(|(span, item)| span.segment(&item)));
        return;
    }
    if !old.is_orderly() || !new.is_orderly() {
        compare(old.items(), new.items(), update);
        return;
    }
    let mut comparison = Comparison::default();
    let mut old_spans = old.spans().peekable();
    for new_span in new.spans() {
        let is_before = |old: &Span<'_>| old.period.start < new_span.period.start - SAME_START_SECONDS;
        while let Some(old_span) = old_spans.next_if(is_before) {
            comparison.add_old(&old_span, old_span.clone().items());
        }
        let is_same = |old: &Span<'_>| old.period.start <= new_span.period.start + SAME_START_SECONDS;
        match old_spans.next_if(is_same) {
            Some(old_span) => comparison.add_pair(&old_span, &new_span),
            None => comparison.add_new(&new_span, new_span.clone().items()),
        }
    }
    for old_span in old_spans {
        comparison.add_old(&old_span, old_span.clone().items());
    }
    compare(comparison.old.into_iter(), comparison.new.into_iter(), update);
}

/// Times are counted from another zero: the same start and even the same URL may be another segment now.
fn is_restart(old: &View<'_>, new: &View<'_>) -> bool {
    let (old, new) = (&old.version.mpd, &new.version.mpd);
    old.live && new.live && (old.availability_start - new.availability_start).abs() > RESTART_SECONDS
}

/// What may differ.
#[derive(Default)]
struct Comparison<'o, 'n> {
    old: Vec<(Span<'o>, Item)>,
    new: Vec<(Span<'n>, Item)>,
}

impl<'o, 'n> Comparison<'o, 'n> {
    fn add_old(&mut self, span: &Span<'o>, items: impl Iterator<Item = Item>) {
        self.old.extend(items.map(|item| (span.clone(), item)));
    }

    fn add_new(&mut self, span: &Span<'n>, items: impl Iterator<Item = Item>) {
        self.new.extend(items.map(|item| (span.clone(), item)));
    }

    /// The same period in both views. What is before and behind the settled part that both have is compared.
    fn add_pair(&mut self, old: &Span<'o>, new: &Span<'n>) {
        let settled = settled_in_both(old, new);
        self.old.extend(unsettled(old, settled).map(|item| (old.clone(), item)));
        self.new.extend(unsettled(new, settled).map(|item| (new.clone(), item)));
    }
}

/// From when to when, in seconds on the timeline, both have the same segments in the same places, all of them finished: those that begin and end
/// within these times.
fn settled_in_both(old: &Span<'_>, new: &Span<'_>) -> (f64, f64) {
    const NOTHING: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);
    let Some((common_from, common_to)) = same_segments(old, new) else { return NOTHING };
    let first = |span: &Span<'_>| span.clone().items().next().map_or(f64::INFINITY, |item| item.place.start);
    let from = common_from.max(first(old)).max(first(new));
    let to = common_to.min(old.settled_until()).min(new.settled_until());
    (from, to)
}

/// What begins before the settled part, or begins later and ends behind it.
fn unsettled<'v>(span: &Span<'v>, (from, to): (f64, f64)) -> impl Iterator<Item = Item> {
    let before = span.clone().items().take_while(move |item| item.place.start < from);
    let behind = (to < f64::INFINITY && from < f64::INFINITY).then(|| span.clone().items_ending_after(to));
    before.chain(behind.into_iter().flatten().filter(move |item| item.place.start >= from))
}

/// Between which times on the timeline the segments of both, wherever both have some, are the same.
fn same_segments(old: &Span<'_>, new: &Span<'_>) -> Option<(f64, f64)> {
    const ALL: Option<(f64, f64)> = Some((f64::NEG_INFINITY, f64::INFINITY));
    if std::ptr::eq(old.representation, new.representation) && std::ptr::eq(old.period, new.period) {
        let is_same_index = match (old.index, new.index) {
            (Some(old), Some(new)) => old.is_same(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        return if is_same_index { ALL } else { None };
    }
    if old.period.start != new.period.start {
        return None;
    }
    match (&old.representation.addressing, &new.representation.addressing) {
        (Addressing::Template(old_template), Addressing::Template(new_template)) => {
            common_times::of_templates(old_template, new_template, old.period.start)
        }
        (Addressing::List(old), Addressing::List(new)) if old == new => ALL,
        (Addressing::Indexed(_), Addressing::Indexed(_)) if old.index.zip(new.index).is_some_and(|(old, new)| old.is_same(new)) => ALL,
        _ => None,
    }
}

/// Compares by id; in either list ids are distinct.
fn compare<'o, 'n>(old: impl Iterator<Item = (Span<'o>, Item)>, new: impl Iterator<Item = (Span<'n>, Item)>, update: &mut StreamUpdate) {
    let old: Vec<(Span<'o>, Item)> = old.collect();
    let mut places: HashMap<SegmentId, usize> = old.iter().enumerate().map(|(index, (_, item))| (item.id, index)).collect();
    for (span, item) in new {
        let change = match places.remove(&item.id).map(|index| &old[index]) {
            None => Change::Added,
            Some((old_span, old_item)) => change(old_span, old_item, &span, &item),
        };
        if change == Change::Replaced {
            update.removed.push(item.id);
        }
        if change != Change::None {
            update.added.extend(span.segment(&item));
        }
    }
    // In playing order.
    let gone = old.iter().filter(|(_, item)| places.contains_key(&item.id));
    update.removed.extend(gone.map(|(_, item)| item.id));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// New, or the same at another address, finished or with another duration.
    Added,
    /// Something else has the id now.
    Replaced,
}

fn change(old_span: &Span<'_>, old: &Item, new_span: &Span<'_>, new: &Item) -> Change {
    let is_finished = old.form == SegmentForm::Unfinished && new.form == SegmentForm::Whole;
    let is_elsewhere_in_time = (old.place.start - new.place.start).abs() > SAME_START_SECONDS
        || (old.place.duration - new.place.duration).abs() > SAME_START_SECONDS;
    let seems_same = is_same_place(old, new) && have_same_source(old_span, new_span);
    if seems_same {
        return if is_finished || is_elsewhere_in_time { Change::Added } else { Change::None };
    }
    match (old_span.resource(&old.place), new_span.resource(&new.place)) {
        (Some(old_resource), Some(new_resource)) if old_resource == new_resource => {
            if is_finished || is_elsewhere_in_time {
                Change::Added
            } else {
                Change::None
            }
        }
        (Some(old_resource), Some(new_resource)) if is_same_content(&old_resource, &new_resource) => Change::Added,
        _ => Change::Replaced,
    }
}

fn is_same_place(old: &Item, new: &Item) -> bool {
    old.place.number == new.place.number && old.place.time == new.place.time
}

/// True when equal numbers and times have equal URLs.
fn have_same_source(old: &Span<'_>, new: &Span<'_>) -> bool {
    match (old.template(), new.template()) {
        (Some(old), Some(new)) => old.media == new.media,
        _ => false,
    }
}

/// The same file name counts as the same resource: hosts, paths and queries change with servers and tokens.
fn is_same_content(old: &Resource, new: &Resource) -> bool {
    fn file_name(url: &Arc<str>) -> Option<&str> {
        url.split(['?', '#']).next()?.rsplit('/').next()
    }
    old.byte_range == new.byte_range && file_name(&old.url) == file_name(&new.url)
}
