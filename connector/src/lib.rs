//! The connector: it stands beside one Exchange organisation, calls out to the server, reports mobile clients and carries out what was
//! decided. Exchange's credentials never leave this machine.
//!
//! The way through: [`verbs`] → [`agent`] (who leads, what comes, what came of it) → [`carry`] (one order, by the steps of
//! `lanyard-exchange`) → [`driver`] → Exchange; [`inventory`] beside it reports.

pub mod agent;
pub mod carry;
pub mod check;
pub mod clock;
pub mod driver;
pub mod enrol;
pub mod http;
pub mod installation;
pub mod inventory;
pub mod journal;
pub mod online;
pub mod onprem;
mod platform;
pub mod sealing;
pub mod secrets;
pub mod server;
pub mod verbs;
