//! Stream ids, swarm ids, info hashes, peer ids.
