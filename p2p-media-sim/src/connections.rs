//! The ends of peer connections that a node has, and what stands for session descriptions.

use p2p_media_core::engine::input::ConnectionId;

use crate::flow_control::FlowControl;
use crate::link::End;
use crate::simulation::NodeId;

/// One node's ends, by their rising numbers. Those are kept by themselves: a search then touches little memory.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    connections: Vec<ConnectionId>,
    states: Vec<EndState>,
}

/// An end; the other end once it is known, and whether the channel is open.
#[derive(Debug, Default)]
pub(crate) struct EndState {
    pub(crate) remote: Option<End>,
    pub(crate) is_open: bool,
    /// What this end sends.
    pub(crate) flow: FlowControl,
    /// Bytes that have left of which the engine has not been told.
    pub(crate) unreported: usize,
}

impl Ends {
    pub(crate) fn get(&self, connection: ConnectionId) -> Option<&EndState> {
        self.place(connection).ok().map(|place| &self.states[place])
    }

    pub(crate) fn get_mut(&mut self, connection: ConnectionId) -> Option<&mut EndState> {
        self.place(connection).ok().map(|place| &mut self.states[place])
    }

    pub(crate) fn insert(&mut self, connection: ConnectionId, state: EndState) {
        match self.place(connection) {
            Ok(place) => self.states[place] = state,
            Err(place) => {
                self.connections.insert(place, connection);
                self.states.insert(place, state);
            }
        }
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<EndState> {
        self.place(connection).ok().map(|place| {
            self.connections.remove(place);
            self.states.remove(place)
        })
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.iter().copied()
    }

    fn place(&self, connection: ConnectionId) -> Result<usize, usize> {
        self.connections.binary_search(&connection)
    }
}

/// What stands for a session description: where the connection leads.
pub(crate) fn description((node, connection): End) -> String {
    format!("sim {} {}", node.0, connection.0)
}

pub(crate) fn parse_description(text: &str) -> Option<End> {
    let (node, connection) = text.strip_prefix("sim ")?.split_once(' ')?;
    Some((NodeId(node.parse().ok()?), ConnectionId(connection.parse().ok()?)))
}
