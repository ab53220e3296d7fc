//! OMA-DM and Windows enrolment: bytes to typed messages and back, without I/O.

pub mod csp;
pub mod enrolment;
mod error;
pub mod provisioning;
pub mod session;
pub mod syncml;
mod xml;

pub use error::Error;
pub use xml::Limits;
