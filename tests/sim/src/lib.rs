//! Simulated devices that speak real bytes over real sockets and TLS, with encoders of their own.

#![expect(clippy::disallowed_methods, reason = "devices and stand-ins live in the machine's own time, as others' do")]

pub mod admin;
pub mod apns;
pub mod apple;
mod conduct;
pub mod demo;
mod der;
mod error;
pub mod http;
pub mod keys;
pub mod ledger;
pub mod mail;
pub mod mailserver;
pub mod scep;
mod serve;
pub mod trial;
mod wbxml;
pub mod windows;
mod world;
mod xml;

pub use admin::Admin;
pub use apns::Apns;
pub use apple::AppleDevice;
pub use conduct::Conduct;
pub use error::{Error, Result};
pub use keys::{Authority, Identity, KeySource};
pub use ledger::{Act, Channel, Effect, Ledger};
pub use mail::MailClient;
pub use mailserver::MailServer;
pub use windows::WindowsDevice;
pub use world::World;
