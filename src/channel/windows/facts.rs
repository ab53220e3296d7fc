//! What a device says of itself: with each session a little, when it is asked more.

use super::PROVIDER_ID;
use crate::{
    error::Result,
    fleet::{
        enrol::{self, Claim},
        registry::Device,
    },
    store::Tx,
};
use lanyard_omadm::csp;
use std::collections::BTreeMap;

/// What is asked and kept as a fact, under a name of ours.
const FACTS: [(&str, &str); 4] = [
    (csp::OS_PLATFORM, "os"),
    (csp::DEVICE_TYPE, "device_type"),
    (csp::EDITION, "edition"),
    (csp::ENCRYPTION, "encrypted"),
];

/// What is asked for, by one Get: what names the device, and the facts.
pub(super) fn nodes() -> Vec<String> {
    let named = [csp::SOFTWARE_VERSION, csp::DEVICE_NAME, csp::SERIAL].into_iter();
    let ours = [csp::exchange_id(PROVIDER_ID), csp::hardware_id(PROVIDER_ID)];
    named.chain(FACTS.map(|(node, _)| node)).map(str::to_owned).chain(ours).collect()
}

/// What ./DevInfo of the first message says. Mostly it is known, and nothing is written.
pub(super) fn dev_info(tx: &mut Tx<'_>, device: &mut Device, info: &BTreeMap<String, String>) -> Result<()> {
    let model = info.get("Mod").filter(|model| device.model.as_deref() != Some(model.trim()));
    let maker = info.get("Man").filter(|maker| device.facts.get("manufacturer") != Some(*maker));
    let language = info.get("Lang").filter(|language| device.facts.get("language") != Some(*language));
    if model.is_none() && maker.is_none() && language.is_none() {
        return Ok(());
    }
    let claim = Claim { model: model.cloned(), ..nothing(device) };
    enrol::describe(tx, device, &claim)?;
    fact(device, "manufacturer", maker);
    fact(device, "language", language);
    Ok(tx.put(device)?)
}

fn nothing(device: &Device) -> Claim {
    Claim {
        identity: String::new(),
        platform: device.platform,
        serial: None,
        name: None,
        model: None,
        os_version: None,
        mail_id: None,
        hardware_id: None,
    }
}

/// What it answered when it was asked. The record is written.
pub(super) fn learn(tx: &mut Tx<'_>, device: &mut Device, values: &[(String, String)]) -> Result<()> {
    let value =
        |node: &str| values.iter().find(|(uri, _)| uri.eq_ignore_ascii_case(node)).map(|(_, data)| data.clone());
    let claim = Claim {
        serial: value(csp::SERIAL),
        name: value(csp::DEVICE_NAME),
        os_version: value(csp::SOFTWARE_VERSION),
        mail_id: value(&csp::exchange_id(PROVIDER_ID)),
        hardware_id: value(&csp::hardware_id(PROVIDER_ID)),
        ..nothing(device)
    };
    enrol::describe(tx, device, &claim)?;
    for (node, name) in FACTS {
        let told = value(node);
        // A number on the wire, a yes or no as Apple devices tell it.
        let told = if node == csp::ENCRYPTION { told.map(|text| (text.trim() == "1").to_string()) } else { told };
        fact(device, name, told.as_ref());
    }
    tx.put(device)?;
    enrol::adopt_mail(tx, device)
}

fn fact(device: &mut Device, name: &str, value: Option<&String>) {
    if let Some(value) = value.filter(|value| value.len() <= 512) {
        device.facts.insert(name.into(), value.trim().to_owned());
    }
}
