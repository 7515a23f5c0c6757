//! The long-running roles: dispatch and deliver, assembled from core and edges

pub mod config;
