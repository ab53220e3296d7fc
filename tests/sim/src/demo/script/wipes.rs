//! One selective and one full wipe on each channel, each to its end.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Course, Patience, Wipe, words};
use crate::demo::crew::Kind;
use crate::error::Result;
use crate::mail::Verdict;

/// Whom it befalls: the kind of device, which of them, and how much of it goes.
const NAMED: [(Kind, usize, &str); 6] = [
    (Kind::IPhone, 0, "selective"),
    (Kind::Reader, 0, "full"),
    (Kind::Pc, 0, "selective"),
    (Kind::Pc, 1, "full"),
    (Kind::MailByCertificate, 0, "selective"),
    (Kind::MailByPassword, 0, "full"),
];

impl Course<'_> {
    pub(super) async fn wipe(&mut self) -> Result<()> {
        self.board.begin("wipe", NAMED.len());
        for (kind, n, scope) in NAMED {
            let Some(member) = self.crew.nth(kind, n) else { continue };
            let (device, id) = (member.label.clone(), member.id.clone());
            match self.local.wipe(&id, scope, "demonstration: lost or left", None).await {
                Ok(command) => self.acts.wipes.push(Wipe { device, scope, command, remark: String::new() }),
                Err(e) => {
                    self.short(format!("{device}: the {scope} wipe was not taken: {e}"));
                    continue;
                }
            }
            if kind == Kind::Reader {
                self.see_mail_shut().await;
            }
        }
        let all_over = self.see_the_ends().await?;
        for wipe in &self.acts.wipes {
            let end = &wipe.command;
            if !matches!(end.state.as_str(), "confirmed" | "presumed") || end.evidence.is_empty() {
                let why = end.error.as_ref().map(ToString::to_string).unwrap_or_default();
                let sentence = format!("{}: the {} wipe is {} {why}", wipe.device, wipe.scope, end.state);
                self.acts.short.push(sentence);
            }
        }
        let good = all_over && self.acts.wipes.len() == NAMED.len();
        self.board.end(good, words(&self.ends()));
        Ok(())
    }

    /// The phone's mail app is refused before the phone itself has answered.
    async fn see_mail_shut(&mut self) {
        let Some(mut seen) = self.crew.nth(Kind::Reader, 0).and_then(|m| m.mail.clone()) else { return };
        let asked = Instant::now();
        let refused = seen.wait_for(|verdict| matches!(verdict, Some(Verdict::Denied(_))));
        let shut = tokio::time::timeout(std::time::Duration::from_secs(10), refused).await;
        let shut = matches!(shut, Ok(Ok(_)));
        let took = asked.elapsed().as_millis();
        let Some(wipe) = self.acts.wipes.last_mut() else { return };
        let id = wipe.command.id.clone();
        let now = self.local.command(&id).await;
        let before = now.is_ok_and(|c| !c.is_over());
        if shut && before {
            wipe.remark = format!("mail shut after {took} ms, before the phone answered");
        } else {
            let sentence = format!("{}: mail was not refused before the phone answered", wipe.device);
            self.short(sentence);
        }
    }

    async fn see_the_ends(&mut self) -> Result<bool> {
        let patience = Patience::begin();
        loop {
            for wipe in self.acts.wipes.iter_mut().filter(|w| !w.command.is_over()) {
                wipe.command = self.local.command(&wipe.command.id).await?;
            }
            let over = self.acts.wipes.iter().filter(|w| w.command.is_over()).count();
            self.board.step(over, words(&self.ends()));
            if over == self.acts.wipes.len() {
                return Ok(true);
            }
            if !patience.lasts().await {
                return Ok(false);
            }
        }
    }

    fn ends(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for wipe in &self.acts.wipes {
            *counts.entry(wipe.command.state.clone()).or_insert(0) += 1;
        }
        counts
    }
}
