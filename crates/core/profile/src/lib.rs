//! Profiles: a platform's contract with its receivers, as data.
//!
//! A profile says how an event becomes a body, which headers and which signature go with it, what counts as delivered and
//! when to try again, separately for webhooks and for callbacks. It is written in TOML; the six that are built in are files
//! of the same format. `docs/profiles.md` describes every member.
//!
//! A body is rendered once for all attempts. Headers are made for each, and the signature is made elsewhere, over the very
//! bytes that are sent.
#![warn(missing_docs)]

mod body;
mod builtin;
mod fault;
mod header;
mod profile;
mod reading;

pub use builtin::builtin_names;
pub use fault::{ProfileFault, RenderError};
pub use header::HeaderContext;
pub use profile::{BodyForm, DestinationKind, Profile, Rendered};
