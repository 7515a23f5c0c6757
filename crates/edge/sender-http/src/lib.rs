//! The outgoing POST: address policy, time limits, capped answers
