//! Every kind of record there is, in one list: to show one by its key, to read a whole store, to bring an older store up.

mod layout1;

use crate::{
    api,
    channel::{self, apple::push_cert},
    fleet::{
        actor, admins, audit, connectors,
        enrol::{invitation, succession, under_way, waiting},
        groups,
        keeper::{failed, timers},
        life::{command, device},
        mail_rules, notices, policies,
        queue::stop,
        registry::{credential, journal, lookup, sights, tries, users},
        settings,
        status::reminders,
        wipe::{approvals, limits, loss, upstream},
    },
    serve,
    store::{Belief, Count, Counted, Entry, Fault, Kind},
};
use serde_json::Value;

/// What the store itself keeps.
const STORE: [Kind; 3] = [Kind::of::<Belief>(), Kind::of::<Count>(), Kind::of::<Counted>()];

/// All of them.
fn all() -> impl Iterator<Item = Kind> {
    let lists: [&[Kind]; 40] = [
        &actor::KINDS,
        &admins::KINDS,
        &api::KINDS,
        &approvals::KINDS,
        &audit::KINDS,
        &audit::recurring::KINDS,
        &sights::KINDS,
        &channel::identity::KINDS,
        &channel::windows::KINDS,
        &connectors::KINDS,
        &connectors::exchange::KINDS,
        &connectors::mailboxes::KINDS,
        &connectors::orders::KINDS,
        &connectors::WRITTEN,
        &connectors::partnerships::KINDS,
        &command::KINDS,
        &credential::KINDS,
        &device::KINDS,
        &groups::KINDS,
        &invitation::KINDS,
        &journal::KINDS,
        &limits::KINDS,
        &lookup::KINDS,
        &loss::KINDS,
        &mail_rules::KINDS,
        &notices::KINDS,
        &policies::KINDS,
        &policies::rollout::KINDS,
        &push_cert::KINDS,
        &reminders::KINDS,
        &serve::KINDS,
        &settings::KINDS,
        &stop::KINDS,
        &succession::KINDS,
        &STORE,
        &tries::KINDS,
        &under_way::KINDS,
        &upstream::KINDS,
        &users::KINDS,
        &waiting::KINDS,
    ];
    lists.into_iter().flatten().chain(&timers::KINDS).chain(&failed::KINDS).copied()
}

/// Tenant, kind and the rest of a key.
fn parts(key: &str) -> Option<(&str, Kind, &str)> {
    let (tenant, rest) = key.split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    Some((tenant, all().find(|kind| kind.name == name)?, rest))
}

/// The record under this key, as JSON with the names of its fields.
pub fn show(key: &str, bytes: &[u8]) -> Result<Value, Fault> {
    let unknown = || Fault::Corrupt { key: key.into(), why: "no kind of record has such a key".into() };
    parts(key).ok_or_else(unknown)?.1.show(key, bytes)
}

/// The records of this layout that come of one of layout 1.
pub fn rise(key: &str, bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let (tenant, rest) = key.split_once('/').ok_or("it has no tenant")?;
    let (kind, _) = rest.split_once('/').ok_or("it has no kind")?;
    let json: Value = serde_json::from_slice(bytes.get(1..).unwrap_or_default()).map_err(|e| e.to_string())?;
    let risen = layout1::rise(kind, json).into_iter().map(|(name, json)| {
        let kind = all().find(|kind| kind.name == name).ok_or_else(|| format!("there is no kind {name}"))?;
        kind.pack(tenant, json).map_err(|e| e.to_string())
    });
    risen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_kinds_share_a_name() {
        let names: Vec<&str> = all().map(|kind| kind.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }
}
