//! The Lanyard server: what the protocols share. See ARCHITECTURE.md for the map. Built small there is nothing of it.

#![cfg(feature = "server")]

pub mod api;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod demo;
mod documents;
pub mod error;
pub mod fleet;
pub mod http;
pub mod ids;
pub mod policy;
pub mod serve;
pub mod server;
pub mod simulate;
pub mod store;
