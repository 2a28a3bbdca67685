//! The segments of a stream that is repeated without end, and when they end.

/// A segment of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) pass: u64,
    pub(super) index: usize,
}

/// Passes over some segments. Times are microseconds since the first pass began.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passes {
    /// Length of one pass; the same for all renditions of a presentation, so that they stay together.
    pub(super) loop_us: u64,
    /// When each segment ends, since its pass began.
    ends_us: Vec<u64>,
}

impl Passes {
    /// `loop_us` is raised to where the last segment ends. There must be a segment, and they must last.
    pub(super) fn new(ends_us: Vec<u64>, loop_us: u64) -> Self {
        Self { loop_us: loop_us.max(ends_us.last().copied().unwrap_or(0)).max(1), ends_us }
    }

    /// How many segments are listed at most when the last `us` are shown.
    pub(super) fn listed_in(&self, us: u64) -> u64 {
        (us / self.loop_us + 2).saturating_mul(self.ends_us.len() as u64)
    }

    /// Counted over all passes.
    pub(super) fn sequence(&self, at: Position) -> u64 {
        at.pass.saturating_mul(self.ends_us.len() as u64).saturating_add(at.index as u64)
    }

    pub(super) fn position(&self, sequence: u64) -> Position {
        let per_pass = self.ends_us.len() as u64;
        Position { pass: sequence / per_pass, index: (sequence % per_pass) as usize }
    }

    pub(super) fn next(&self, at: Position) -> Position {
        if at.index + 1 == self.ends_us.len() { Position { pass: at.pass + 1, index: 0 } } else { Position { index: at.index + 1, ..at } }
    }

    /// The segment that ends after that time, the first one.
    pub(super) fn first_ending_after(&self, us: u64) -> Position {
        let pass = us / self.loop_us;
        let index = self.ends_us.partition_point(|end_us| *end_us <= us % self.loop_us);
        if index == self.ends_us.len() { Position { pass: pass + 1, index: 0 } } else { Position { pass, index } }
    }

    /// When a pass begins.
    pub(super) fn pass_us(&self, pass: u64) -> u64 {
        pass.saturating_mul(self.loop_us)
    }

    /// When the segment before it ends.
    pub(super) fn start_us(&self, at: Position) -> u64 {
        self.pass_us(at.pass).saturating_add(at.index.checked_sub(1).map_or(0, |before| self.ends_us[before]))
    }

    pub(super) fn end_us(&self, at: Position) -> u64 {
        self.pass_us(at.pass).saturating_add(self.ends_us[at.index])
    }
}
