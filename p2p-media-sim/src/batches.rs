//! Many viewers at once: what happens within a millisecond is taken together, and the turns of different viewers in it run in parallel.
//!
//! A viewer's turn touches that viewer alone. What turns lead to is carried out afterwards, one by one in the order of the turns, so that
//! the outcome does not depend on the number of threads. Events keep their exact times; only their order within a millisecond may
//! differ between nodes.

use p2p_media_core::timestamp::Timestamp;

use crate::content::Presentation;
use crate::simulation::{NodeId, Role, Simulation};
use crate::viewer::{Effect, Turn, Viewer};

/// Turns below which a second thread costs more than it gives.
const FEWEST_TURNS: usize = 24;

/// A turn to be taken.
#[derive(Debug)]
pub(crate) struct DueTurn {
    node: NodeId,
    at: Timestamp,
    turn: Option<Turn>,
}

/// A viewer that is taken out of its node for the turns of one batch.
#[derive(Debug)]
struct TakenOut {
    node: NodeId,
    viewer: Box<Viewer>,
    turns: usize,
}

/// Effects with the number of the turn that they come from.
type Numbered = Vec<(u32, Effect)>;

impl Simulation {
    /// From now on time passes in steps of a millisecond, in which viewers take their turns on two threads if there are that many. Faster
    /// with thousands of viewers; the same for any number of threads, but not the same as step by step.
    pub const fn run_in_batches(&mut self) {
        self.in_batches = true;
    }

    pub(crate) fn run_batches_until(&mut self, until: Timestamp) {
        let (mut batch, mut due) = (Vec::new(), Vec::new());
        let (mut first, mut second) = (Numbered::new(), Numbered::new());
        loop {
            self.queue.pop_batch(until, &mut batch);
            if batch.is_empty() {
                return;
            }
            self.due_turns = Some(std::mem::take(&mut due));
            for (at, happening) in batch.drain(..) {
                self.queue.set_now(at);
                self.happen(happening);
            }
            due = self.due_turns.take().unwrap_or_default();
            self.take_turns(&mut due, &mut first, &mut second);
            let (mut first_effects, mut second_effects) = (first.drain(..).peekable(), second.drain(..).peekable());
            loop {
                let from_first = match (first_effects.peek(), second_effects.peek()) {
                    (Some((one, _)), Some((other, _))) => one < other,
                    (Some(_), None) => true,
                    (None, Some(_)) => false,
                    (None, None) => break,
                };
                let next = if from_first { first_effects.next() } else { second_effects.next() };
                if let Some((number, effect)) = next {
                    let DueTurn { node, at, .. } = due[number as usize];
                    self.queue.set_now(at);
                    self.carry_out(node, effect);
                }
            }
            due.clear();
        }
    }

    /// Puts a turn off until all that happens in this millisecond is known; gives it back when time does not pass in batches.
    pub(crate) fn put_off(&mut self, node: NodeId, turn: Turn) -> Option<Turn> {
        let Some(due) = &mut self.due_turns else { return Some(turn) };
        due.push(DueTurn { node, at: self.queue.now(), turn: Some(turn) });
        None
    }

    fn take_turns(&mut self, due: &mut [DueTurn], first: &mut Numbered, second: &mut Numbered) {
        let mut turns: Vec<_> =
            due.iter_mut().zip(0..).filter_map(|(due, number)| Some((due.node, number, due.at, due.turn.take()?))).collect();
        turns.sort_unstable_by_key(|(node, number, ..)| (*node, *number));
        let mut viewers: Vec<TakenOut> = Vec::new();
        for (node, ..) in &turns {
            match viewers.last_mut() {
                Some(taken) if taken.node == *node => taken.turns += 1,
                _ => viewers.extend(self.take_out(*node)),
            }
        }
        // What is for others than viewers, who left meanwhile, falls away.
        turns.retain(|(node, ..)| viewers.binary_search_by_key(node, |taken| taken.node).is_ok());
        let presentation = &self.presentation;
        if turns.len() < FEWEST_TURNS {
            take(&mut viewers, turns, presentation, first);
        } else {
            let middle = viewers.len() / 2;
            let (lower, upper) = viewers.split_at_mut(middle);
            let upper_turns = turns.split_off(lower.iter().map(|taken| taken.turns).sum());
            rayon::join(|| take(lower, turns, presentation, first), || take(upper, upper_turns, presentation, second));
        }
        for TakenOut { node, viewer, .. } in viewers {
            self.nodes[node.0 as usize].role = Role::Viewer(viewer);
        }
    }

    fn take_out(&mut self, node: NodeId) -> Option<TakenOut> {
        let role = &mut self.nodes[node.0 as usize].role;
        match std::mem::replace(role, Role::Away) {
            Role::Viewer(viewer) => Some(TakenOut { node, viewer, turns: 1 }),
            other => {
                *role = other;
                None
            }
        }
    }
}

/// Takes the turns of viewers, given in the order of the viewers.
fn take(viewers: &mut [TakenOut], turns: Vec<(NodeId, u32, Timestamp, Turn)>, presentation: &Presentation, effects: &mut Numbered) {
    let mut own = Vec::new();
    let mut turns = turns.into_iter();
    for taken in viewers {
        for (_, number, at, turn) in turns.by_ref().take(taken.turns) {
            taken.viewer.turn(at, turn, presentation, &mut own);
            effects.extend(own.drain(..).map(|effect| (number, effect)));
        }
    }
    // Viewers come by their numbers, effects go by those of the turns; each turn's keep their order.
    effects.sort_by_key(|(number, _)| *number);
}
