//! Simulated devices that speak real bytes over real sockets and TLS, with encoders of their own.

pub mod apple;
mod conduct;
mod der;
mod error;
pub mod http;
pub mod keys;
mod ledger;
pub mod scep;
pub mod windows;
mod world;
mod xml;

pub use apple::AppleDevice;
pub use conduct::Conduct;
pub use error::{Error, Result};
pub use keys::{Authority, Identity, KeySource};
pub use ledger::{Act, Channel, Ledger};
pub use windows::WindowsDevice;
pub use world::World;
