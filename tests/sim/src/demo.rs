//! The demonstration: thirty simulated devices of all kinds enrol with a running server, get a policy, some are wiped with evidence,
//! and a batch of wipes runs into the breaker. Both sides are counted: the server's records and the devices' own ledger.

mod board;
mod crew;
mod script;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;

pub use board::Board;

use crate::admin::Admin;
use crate::apns::Apns;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::mailserver::MailServer;
use crate::world::World;
use crew::Crew;

/// What the server must find when it starts: a mail server behind it and a push service to wake devices by.
#[derive(Clone)]
pub struct Stage {
    mail: Arc<MailServer>,
    apns: Arc<Apns>,
}

/// Where the server is, and the token of `local`.
pub struct Site {
    /// `ca.pem`.
    pub ca_pem: Vec<u8>,
    /// The devices' port.
    pub device: SocketAddr,
    /// The administrators' port.
    pub admin: SocketAddr,
    /// `--public-url`.
    pub public_url: String,
    /// `--enrol-url`.
    pub enrol_url: String,
    /// Of the administrator `local`.
    pub token: String,
}

/// What came of it. The devices that are left live on until this is dropped.
pub struct Played {
    /// The closing table.
    pub table: String,
    /// The same as JSON: `wipes`, `policy`, `breaker`, `devices`, `short`.
    pub document: serde_json::Value,
    /// What fell short, a sentence each; empty is what one hopes for.
    pub short: Vec<String>,
    /// What the devices did.
    pub ledger: Ledger,
    /// An iPhone to which nothing has happened: its serial number.
    pub left: Option<String>,
    local: Admin,
    _crew: Crew,
    _stage: Stage,
}

impl Stage {
    /// Opens the stand-ins' ports on loopback.
    pub async fn set() -> Result<Stage> {
        Ok(Stage { mail: Arc::new(MailServer::start(0).await?), apns: Arc::new(Apns::start().await?) })
    }

    /// For `--eas-upstream`.
    pub fn upstream_url(&self) -> String {
        self.mail.url()
    }

    /// For `--trust`: the push service's root.
    pub fn trust_pem(&self) -> Result<Vec<u8>> {
        self.apns.ca_pem()
    }

    /// Plays the whole piece on a new server without devices. An error is one that leaves nothing to go on with.
    pub async fn play(self, site: &Site, board: &Board) -> Result<Played> {
        let world = World::new(&site.ca_pem, site.device, &site.public_url, &site.enrol_url)?;
        let local = Admin::new(&site.ca_pem, site.admin, &site.token)?;
        let mut crew = Crew::plan(&world);
        let acts = script::play(&self, &local, &mut crew, board).await?;
        let (table, document) = (table::print(&acts, &crew), table::document(&acts, &crew));
        let (short, ledger) = (acts.short, world.ledger.clone());
        let left = crew.untouched_iphone();
        Ok(Played { table, document, short, ledger, left, local, _crew: crew, _stage: self })
    }
}

impl Played {
    /// The URL of an invitation for one more iPhone.
    pub async fn invite_one_more(&self) -> Result<String> {
        Ok(self.local.invite("apple", "you@example.org").await?.url)
    }
}
