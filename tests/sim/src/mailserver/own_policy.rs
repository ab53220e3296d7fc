//! A mail server with a policy of its own, as Z-Push has it: 449 for all but Provision until the key fits. Under a wipe it is 449 for ever, and
//! each Provision carries the directive.

use std::collections::{BTreeMap, BTreeSet};

use crate::serve::{Answer, reply};
use crate::wbxml::tags::provision;
use crate::wbxml::{Element, leaf, node};

const TEMPORARY: u32 = 11;

/// What it asks for, and what it has heard. By device.
#[derive(Default)]
pub(super) struct Own {
    /// Elements of EASProvisionDoc by their tokens on page 14.
    pub(super) rules: Vec<(u8, String)>,
    keys: BTreeMap<String, u32>,
    pub(super) wiping: BTreeSet<String>,
    /// What the device itself said of its wipe.
    pub(super) wiped: BTreeMap<String, String>,
    /// What devices said of the policy.
    pub(super) acknowledged: BTreeMap<String, Vec<String>>,
}

impl Own {
    /// Its answer, where it does not let the command in.
    pub(super) fn answer(
        &mut self,
        command: &str,
        device: &str,
        key: &str,
        document: Option<&Element>,
    ) -> Option<Answer> {
        if command == "Provision" {
            return Some(super::wbxml(&self.provision(device, document?)));
        }
        let known = self.keys.get(device).is_some_and(|mine| mine.to_string() == key);
        (!known || self.wiping.contains(device)).then(|| reply(449, &[], ""))
    }

    fn provision(&mut self, device: &str, asked: &Element) -> Element {
        if let Some(wiped) = asked.child(provision::REMOTE_WIPE) {
            self.wiped.insert(device.to_owned(), wiped.text_at(&[provision::STATUS]).to_owned());
        }
        let said = asked.text_at(&[provision::POLICIES, provision::POLICY, provision::STATUS]);
        let mut policy = vec![leaf(provision::POLICY_TYPE, "MS-EAS-Provisioning-WBXML"), leaf(provision::STATUS, 1)];
        if said.is_empty() {
            policy.push(leaf(provision::POLICY_KEY, TEMPORARY));
            let rules = self.rules.iter().map(|(token, value)| leaf((14, *token), value));
            policy.push(node(provision::DATA, [node(provision::DOCUMENT, rules)]));
        } else {
            self.acknowledged.entry(device.to_owned()).or_default().push(said.to_owned());
            let key = self.keys.entry(device.to_owned()).or_insert(100);
            *key += 1;
            policy.push(leaf(provision::POLICY_KEY, *key));
        }
        let directive = self.wiping.contains(device).then(|| node(provision::REMOTE_WIPE, []));
        let policies = node(provision::POLICIES, [node(provision::POLICY, policy)]);
        node(provision::PROVISION, [leaf(provision::STATUS, 1), policies].into_iter().chain(directive))
    }
}
