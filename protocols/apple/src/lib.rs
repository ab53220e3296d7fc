//! The Apple MDM protocol: bytes to typed messages and back, without I/O.
//!
//! What a device sends is a [`Body`]: a [`checkin::CheckIn`] or a [`report::Report`]. What it is answered is a
//! [`command::Command`]. What it installs comes from [`profile`]. [`support`] says which device can do which command,
//! [`push`] how to wake one. No clock, no randomness, no sockets: all that varies is an argument.

mod body;
pub mod checkin;
pub mod command;
mod error;
pub mod plist;
pub mod profile;
pub mod push;
pub mod refusal;
pub mod report;
mod return_to_service;
mod secret;
mod sender;
pub mod support;

pub use body::Body;
pub use error::Error;
pub use return_to_service::ReturnToService;
pub use secret::Secret;
pub use sender::{Channel, DeviceName, SHARED_IPAD_USER, UserName};
