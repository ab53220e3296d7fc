//! Who and what there is, and what may happen to it: people, devices, what is asked of them and what they answer. Knows no channel,
//! no wire and no HTTP; what a channel can do comes in as a function ([`queue::Ask`]).

pub mod actor;
pub mod admins;
pub mod audit;
pub mod connectors;
pub mod enrol;
pub mod groups;
pub mod keeper;
pub mod life;
pub mod mail_rules;
pub mod mailboxes;
pub mod notices;
pub mod owners;
pub mod policies;
pub mod queue;
pub mod registry;
pub mod retention;
pub mod settings;
pub mod status;
pub mod terms;
pub mod wipe;
