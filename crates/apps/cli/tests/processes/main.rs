//! Real `ringback` processes on real servers: killed between any two steps, and stopped in order under load.
#![expect(
    clippy::unwrap_used,
    reason = "panicking is how tests fail, also in what they share"
)]

#[cfg(debug_assertions)]
mod crash_windows;
#[cfg(not(debug_assertions))]
mod no_fault_points;

mod bench;
mod dead_letter_room;
mod desk;
mod graceful_stop;
mod health;
mod installation;
mod leaks;
mod least_privilege;
mod log_lines;
mod process;
mod queries;
mod replay_plans;
mod restore;
mod runbooks;
mod secured;
