//! The queue and store of a running process, for commands on the same machine.
//!
//! The embedded queue and store belong to one process. While `ringback serve` holds their directory, every other command
//! reaches them through a Unix socket in it, by the same ports: a command does not know the difference.
//!
//! Whoever may open the socket may do everything; it is only for the owner of the directory (mode 0600), and never
//! leaves the machine.

mod client;
mod codec;
mod frame;
mod server;

pub use client::ControlClient;
pub use server::{ControlServer, SOCKET_NAME};
