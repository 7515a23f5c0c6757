//! Ports for servers that come and go.

use std::{
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    ops::Range,
};

/// Below the range the system hands out to outgoing connections. Inside it, a client that knocks on a stopped server's port
/// could be given that very port to knock from, connect to itself, and keep the server from coming back.
const PORTS: Range<u16> = 15_000..32_000;

/// A port nobody listens on, drawn at random so that tests side by side do not meet.
///
/// # Panics
///
/// Never: what is drawn fits.
pub fn free_port() -> u16 {
    let span = u64::from(PORTS.end - PORTS.start);
    loop {
        let offset = RandomState::new().hash_one(()) % span;
        let port = PORTS.start + u16::try_from(offset).expect("smaller than the span");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
