//! The Lanyard server: what the protocols share. See ARCHITECTURE.md for the map.

pub mod admins;
pub mod api;
pub mod audit;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod demo;
pub mod error;
pub mod http;
pub mod ids;
pub mod kinds;
pub mod notices;
pub mod policies;
pub mod policy;
pub mod push_cert;
pub mod queue;
pub mod registry;
pub mod retention;
pub mod serve;
pub mod server;
pub mod settings;
pub mod store;
pub mod wipe;
