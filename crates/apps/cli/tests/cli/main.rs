//! The binary as people and scripts meet it: what it prints, where, and with which exit code.
#![expect(clippy::unwrap_used, reason = "panicking is how test helpers fail")]

mod bad_input;
mod check;
mod dead;
mod demo;
mod deploy;
mod desk;
mod docs;
mod explain;
mod forward;
mod help;
mod keys;
mod listen;
mod output;
mod place;
mod process;
mod publish;
mod replays;
mod terminal;
mod version;
mod webhook_files;
