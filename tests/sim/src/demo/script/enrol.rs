//! The first part: everybody enrols, some at a time; mail apps that came with a password alone are let in by the administrator.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Course, Patience, words};
use crate::demo::crew::{Life, Member};
use crate::error::{Error, Result};
use crate::mail::Verdict;

/// So many enrol at once.
const ABREAST: usize = 6;

impl Course<'_> {
    pub(super) async fn enrol(&mut self) -> Result<()> {
        let all = self.crew.members.len();
        self.board.begin("enrol", all);
        let mut lives = self.begin_all();
        while let Some(ended) = lives.join_next().await {
            let (at, life) = ended.map_err(|e| Error::malformed("enrolment", e))?;
            match life {
                Ok(life) => self.crew.take_on(at, life),
                Err(e) => {
                    let label = self.crew.members.get(at).map(|m| m.label.clone()).unwrap_or_default();
                    self.short(format!("{label} could not enrol: {e}"));
                }
            }
            self.board.step(all - lives.len(), "");
        }
        let whole = self.all_in().await?;
        if !whole {
            let missing = self.crew.members.iter().filter(|m| m.id.is_empty()).map(|m| m.label.as_str());
            let missing = missing.collect::<Vec<_>>().join(", ");
            self.short(format!("not all devices are in: {missing}"));
        }
        self.board.end(whole, self.census());
        Ok(())
    }

    fn begin_all(&self) -> JoinSet<(usize, Result<Life>)> {
        let (mut lives, room) = (JoinSet::new(), Arc::new(Semaphore::new(ABREAST)));
        for (at, member) in self.crew.members.iter().enumerate() {
            let (part, room) = (member.part(), room.clone());
            let (stage, admin, world) = (self.stage.clone(), self.local.clone(), self.crew.world().clone());
            lives.spawn(async move {
                // Never closed.
                let _place = room.acquire().await.ok();
                (at, part.enrol(&stage, &admin, &world).await)
            });
        }
        lives
    }

    /// Waits until the server has all as they are, and every mail app has read its mail.
    async fn all_in(&mut self) -> Result<bool> {
        let patience = Patience::begin();
        loop {
            let here = self.known().await?;
            self.board.step(here, self.census());
            if here == self.crew.members.len() && self.crew.members.iter().all(reads) {
                return Ok(true);
            }
            if !patience.lasts().await {
                return Ok(false);
            }
        }
    }

    /// Notes which members the server knows by now; lets in those in quarantine.
    async fn known(&mut self) -> Result<usize> {
        let mut here = 0;
        for device in self.local.devices().await? {
            let has = |name: &str| device.enrolments.iter().any(|e| e.identity.eq_ignore_ascii_case(name));
            let Some(member) = self.crew.members.iter_mut().find(|m| has(&m.identity)) else { continue };
            if device.state == "quarantined" {
                self.local.act(&device.id, "allow").await?;
            }
            // Both enrolments on one device: the phone has said that the mail app is its own.
            let whole = member.mail_identity.as_deref().is_none_or(has);
            if whole && device.state == "enrolled" {
                member.id.clone_from(&device.id);
                here += 1;
            }
        }
        Ok(here)
    }

    fn census(&self) -> String {
        let mut counts = BTreeMap::new();
        for member in self.crew.members.iter().filter(|m| !m.id.is_empty()) {
            *counts.entry(member.kind.plural().to_owned()).or_insert(0) += 1;
        }
        words(&counts)
    }
}

fn reads(member: &Member) -> bool {
    member.mail.as_ref().is_none_or(|seen| *seen.borrow() == Some(Verdict::Taken))
}
