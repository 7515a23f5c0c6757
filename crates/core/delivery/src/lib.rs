//! The use cases (dispatch, deliver, replay) and the ports they need.
#![warn(missing_docs)]

pub mod port;
