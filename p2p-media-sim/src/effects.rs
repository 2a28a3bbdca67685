//! What viewers want of the world, carried out.

use p2p_media_core::engine::input::{HttpId, Input};
use p2p_media_core::engine::output::Output;
use p2p_media_core::timestamp::Timestamp;

use crate::simulation::{Happening, NodeId, Role, Simulation};
use crate::tracker::Socket;
use crate::viewer::{Effect, Turn, Viewer};

/// Seconds that it takes to gather candidates for an offer or an answer.
const GATHERING_S: f64 = 0.05;

impl Simulation {
    /// The viewer in a node.
    ///
    /// # Panics
    /// When the node is no viewer: the scenario is wrong.
    pub(crate) fn viewer(&mut self, node: NodeId) -> &mut Viewer {
        match &mut self.nodes[node.0 as usize].role {
            Role::Viewer(viewer) => viewer,
            Role::Scripted(_) | Role::Gone(_) | Role::Away => panic!("{node:?} is not a viewer"),
        }
    }

    /// A viewer takes a turn, and what it leads to is carried out.
    pub(crate) fn turn(&mut self, node: NodeId, turn: Turn) {
        let Some(turn) = self.put_off(node, turn) else { return };
        let now = self.queue.now();
        self.with_viewer(node, |viewer, presentation, effects| viewer.turn(now, turn, presentation, effects));
    }

    /// Something happens to a viewer's engine.
    pub(crate) fn tell_viewer(&mut self, node: NodeId, input: Input) {
        self.turn(node, Turn::Input(input));
    }

    /// Does something with a viewer, and carries out what it leads to.
    pub(crate) fn with_viewer(&mut self, node: NodeId, act: impl FnOnce(&mut Viewer, &crate::content::Presentation, &mut Vec<Effect>)) {
        let Role::Viewer(viewer) = &mut self.nodes[node.0 as usize].role else { return };
        let mut effects = std::mem::take(&mut self.effects);
        act(viewer, &self.presentation, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(node, effect);
        }
        self.effects = effects;
    }

    pub(crate) fn carry_out(&mut self, node: NodeId, effect: Effect) {
        match effect {
            Effect::Output(output) => self.carry_out_output(node, output),
            Effect::TurnIn(seconds, turn) => self.queue.push_in(seconds, Happening::Turn(node, turn)),
            Effect::TurnAt(at, turn) => self.queue.push(at, Happening::Turn(node, turn)),
            Effect::Disconnected(connection) => _ = self.network.disconnect((node, connection)),
        }
    }

    fn carry_out_output(&mut self, node: NodeId, output: Output) {
        match output {
            Output::StartHttp(id, request) => {
                let seconds = self.network.latency_to_servers(node);
                self.network.begin_http(node, id);
                self.queue.push_in(seconds, Happening::OriginGets(node, id, request));
            }
            Output::StopHttp(id) => self.network.stop_http(node, id),

            Output::OpenTracker(tracker, url) => {
                let viewer = self.viewer(node);
                viewer.attempts += 1;
                let attempt = viewer.attempts;
                viewer.sockets.retain(|(other, _)| *other != tracker);
                viewer.sockets.push((tracker, attempt));
                self.open_socket(Socket { node, tracker, attempt }, &url);
            }
            Output::CloseTracker(tracker) => self.viewer(node).sockets.retain(|(other, _)| *other != tracker),
            Output::SendToTracker(tracker, text) => {
                if let Some(attempt) = self.viewer(node).socket(tracker) {
                    self.send_to_tracker(Socket { node, tracker, attempt }, text);
                }
            }

            Output::MakeOffer(connection, _) => {
                let offer = self.network.offer((node, connection));
                self.tell_in(GATHERING_S, node, Input::OfferMade(connection, offer));
            }
            Output::MakeAnswer(connection, offer) => match self.network.answer((node, connection), &offer) {
                Some(answer) => self.tell_in(GATHERING_S, node, Input::AnswerMade(connection, answer)),
                None => self.tell_in(0.0, node, Input::ConnectionClosed(connection, "not an offer".to_owned())),
            },
            Output::AcceptAnswer(connection, answer) => match self.network.accept(&mut self.queue, (node, connection), &answer) {
                Some(()) => {}
                None => self.tell_in(0.0, node, Input::ConnectionClosed(connection, "not an answer".to_owned())),
            },
            Output::SendToPeer(connection, message) => self.network.send_message(&mut self.queue, (node, connection), message),
            Output::CloseConnection(connection, _) => self.close_connection((node, connection)),
            // What stays in the viewer was carried out there.
            _ => {}
        }
    }

    /// Ends all that a node has under way, without farewell.
    pub(crate) fn cut_off(&mut self, node: NodeId) -> Vec<HttpId> {
        for (tracker, attempt) in std::mem::take(&mut self.viewer(node).sockets) {
            self.trackers.iter_mut().for_each(|state| state.closed(Socket { node, tracker, attempt }));
        }
        let fetches = std::mem::take(&mut self.viewer(node).fetches);
        for id in &fetches {
            self.network.stop_http(node, *id);
        }
        fetches
    }

    /// The time at which a viewer's clock stands, for what a scenario does to it.
    pub(crate) const fn now(&self) -> Timestamp {
        self.queue.now()
    }
}
