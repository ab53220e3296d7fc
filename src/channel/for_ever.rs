//! What devices keep for ever, held against the table in ARCHITECTURE.md: a change would orphan every device in the field.

use super::{
    apple::{delivery, enrolment},
    mail, windows,
};
use std::collections::BTreeMap;

/// Rows of the table under the heading, without the back quotes.
fn table() -> BTreeMap<String, String> {
    let page = include_str!("../../ARCHITECTURE.md");
    let (_, section) = page.split_once("## What devices keep for ever").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.map(|(what, value)| (what.to_string(), value.replace('`', ""))).collect()
}

#[test]
fn what_devices_keep_for_ever_has_not_changed() {
    let table = table();
    let uuid = delivery::SETTINGS_UUID.to_string();
    for (what, value) in [
        ("Apple ServerURL and CheckInURL, path", enrolment::APPLE_PATH),
        ("PayloadIdentifier of the enrolment profile", enrolment::ENROLMENT_PROFILE),
        ("PayloadIdentifier of the settings profile", delivery::SETTINGS_PROFILE),
        ("PayloadUUID of the settings profile", uuid.as_str()),
        ("PayloadIdentifier of the mail profile", mail::mail_profile::IDENTIFIER),
        ("OMA-DM server address, path", windows::DM_PATH),
        ("PROVIDER-ID", windows::PROVIDER_ID),
        ("Windows discovery, path", windows::DISCOVERY_PATH),
        ("Windows enrolment policy, path", windows::POLICY_PATH),
        ("Windows enrolment and renewal, path", windows::ENROLMENT_PATH),
        ("Windows enrolment policy, id", windows::enrolment::POLICY_ID),
        ("ActiveSync, path", mail::PATH),
        ("SCEP path", super::scep::PATH),
        ("revocation list, path", super::certificates::CRL_PATH),
    ] {
        assert_eq!(table.get(what).map(String::as_str), Some(value), "{what}");
    }
}
