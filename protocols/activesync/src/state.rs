//! Where a client stands with its policy and its wipe, and what of its requests may pass. [MS-ASPROV] 3.2.5.
//!
//! The state is a value that the server stores for each enrolment, before the answer that rests on it goes out.

mod judge;
mod machine;

pub use judge::{Access, Verdict, judge};
pub use machine::{Demand, Due, Message, Output, State};
