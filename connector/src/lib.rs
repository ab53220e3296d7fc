//! The connector: it stands beside one Exchange organisation, calls out to the server, reports mobile clients and carries out what was
//! decided. Exchange's credentials never leave this machine.
//!
//! The way through: [`verbs`] → [`agent`] (what comes, what came of it) → [`carry`] (one order, by the steps of `lanyard-exchange`) →
//! [`driver`] → Exchange. Beside it `keeper` keeps the [`lead`] and the certificate, and `reports` says when [`inventory`] reports.

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
mod keeper;
pub mod lead;
pub mod online;
pub mod onprem;
mod pacing;
mod platform;
mod reports;
pub mod roots;
pub mod sealing;
pub mod secrets;
pub mod server;
pub mod verbs;
