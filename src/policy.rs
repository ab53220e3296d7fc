//! Policy: settings that a device must have continuously. Pure functions: no store, no clock, no I/O, and of the wire only
//! what the protocol crates say of raw parts and of ranges.
//!
//! The way through, in this order:
//! 1. [`inline_profile_files`] (command line) puts the profiles that a policy file names into its text;
//! 2. [`PolicyFile::parse`] reads the text, within the [`bounds`] that keep raw parts from being commands;
//! 3. [`diff`] shows an administrator what would change;
//! 4. [`effective`](fn@effective) merges the policies of one device to the strictest;
//! 5. [`desired`] cuts that into the [`Part`]s of one channel, and [`difference`](fn@difference) says which to send, to take away and to
//!    read back, by the record that is kept of each ([`Applied`]);
//! 6. [`coverage`](fn@coverage) says what of it the device enforces, and what not and why.
//!
//! A new setting is a file in `settings/` and its place in the list of `settings.rs`. How it goes over the wire is the channel's; the
//! compiler names the places.

mod applied;
pub mod bounds;
mod coverage;
mod difference;
mod effective;
mod error;
mod file;
mod inline;
mod mail_rules;
pub mod nearest;
mod node;
mod on_the_way;
mod part;
mod parts;
mod preview;
mod raw;
mod reading;
mod settings;
mod support;
mod target;
mod version;
mod windows;
pub(crate) mod yaml;

pub use applied::{Applied, Moment, Origins, Outcome, Passcode, Said, pause_after};
pub use coverage::{
    ChannelView, Compliance, DeviceState, Problem, SettingCoverage, State, Subject, compliance, coverage, coverage_of,
    device_state, left, of_policy, problems, verified,
};
pub use difference::{Difference, difference};
pub use effective::{Effective, Overridden, Raw, effective};
pub use error::{MAX_TEXT, PolicyError};
pub use file::{Assign, PolicyFile};
pub use inline::inline_profile_files;
pub use mail_rules::{MailAccess, MailClient, MailRule, MailRules, MailRulesError, Standing};
pub use on_the_way::{Next, OnTheWay};
pub use part::{NoSuchPart, Part, PartContent, PartId};
pub use parts::desired;
pub use preview::{Diff, Touched, diff};
pub use raw::{AppleProfile, CspFormat, WindowsCsp};
pub use settings::{Permission, Required, Setting, Settings, Value};
pub use support::{Gap, Known, Support, erases};
pub use target::{Channel, Platform, Target};
pub use version::Version;

#[cfg(test)]
mod tests;
