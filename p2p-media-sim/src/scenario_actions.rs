//! What a scenario may do to viewers, trackers and the network while time passes.

use p2p_media_core::config::{Config, DynamicConfig};
use p2p_media_core::engine::input::Input;
use p2p_media_core::event::Stats;
use p2p_media_core::identity::InfoHash;
use p2p_media_core::media::StreamKey;
use p2p_media_core::timestamp::Timestamp;

use crate::content::Presentation;
use crate::link::End;
use crate::network::AccessLink;
use crate::player::Player;
use crate::simulation::{Happening, NodeId, Role, Simulation};
use crate::tracker::Tracker;
use crate::viewer::Turn;

/// Seconds after which a connection whose other side vanished is seen to be broken.
const VANISHED_AFTER_S: f64 = 5.0;

impl Simulation {
    /// The viewer's user seeks to a position, in seconds.
    pub fn seek(&mut self, node: NodeId, position_s: f64) {
        self.with_player(node, |player, now, presentation| player.seek(now, position_s, presentation));
    }

    /// The viewer's user pauses.
    pub fn pause(&mut self, node: NodeId) {
        self.with_player(node, |player, now, presentation| player.pause(now, presentation));
    }

    /// The viewer's user goes on.
    pub fn resume(&mut self, node: NodeId) {
        self.with_player(node, |player, now, _| player.resume(now));
    }

    /// The track that plays one stream plays another from its next segment on.
    pub fn switch(&mut self, node: NodeId, from: u32, to: u32) {
        self.with_player(node, |player, _, _| {
            player.switch(StreamKey(from), StreamKey(to));
            Vec::new()
        });
    }

    fn with_player(&mut self, node: NodeId, act: impl FnOnce(&mut Player, Timestamp, &Presentation) -> Vec<Input>) {
        let now = self.now();
        self.with_viewer(node, |viewer, presentation, effects| {
            let inputs = act(&mut viewer.player, now, presentation);
            viewer.inputs(now, inputs, presentation, effects);
            viewer.step_player(now, presentation, effects);
        });
    }

    /// Changes the viewer's options; what the change starts from are the options of the beginning.
    pub fn configure(&mut self, node: NodeId, change: impl FnOnce(&Config) -> DynamicConfig) {
        let change = change(self.viewer(node).config());
        self.tell_viewer(node, Input::ConfigChanged(Box::new(change)));
    }

    /// Another connection to the network from now on.
    pub fn set_access(&mut self, node: NodeId, access: AccessLink) {
        self.network.set_access(node, access);
        self.place_viewer(node);
    }

    /// Limits what the origin sends in all, in bytes per second.
    pub const fn set_origin_rate(&mut self, bytes_per_s: f64) {
        self.network.set_origin_rate(bytes_per_s);
    }

    /// How far the origin and the trackers are from the middle of the network, in seconds.
    pub fn set_origin_latency(&mut self, seconds: f64) {
        self.network.origin_latency_s = seconds;
        (0..self.nodes.len() as u32).for_each(|node| self.place_viewer(NodeId(node)));
    }

    /// The viewer leaves as it should.
    pub fn leave(&mut self, node: NodeId) {
        self.tell_viewer(node, Input::Shutdown);
        for end in self.network.ends_of(node) {
            self.close_connection(end);
        }
        self.cut_off(node);
        self.nodes[node.0 as usize].is_alive = false;
    }

    /// A viewer or a scripted peer is gone all of a sudden; its peers notice some seconds later.
    pub fn vanish(&mut self, node: NodeId) {
        if matches!(self.nodes[node.0 as usize].role, Role::Viewer(_)) {
            self.cut_off(node);
        }
        self.nodes[node.0 as usize].is_alive = false;
        self.break_connections(node);
    }

    /// Does something about a viewer unless it has left.
    pub(crate) fn if_present(&mut self, node: NodeId, act: impl FnOnce(&mut Self)) {
        let state = &self.nodes[node.0 as usize];
        if state.is_alive && matches!(state.role, Role::Viewer(_)) {
            act(self);
        }
    }

    /// A viewer has left for good: only its figures are kept.
    pub(crate) fn forget_viewer(&mut self, node: NodeId) {
        let now = self.now();
        let state = &mut self.nodes[node.0 as usize];
        if let Role::Viewer(viewer) = &state.role {
            let left_at_s = Some(now.as_secs_f64());
            state.role = Role::Gone(Box::new(crate::report::ViewerReport { left_at_s, ..viewer.report(now) }));
        }
    }

    /// As [`Self::vanish`], at a time in seconds.
    pub fn vanish_at(&mut self, at_s: f64, node: NodeId) {
        self.at(at_s, move |simulation| simulation.vanish(node));
    }

    /// What a viewer's engine counts now.
    pub fn stats(&mut self, node: NodeId) -> Stats {
        self.viewer(node).engine.stats()
    }

    /// The whole program stands still for a while, as a tab in the background does; what arrives meanwhile waits.
    pub fn freeze(&mut self, node: NodeId, seconds: f64) {
        let until = self.queue.now().offset_secs(seconds);
        // Queued first, so that the player learns of the jump before anything else happens.
        self.queue.push(until, Happening::Turn(node, Turn::Thaw));
        self.nodes[node.0 as usize].frozen_until = until;
    }

    /// The machine sleeps: as [`Self::freeze`], but nothing that was under way survives.
    pub fn sleep(&mut self, node: NodeId, seconds: f64) {
        self.freeze(node, seconds);
        for (tracker, _) in self.viewer(node).sockets.clone() {
            self.tell_in(0.0, node, Input::TrackerClosed(tracker, "connection reset".to_owned()));
        }
        for fetch in self.cut_off(node) {
            self.tell_in(0.0, node, Input::HttpFailed(fetch, "connection reset".to_owned()));
        }
        for (_, connection) in self.break_connections(node) {
            self.tell_in(0.0, node, Input::ConnectionClosed(connection, "disconnected".to_owned()));
        }
    }

    /// The node's connections are dead; the other sides notice later. Gives the node's own ends.
    fn break_connections(&mut self, node: NodeId) -> Vec<End> {
        let ends = self.network.ends_of(node);
        for end in &ends {
            if let Some((other, connection)) = self.network.disconnect(*end) {
                self.tell_in(VANISHED_AFTER_S, other, Input::ConnectionClosed(connection, "disconnected".to_owned()));
            }
        }
        ends
    }

    /// A further tracker, which viewers use when their options name it.
    pub fn add_tracker(&mut self, url: &str) {
        self.trackers.push(Tracker::new(url.to_owned()));
    }

    /// A tracker dies: every websocket to it breaks.
    pub fn tracker_goes_down(&mut self, url: &str) {
        let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url) else { return };
        for socket in tracker.go_down() {
            let input = Input::TrackerClosed(socket.tracker, "connection reset".to_owned());
            self.queue.push_in(0.0, Happening::FromTracker(socket, input));
        }
    }

    /// A tracker is back, knowing nobody.
    pub fn tracker_comes_back(&mut self, url: &str) {
        if let Some(tracker) = self.trackers.iter_mut().find(|tracker| tracker.url == url) {
            tracker.is_down = false;
        }
    }

    /// How many members the trackers count in the swarm of a stream.
    pub fn swarm_members(&self, stream: u32) -> usize {
        let info_hash = InfoHash::of_swarm(&self.presentation.registration(StreamKey(stream)).swarm_id);
        self.trackers.iter().map(|tracker| tracker.members(&info_hash.0)).max().unwrap_or(0)
    }
}
