//! What a device says of itself: with each session a little, when it is asked more.

use super::PROVIDER_ID;
use crate::{
    error::Result,
    fleet::{
        enrol::{self},
        keeper,
        life::{Claim, Event, Managed},
    },
    store::Tx,
};
use lanyard_omadm::{csp, session::Output};
use std::collections::BTreeMap;

/// What is asked and kept as a fact, under a name of ours.
const FACTS: [(&str, &str); 4] = [
    (csp::OS_PLATFORM, "os"),
    (csp::DEVICE_TYPE, "device_type"),
    (csp::EDITION, "edition"),
    (csp::ENCRYPTION, "encrypted"),
];

/// What is asked for, each by a Get of its own: what names the device, and the facts.
pub(super) fn nodes() -> Vec<String> {
    let named = [csp::SOFTWARE_VERSION, csp::DEVICE_NAME, csp::SERIAL].into_iter();
    let ours = [csp::exchange_id(PROVIDER_ID), csp::hardware_id(PROVIDER_ID)];
    named.chain(FACTS.map(|(node, _)| node)).map(str::to_owned).chain(ours).collect()
}

/// What a message says of ./DevInfo; of a value that comes twice, the last.
pub(super) fn gathered(told: &[Output]) -> BTreeMap<String, String> {
    let said = told.iter().filter_map(|output| match output {
        Output::DeviceInfo(info) => Some(info),
        _ => None,
    });
    said.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What ./DevInfo of the first message says. Mostly it is known, and nothing is written.
pub(super) fn dev_info(tx: &mut Tx<'_>, device: &mut Managed, info: &BTreeMap<String, String>) -> Result<()> {
    let told = |name: &str| info.get(name).cloned();
    let facts = [("manufacturer", told("Man")), ("language", told("Lang"))];
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let claim = Claim { model: told("Mod"), facts, ..Claim::default() };
    keeper::happen(tx, device, Event::Told(Box::new(claim)))?;
    Ok(())
}

/// What it answered when it was asked. The record is written.
pub(super) fn learn(tx: &mut Tx<'_>, device: &mut Managed, values: &[(String, String)]) -> Result<()> {
    let value =
        |node: &str| values.iter().find(|(uri, _)| uri.eq_ignore_ascii_case(node)).map(|(_, data)| data.clone());
    let claim = Claim {
        serial: value(csp::SERIAL),
        name: value(csp::DEVICE_NAME),
        os_version: value(csp::SOFTWARE_VERSION),
        mail_id: value(&csp::exchange_id(PROVIDER_ID)),
        hardware_id: value(&csp::hardware_id(PROVIDER_ID)),
        facts: FACTS.into_iter().filter_map(|(node, name)| Some((name, fact(node, value(node)?)?))).collect(),
        ..Claim::default()
    };
    keeper::happen(tx, device, Event::Told(Box::new(claim)))?;
    enrol::adopt_mail(tx, device)
}

/// A number on the wire, a yes or no as Apple devices tell it. What is neither was not told.
fn fact(node: &str, told: String) -> Option<String> {
    if node == csp::ENCRYPTION { csp::truth(&told).map(|truth| truth.to_string()) } else { Some(told) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_pc_is_encrypted_is_a_yes_a_no_or_not_told() {
        for (told, want) in [
            ("1", Some("true")),
            (" 1\n", Some("true")),
            ("true", Some("true")),
            ("0", Some("false")),
            ("False", Some("false")),
            ("", None),
            ("x", None),
            ("2", None),
            ("-1", None),
        ] {
            assert_eq!(fact(csp::ENCRYPTION, told.into()).as_deref(), want, "{told:?}");
        }
        assert_eq!(fact(csp::EDITION, "2".into()).as_deref(), Some("2"), "other facts are as they are told");
    }
}
