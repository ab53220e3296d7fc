//! The device registry: devices and their enrolments, whichever channel they speak, and the credentials that stand for them.
//!
//! A device is one record with its enrolments inside, so that a check-in reads and writes one. What finds it (a certificate,
//! a name in a protocol, a mail user) are small index records.

pub mod admitted;
pub mod credential;
pub mod journal;
pub mod lookup;
pub mod presence;
pub mod sights;
pub mod tries;
pub mod users;

pub use credential::{Credential, Standing};
