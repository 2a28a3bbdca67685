//! `drive()`: carries out what the engine decides, by means of a [`Backend`], and tells it what came of it. It decides nothing.
//!
//! All work runs in one set of futures inside the one task of `drive()`: nothing is spawned, so the future is `Send` exactly when the
//! backend's futures are. Where several things are ready, sources take turns (no `select!`, which would choose at random), so neither a
//! busy channel nor a busy player keeps the others waiting.

mod connections;
mod http_transfers;
mod jobs;
mod observer;
mod storage_operations;
mod tracker_sockets;
mod translation;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Abortable, Aborted, Fuse, FutureExt as _};
use futures::stream::{FuturesUnordered, Stream};

use crate::backend::{Backend, Clock};
use crate::engine::input::Input;
use crate::engine::output::Output;
use crate::event::Stats;
use crate::segment_validator::SegmentValidator;
use crate::session::{Command, DriverInput, EventSubscribers};
use crate::timestamp::Timestamp;
use jobs::{Done, perform};
use observer::Observed;
pub use observer::Observer;
use translation::Translation;

/// How long trackers may take to hear that we left, and storage to finish.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);
/// Inputs handled in a row before other tasks of the same thread get their turn. One costs microseconds.
const INPUTS_PER_TURN: u32 = 64;

/// Runs the engine of one session on a platform, until [`crate::session::Session::shutdown`] or until every handle on the session is
/// dropped. Dropping the future ends everything at once, without farewell.
pub async fn drive<B: Backend, V: SegmentValidator>(backend: B, mut input: DriverInput<V>) {
    let engine = Observed::new(input.config.clone(), input.seed, backend.clock().now(), input.observer.take());
    run(&backend, engine, input).await;
}

/// What the driver serves: the engine, or a script in tests.
trait Decider {
    fn handle_input(&mut self, now: Timestamp, input: Input);
    fn poll_output(&mut self) -> Option<Output>;
    fn next_deadline(&self) -> Option<Timestamp>;
    fn stats(&self) -> Stats;
    fn is_finished(&self) -> bool;
}

/// Why the driver woke up.
enum Wake<B: Backend> {
    Timer,
    Command(Option<Command>),
    Work(Result<Done<B>, Aborted>),
}

/// The three sources, in the order of the first turn.
const SOURCES: usize = 3;
const TIMER: usize = 0;
const COMMANDS: usize = 1;

/// Closes the event streams however the driver ends.
struct CloseEvents(EventSubscribers);

async fn run<B: Backend, V: SegmentValidator, D: Decider>(backend: &B, decider: D, input: DriverInput<V>) {
    // Declared first, dropped last: who waits for the end finds everything closed.
    let mut waiting_for_end = Vec::new();
    let mut decider = decider;
    let DriverInput { validator, commands, events, final_stats, .. } = input;
    let mut commands = Some(commands);
    let _close_events = CloseEvents(events.clone());
    let clock = backend.clock();
    let mut translation = Translation::<B>::new(events);
    let mut work = FuturesUnordered::new();
    let mut timer = pin!(Fuse::terminated());
    let mut armed = None;
    let mut give_up = None;
    let mut turn = 0;
    let mut handled = 0;

    loop {
        while let Some(output) = decider.poll_output() {
            translation.carry_out(output);
        }
        for (job, registration) in translation.take_jobs() {
            work.push(Abortable::new(perform(backend, &validator, job), registration));
        }
        if give_up.is_some() && decider.is_finished() && translation.is_flushed() {
            break;
        }

        // The timer is only moved forward: deadlines change with every chunk, and one that fires too early is cheaper than that.
        let deadline = [decider.next_deadline(), give_up].into_iter().flatten().min();
        if let Some(deadline) = deadline.filter(|deadline| armed.is_none_or(|armed| *deadline < armed)) {
            armed = Some(deadline);
            timer.set(sleep_until(clock.clone(), deadline).fuse());
        }

        let wake = poll_fn(|context| {
            (0..SOURCES)
                .find_map(|offset| match (turn + offset) % SOURCES {
                    TIMER => timer.as_mut().poll(context).is_ready().then_some(Wake::Timer),
                    COMMANDS => commands.as_mut().and_then(|commands| ready(Pin::new(commands).poll_next(context))).map(Wake::Command),
                    _ => ready(Pin::new(&mut work).poll_next(context)).flatten().map(Wake::Work),
                })
                .map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        turn = (wake.source() + 1) % SOURCES;

        let now = clock.now();
        let input = match wake {
            Wake::Timer => {
                armed = None;
                if give_up.is_some_and(|give_up| give_up <= now) {
                    tracing::debug!("some farewells were not out in time");
                    break;
                }
                decider.next_deadline().filter(|deadline| *deadline <= now).map(|_| Input::DeadlineReached)
            }
            Wake::Command(Some(Command::TakeStats(sender))) => {
                // Nobody waits for it any more when this fails.
                let _ = sender.send(decider.stats());
                None
            }
            Wake::Command(Some(Command::Shutdown(sender))) => {
                waiting_for_end.push(sender);
                give_up.is_none().then_some(Input::Shutdown)
            }
            Wake::Command(Some(command)) => translation.command(command),
            Wake::Command(None) => {
                commands = None;
                give_up.is_none().then_some(Input::Shutdown)
            }
            Wake::Work(Ok(done)) => translation.finished(done),
            Wake::Work(Err(Aborted)) => None,
        };
        if let Some(input) = input {
            if matches!(input, Input::Shutdown) {
                give_up = Some(now + SHUTDOWN_LIMIT);
            }
            decider.handle_input(now, input);
        }
        handled += 1;
        if handled % INPUTS_PER_TURN == 0 {
            yield_to_other_tasks().await;
        }
    }
    *final_stats.lock().unwrap_or_else(PoisonError::into_inner) = decider.stats();
}

impl<B: Backend> Wake<B> {
    const fn source(&self) -> usize {
        match self {
            Self::Timer => TIMER,
            Self::Command(_) => COMMANDS,
            Self::Work(_) => COMMANDS + 1,
        }
    }
}

impl Drop for CloseEvents {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Owns the clock, so that the future can outlive the turn that made it.
async fn sleep_until<C: Clock>(clock: C, deadline: Timestamp) {
    clock.sleep_until(deadline).await;
}

/// Is pending once: any executor polls other tasks before it comes back.
async fn yield_to_other_tasks() {
    let mut yielded = false;
    poll_fn(|context: &mut Context<'_>| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests;
