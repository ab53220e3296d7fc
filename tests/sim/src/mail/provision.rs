//! Provision: the policy in two phases, and the directives to wipe, acknowledged before anything is erased. [MS-ASPROV] 3.1.5.

use super::exchange::document_of;
use super::{MailClient, State};
use crate::error::{Error, Result};
use crate::http::Reading;
use crate::ledger::{Channel, Effect};
use crate::wbxml::tags::{provision, settings};
use crate::wbxml::{Element, Tag, leaf, node};

const WHAT: &str = "Provision";
const POLICY_TYPE: &str = "MS-EAS-Provisioning-WBXML";

/// What a Provision came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioned {
    /// A policy is in force, with a key of its own.
    Key,
    /// The server has none for this account: on without a key.
    NoPolicy,
    /// It was told to wipe, said so, and did.
    Wiped,
    /// No access: the status.
    Denied(u16),
}

/// The acknowledgement of a wipe, kept until it was heard.
#[derive(Debug, Clone)]
pub(super) struct Ack {
    id: String,
    element: Tag,
    failed: bool,
}

impl MailClient {
    /// Both phases, or the wipe that the server answers with in place of a policy.
    pub async fn provision(&mut self) -> Result<Provisioned> {
        self.settle_device_information().await?;
        self.key = 0;
        let root = match self.say(&self.first_phase(), Reading::Read).await? {
            Ok(root) => root,
            Err(status) => return Ok(Provisioned::Denied(status)),
        };
        if let Some(element) = directive(&root) {
            return self.wipe(element).await.map(|()| Provisioned::Wiped);
        }
        root_status(&root)?;
        let policy = root.at(&[provision::POLICIES, provision::POLICY]);
        let policy = policy.ok_or_else(|| Error::malformed(WHAT, "no Policy"))?;
        match policy.text_at(&[provision::STATUS]) {
            "1" => self.second_phase(policy).await,
            "2" => {
                self.settled = true;
                self.policy.clear();
                Ok(Provisioned::NoPolicy)
            }
            other => Err(Error::Refused { what: WHAT, code: other.into(), text: "Policy Status".into() }),
        }
    }

    /// An empty Provision, as the specification has clients ask after a status 140.
    pub(super) async fn ask_for_directive(&mut self) -> Result<Provisioned> {
        let root = match self.say(&node(provision::PROVISION, []), Reading::Read).await? {
            Ok(root) => root,
            Err(status) => return Ok(Provisioned::Denied(status)),
        };
        match directive(&root) {
            Some(element) => self.wipe(element).await.map(|()| Provisioned::Wiped),
            // Nothing pending after all: a policy is due.
            None => self.provision().await,
        }
    }

    fn first_phase(&self) -> Element {
        let policy = node(provision::POLICY, [leaf(provision::POLICY_TYPE, POLICY_TYPE)]);
        let mut parts = vec![node(provision::POLICIES, [policy])];
        if self.version >= Some((14, 1)) {
            parts.insert(0, self.device_information());
        }
        node(provision::PROVISION, parts)
    }

    fn device_information(&self) -> Element {
        let f = &self.facts;
        let set = [
            leaf(settings::MODEL, &f.model),
            leaf(settings::FRIENDLY_NAME, &f.friendly_name),
            leaf(settings::OS, &f.os),
            leaf(settings::OS_LANGUAGE, "en"),
            leaf(settings::USER_AGENT, &f.user_agent),
        ];
        node(settings::DEVICE_INFORMATION, [node(settings::SET, set)])
    }

    /// 12.0 to 14.0 say what they are by Settings, before the first phase. A refusal waits for what comes after it.
    async fn settle_device_information(&mut self) -> Result<()> {
        if !self.settled && self.version >= Some((12, 0)) && self.version < Some((14, 1)) {
            self.command("Settings", &node(settings::SETTINGS, [self.device_information()])).await?;
        }
        Ok(())
    }

    async fn second_phase(&mut self, offered: &Element) -> Result<Provisioned> {
        let key = key_of(offered)?;
        let document = offered.at(&[provision::DATA, provision::DOCUMENT]);
        let document = document.ok_or_else(|| Error::malformed(WHAT, "no EASProvisionDoc"))?;
        let rules = document.children.iter().filter(|e| e.tag.0 == 14).map(|e| (e.tag.1, e.text.clone())).collect();
        // Android's own mail has no key at this moment, and its header says 0.
        self.key = if self.facts.device_type == "Android" { 0 } else { key };
        tokio::time::sleep(self.conduct.think).await;
        let status = if self.conduct.ignores_policy { "2" } else { "1" };
        let answer = [
            leaf(provision::POLICY_TYPE, POLICY_TYPE),
            leaf(provision::POLICY_KEY, key),
            leaf(provision::STATUS, status),
        ];
        let report = node(provision::PROVISION, [node(provision::POLICIES, [node(provision::POLICY, answer)])]);
        let root = match self.report(&report).await? {
            Ok(root) => root,
            Err(status) => return Ok(Provisioned::Denied(status)),
        };
        if let Some(element) = directive(&root) {
            return self.wipe(element).await.map(|()| Provisioned::Wiped);
        }
        root_status(&root)?;
        let policy = root.at(&[provision::POLICIES, provision::POLICY]);
        let policy = policy.ok_or_else(|| Error::malformed(WHAT, "no Policy"))?;
        match policy.text_at(&[provision::STATUS]) {
            "1" => {
                self.key = key_of(policy)?;
                (self.policy, self.settled) = (rules, true);
                let id = format!("P{}", self.key);
                self.world.ledger.record(
                    Channel::Activesync,
                    &self.facts.device_id,
                    &id,
                    ("Policy", Effect::Policy),
                    (status, None),
                );
                self.world.ledger.heard(&self.facts.device_id, &id);
                Ok(Provisioned::Key)
            }
            other => {
                self.key = 0;
                Err(Error::Refused { what: WHAT, code: other.into(), text: "Policy Status after phase 2".into() })
            }
        }
    }

    /// Obeys a directive: writes it down, acknowledges, and erases once that was heard (or unheard, where the conduct says so).
    async fn wipe(&mut self, element: Tag) -> Result<()> {
        let name = if element == provision::REMOTE_WIPE { "RemoteWipe" } else { "AccountOnlyRemoteWipe" };
        if element != provision::REMOTE_WIPE && self.version < Some((16, 1)) {
            return Err(Error::malformed(WHAT, "AccountOnlyRemoteWipe below 16.1"));
        }
        tokio::time::sleep(self.conduct.think).await;
        let failed = self.conduct.fail.contains(name);
        if self.ack.is_none() {
            self.wipes += 1;
            let id = format!("W{}", self.wipes);
            let outcome = if failed { "2" } else { "1" };
            let effect = match (failed, element) {
                (true, _) => Effect::None,
                (false, provision::REMOTE_WIPE) => Effect::Wiped,
                (false, _) => Effect::Retired,
            };
            self.world.ledger.record(Channel::Activesync, &self.facts.device_id, &id, (name, effect), (outcome, None));
            self.ack = Some(Ack { id, element, failed });
        }
        self.finish_wipe().await
    }

    /// Says the acknowledgement, again where nobody confirmed it, and does what it says.
    pub(super) async fn finish_wipe(&mut self) -> Result<()> {
        let Some(ack) = self.ack.clone() else { return Ok(()) };
        let status = leaf(provision::STATUS, if ack.failed { 2 } else { 1 });
        let report = node(provision::PROVISION, [node(ack.element, [status])]);
        let heard = self.report(&report).await;
        if heard.is_err() && !self.conduct.erase_unheard {
            return heard.map(|_| ());
        }
        self.ack = None;
        if let Ok(Ok(root)) = &heard {
            if root.text_at(&[provision::STATUS]) == "1" {
                self.world.ledger.heard(&self.facts.device_id, &ack.id);
            } else if !ack.failed {
                return Err(Error::malformed(WHAT, "an acknowledged wipe was not taken"));
            }
        }
        if !ack.failed {
            let whole = ack.element == provision::REMOTE_WIPE;
            self.forget(if whole { State::Wiped } else { State::AccountGone });
        }
        heard.map(|_| ())
    }

    /// A Provision that reports something: faults of the network fall on these.
    async fn report(&mut self, document: &Element) -> Result<Result<Element, u16>> {
        if self.conduct.next_repeat() {
            self.say(document, Reading::Read).await?.ok();
        }
        let reading = self.conduct.next_reading();
        self.say(document, reading).await
    }

    /// One Provision; the inner error is a refusal of access.
    async fn say(&mut self, document: &Element, reading: Reading) -> Result<Result<Element, u16>> {
        let answer = self.post(WHAT, document.encode(), reading).await?;
        if answer.status == 403 {
            return Ok(Err(403));
        }
        let root = document_of(WHAT, &answer.accepted(WHAT)?)?;
        if root.tag != provision::PROVISION {
            return Err(Error::malformed(WHAT, "another document"));
        }
        match root.text_at(&[provision::STATUS]).parse::<u16>() {
            Ok(140..=144) => Err(Error::malformed(WHAT, "answered with what only other commands are")),
            Ok(status @ (126..=131 | 139 | 145 | 177)) => Ok(Err(status)),
            _ => Ok(Ok(root)),
        }
    }
}

fn directive(root: &Element) -> Option<Tag> {
    [provision::REMOTE_WIPE, provision::ACCOUNT_ONLY_REMOTE_WIPE].into_iter().find(|tag| root.child(*tag).is_some())
}

fn root_status(root: &Element) -> Result<()> {
    match root.text_at(&[provision::STATUS]) {
        "1" => Ok(()),
        other => Err(Error::Refused { what: WHAT, code: other.into(), text: "Status".into() }),
    }
}

fn key_of(policy: &Element) -> Result<u32> {
    match policy.text_at(&[provision::POLICY_KEY]).parse() {
        Ok(0) | Err(_) => Err(Error::malformed(WHAT, "PolicyKey is no number above 0")),
        Ok(key) => Ok(key),
    }
}
