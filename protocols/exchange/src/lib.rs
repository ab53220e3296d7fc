//! The relay beside an Exchange organisation, as bytes and decisions: what it and the server say to each other ([`calls`]), what it
//! asks of Exchange ([`cmdlet`]) and what Exchange tells of a phone ([`partnership`]). No sockets, no clock, no store, no async.

pub mod access;
pub mod calls;
pub mod child;
pub mod cmdlet;
pub mod cmdlets;
pub mod mailbox_policy;
pub mod online;
pub mod organisation;
pub mod partnership;
pub mod rows;
pub mod steps;
