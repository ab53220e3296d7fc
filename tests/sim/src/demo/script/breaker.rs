//! The worst day, known_answer: one administrator's token asks for a full wipe of every device that is left. The breaker holds what is over
//! the limit, one act cancels all, and the devices' own ledger is asked whether anything happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Course, words};
use crate::admin::{Admin, Command};
use crate::error::Result;
use crate::ledger::Effect;

/// The undo window of the batch.
const WINDOW: &str = "10m";
/// After everything was cancelled devices get this long to do something all the same; all simulated PCs poll in it.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// Full wipes for one administrator in an hour, as shipped.
const LIMIT: usize = 10;

impl Course<'_> {
    pub(super) async fn batch(&mut self, alice: &Admin) -> Result<()> {
        let named: BTreeSet<&str> = self.acts.wipes.iter().map(|w| w.command.device.as_str()).collect();
        let left = self.crew.members.iter().filter(|m| !m.id.is_empty() && !named.contains(m.id.as_str()));
        let left: Vec<String> = left.map(|m| m.id.clone()).collect();
        self.board.begin("breaker", left.len());
        let mut commands = Vec::new();
        for id in &left {
            match alice.wipe(id, "full", "demonstration: a list gone wrong", Some(WINDOW)).await {
                Ok(command) => commands.push(command),
                Err(e) => self.short(format!("a wipe of the batch was not taken: {e}")),
            }
            self.board.step(commands.len(), self.standing(&commands));
        }
        let approvals: BTreeSet<&str> = commands.iter().filter_map(|c| c.approval.as_deref()).collect();
        let held = commands.iter().filter(|c| c.approval.is_some()).count();
        self.acts.batch.asked = commands.len();
        (self.acts.batch.held, self.acts.batch.waiting) = (held, commands.len() - held);
        if approvals.len() != 1 || commands.len() - held != LIMIT.min(commands.len()) {
            let sentence = format!("the breaker: {}, in {} approvals", self.standing(&commands), approvals.len());
            self.short(sentence);
        }
        self.cancel(&commands).await?;
        self.lift(alice).await?;
        Ok(())
    }

    fn standing(&self, commands: &[Command]) -> String {
        let held = commands.iter().filter(|c| c.approval.is_some()).count();
        format!("alice asks for {}: {} in the undo window, {held} held", commands.len(), commands.len() - held)
    }

    /// One act for all: the emergency stop.
    async fn cancel(&mut self, commands: &[Command]) -> Result<()> {
        self.local.put::<Value>("stop", json!({"on": true, "cancel_all": true})).await?;
        let mut counts = BTreeMap::new();
        for command in commands {
            *counts.entry(self.local.command(&command.id).await?.state).or_insert(0) += 1;
        }
        self.acts.batch.cancelled = counts.get("cancelled").copied().unwrap_or(0);
        let good = self.acts.batch.cancelled == commands.len();
        if !good {
            self.short(format!("after the emergency stop the batch is {}", words(&counts)));
        }
        let note = format!("{}; one act: {}", self.standing(commands), words(&counts));
        self.board.end(good, note);
        Ok(())
    }

    /// A second person agrees that the stop be lifted, so that what comes after the piece finds a server as usual.
    async fn lift(&mut self, alice: &Admin) -> Result<()> {
        let approval: Value = self.local.put("stop", json!({"on": false})).await?;
        let id = approval.get("id").and_then(Value::as_str).unwrap_or_default();
        // Nobody approves what they have not read.
        alice.get::<Value>(&format!("approvals/{id}")).await?;
        alice.post::<Value>(&format!("approvals/{id}/approve"), json!({})).await?;
        let stop: Value = self.local.get("stop").await?;
        if stop.get("on") != Some(&json!(false)) {
            self.short("a second administrator could not lift the emergency stop");
        }
        Ok(())
    }

    /// Who was wiped, by the devices' own account; it must be those who were named and nobody else.
    pub(super) async fn count(&mut self) -> Result<()> {
        let all = self.crew.members.len();
        self.board.begin("count", all);
        tokio::time::sleep(AFTERWARDS).await;
        let ledger = &self.crew.world().ledger;
        let (wiped, retired) = (ledger.suffered(Effect::Wiped), ledger.suffered(Effect::Retired));
        let repeated = ledger.repeated();
        let mut wrong = Vec::new();
        for member in &self.crew.members {
            let scope = self.acts.wipes.iter().find(|w| w.command.device == member.id).map(|w| w.scope);
            // A mail app on a phone that Apple MDM erases gets no order of its own.
            let names = std::iter::once(&member.identity).chain(&member.mail_identity);
            let suffered = names.fold((0, 0), |(w, r), name| {
                let of = |counts: &BTreeMap<String, usize>| counts.get(name).copied().unwrap_or(0);
                (w + of(&wiped), r + of(&retired))
            });
            match (scope, suffered) {
                (None, (0, 0)) => self.acts.untouched += 1,
                (Some("full"), (1, 0)) => self.acts.erased += 1,
                (Some("selective"), (0, 1)) => self.acts.retired += 1,
                (_, (w, r)) => wrong.push(format!("{} was wiped {w} and retired {r} times", member.label)),
            }
        }
        wrong.extend(repeated.iter().map(|(device, id, n)| format!("{device} acted {n} times on {id}")));
        let audit: Value = self.local.get("audit/verify").await?;
        if audit.get("ok") != Some(&json!(true)) {
            wrong.push(format!("the audit log does not hold together: {audit}"));
        }
        let good = wrong.is_empty();
        self.acts.short.extend(wrong);
        let acts = &self.acts;
        let note = format!("{} erased, {} retired, {} untouched", acts.erased, acts.retired, acts.untouched);
        self.board.end(good, note);
        Ok(())
    }
}
