//! The outgoing POST: address policy, time limits, capped answers.
//!
//! A destination's URL comes from a stranger, and so does its answer. Three gates stand before a request: the URL's own
//! text and literal address ([`UrlPolicy`]), every address that a name resolves to (the resolver given to the client),
//! and the address really connected to (in the connector, before the first byte). All three ask one [`AddressPolicy`].
//!
//! What this crate does not do: judge the answer, record it, or try again.

mod address;
mod client;
mod connector;
mod destination_url;
mod failure;
mod fair_lookup;
mod handshake;
mod header;
mod lookup;
mod sender;
mod watch;

pub use address::{
    AddressFault, AddressPolicy, AllowedNetwork, AllowedNetworkError, DeniedNetwork,
    DeniedNetworkError,
};
pub use client::HttpSenderError;
pub use destination_url::{UrlFault, UrlPolicy};
pub use handshake::{Handshake, HandshakeFailure};
pub use header::{HeaderFault, HeaderPolicy};
pub use lookup::{Lookup, SystemLookup};
pub use sender::{HttpConfig, HttpSender, Observed};
