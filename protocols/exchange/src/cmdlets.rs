//! The cmdlets that a connector calls, each made by a function of its own: none can be made with an empty identity, which Exchange takes
//! for all objects, and none with a plain list where one entry is meant. Names and parameters: Exchange's PowerShell reference.

use crate::cmdlet::{Argument, Cmdlet};
use crate::organisation::{Level, Rule, Which};
use crate::partnership::Key;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// All that may be called, and with what. Drivers refuse anything else; so does the script on the far side of a PowerShell session.
pub const ALLOWED: &[(&str, &[&str])] = &[
    ("Get-OrganizationConfig", &[]),
    ("Get-MobileDevice", &["Identity", "Mailbox", "Filter", "ResultSize"]),
    ("Get-MobileDeviceStatistics", &["Identity"]),
    ("Get-CASMailbox", &["Identity", "Filter", "ResultSize"]),
    (
        "Set-CASMailbox",
        &["Identity", "ActiveSyncAllowedDeviceIDs", "ActiveSyncBlockedDeviceIDs", "ActiveSyncMailboxPolicy"],
    ),
    ("Clear-MobileDevice", &["Identity", "AccountOnly", "Cancel", "Confirm"]),
    ("Remove-MobileDevice", &["Identity", "Confirm"]),
    ("Get-ActiveSyncOrganizationSettings", &[]),
    ("Set-ActiveSyncOrganizationSettings", &["DefaultAccessLevel", "AdminMailRecipients", "UserMailInsert"]),
    ("Get-ActiveSyncDeviceAccessRule", &[]),
    ("New-ActiveSyncDeviceAccessRule", &["Characteristic", "QueryString", "AccessLevel"]),
    ("Set-ActiveSyncDeviceAccessRule", &["Identity", "AccessLevel"]),
    ("Remove-ActiveSyncDeviceAccessRule", &["Identity", "Confirm"]),
    ("Get-MobileDeviceMailboxPolicy", &["Identity"]),
    ("New-MobileDeviceMailboxPolicy", POLICY),
    ("Set-MobileDeviceMailboxPolicy", POLICY),
];

/// What of a mailbox policy can be set from here, besides its name.
const POLICY: &[&str] = &[
    "Identity",
    "Name",
    "AllowNonProvisionableDevices",
    "PasswordEnabled",
    "AlphanumericPasswordRequired",
    "MinPasswordLength",
    "MaxPasswordFailedAttempts",
    "MaxInactivityTimeLock",
    "PasswordExpiration",
    "PasswordHistory",
    "RequireDeviceEncryption",
    "AllowCamera",
    "AllowBluetooth",
];

const DEVICE: &[&str] = &[
    "Guid",
    "DistinguishedName",
    "DeviceId",
    "DeviceType",
    "DeviceModel",
    "DeviceOS",
    "DeviceUserAgent",
    "FriendlyName",
    "ClientType",
    "ClientVersion",
    "DeviceAccessState",
    "DeviceAccessStateReason",
    "FirstSyncTime",
];
const STATISTICS: &[&str] = &[
    "Guid",
    "DeviceID",
    "Status",
    "LastSuccessSync",
    "DeviceWipeRequestTime",
    "DeviceWipeSentTime",
    "DeviceWipeAckTime",
    "AccountOnlyDeviceWipeRequestTime",
    "AccountOnlyDeviceWipeSentTime",
    "AccountOnlyDeviceWipeAckTime",
];
const LISTS: &[&str] = &[
    "Guid",
    "DistinguishedName",
    "PrimarySmtpAddress",
    "ActiveSyncEnabled",
    "ActiveSyncAllowedDeviceIDs",
    "ActiveSyncBlockedDeviceIDs",
    "ActiveSyncMailboxPolicy",
    "ActiveSyncMailboxPolicyIsDefaulted",
    "WhenChangedUTC",
];

fn cmdlet(name: &'static str, select: &'static [&'static str]) -> Cmdlet {
    Cmdlet { name, parameters: Vec::new(), select }
}

impl Cmdlet {
    fn with(mut self, name: &'static str, argument: Argument) -> Self {
        self.parameters.push((name, argument));
        self
    }

    fn of(self, guid: Uuid) -> Self {
        self.with("Identity", Argument::Text(guid.to_string()))
    }

    fn all(self) -> Self {
        self.with("ResultSize", Argument::Text("Unlimited".into()))
    }

    fn filtered(self, filter: String) -> Self {
        self.with("Filter", Argument::Text(filter))
    }

    fn unasked(self) -> Self {
        self.with("Confirm", Argument::Bool(false))
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        !self.name.starts_with("Get-")
    }

    /// Whether it is one that may be called, with parameters that may be given.
    pub fn is_allowed(&self) -> bool {
        let known = ALLOWED.iter().find(|(name, _)| *name == self.name);
        known.is_some_and(|(_, parameters)| self.parameters.iter().all(|(name, _)| parameters.contains(name)))
    }
}

/// Whose organisation it is.
pub fn organisation() -> Cmdlet {
    cmdlet("Get-OrganizationConfig", &["Guid", "Name", "AdminDisplayVersion"])
}

/// What decides of a client that no list and no rule names.
pub fn default_access() -> Cmdlet {
    cmdlet("Get-ActiveSyncOrganizationSettings", &["DefaultAccessLevel"])
}

/// The same with whom it tells of clients that wait.
pub fn organisation_settings() -> Cmdlet {
    cmdlet("Get-ActiveSyncOrganizationSettings", &["DefaultAccessLevel", "AdminMailRecipients", "UserMailInsert"])
}

/// All access rules.
pub fn rules() -> Cmdlet {
    cmdlet(
        "Get-ActiveSyncDeviceAccessRule",
        &["Guid", "Identity", "Name", "Characteristic", "QueryString", "AccessLevel"],
    )
}

/// Sets what is given of the organisation's settings. A list of recipients takes the former one's place: that is what is meant.
pub fn set_organisation(default: Option<&Level>, recipients: Option<&[String]>, insert: Option<&str>) -> Cmdlet {
    let level = default.map(|level| ("DefaultAccessLevel", Argument::Text(level.as_str().into())));
    let recipients = recipients.map(|all| if all.is_empty() { Argument::Null } else { Argument::Texts(all.to_vec()) });
    let insert = insert.map(|text| ("UserMailInsert", Argument::Text(text.into())));
    let given = [level, recipients.map(|all| ("AdminMailRecipients", all)), insert];
    let set = cmdlet("Set-ActiveSyncOrganizationSettings", &[]);
    given.into_iter().flatten().fold(set, |set, (name, value)| set.with(name, value))
}

/// Makes a rule; none where it would speak of nobody.
pub fn new_rule(which: &Which, level: &Level) -> Option<Cmdlet> {
    let made = named("New-ActiveSyncDeviceAccessRule", "QueryString", &which.query)?;
    let made = made.with("Characteristic", Argument::Text(which.characteristic.clone()));
    Some(made.with("AccessLevel", Argument::Text(level.as_str().into())))
}

/// Gives a rule another level, which is all that can be changed of one; none where it has no name.
pub fn set_rule(rule: &Rule, level: &Level) -> Option<Cmdlet> {
    let set = named("Set-ActiveSyncDeviceAccessRule", "Identity", rule.name.as_deref()?)?;
    Some(set.with("AccessLevel", Argument::Text(level.as_str().into())))
}

/// Takes a rule away; none where it has no name.
pub fn remove_rule(rule: &Rule) -> Option<Cmdlet> {
    Some(named("Remove-ActiveSyncDeviceAccessRule", "Identity", rule.name.as_deref()?)?.unasked())
}

/// All partnerships.
pub fn devices() -> Cmdlet {
    cmdlet("Get-MobileDevice", DEVICE).all()
}

/// Partnerships that first came after a moment (`2026-12-01 00:00:00`, UTC).
pub fn devices_since(moment: &str) -> Cmdlet {
    devices().filtered(format!("FirstSyncTime -gt '{moment}'"))
}

/// Partnerships about which nothing was decided yet.
pub fn devices_that_wait(state: Waiting) -> Cmdlet {
    let state = match state {
        Waiting::Quarantined => "Quarantined",
        Waiting::Discovered => "DeviceDiscovery",
    };
    devices().filtered(format!("DeviceAccessState -eq '{state}'"))
}

/// What a client can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Somebody's decision.
    Quarantined,
    /// Exchange knowing what it is.
    Discovered,
}

/// The partnerships of one mailbox.
pub fn devices_of(mailbox: Uuid) -> Cmdlet {
    devices().with("Mailbox", Argument::Text(mailbox.to_string()))
}

/// One partnership.
pub fn device(guid: Uuid) -> Cmdlet {
    cmdlet("Get-MobileDevice", DEVICE).of(guid)
}

/// When it synchronised, and how its wipe stands. Opens the mailbox: slow.
pub fn statistics(guid: Uuid) -> Cmdlet {
    cmdlet("Get-MobileDeviceStatistics", STATISTICS).of(guid)
}

/// The lists of all mailboxes that have, or had, a mobile client.
pub fn mailboxes() -> Cmdlet {
    cmdlet("Get-CASMailbox", LISTS).filtered("HasActiveSyncDevicePartnership -eq $true".into()).all()
}

/// The lists of mailboxes that were changed after a moment (`2026-12-01 00:00:00`, UTC).
pub fn mailboxes_since(moment: &str) -> Cmdlet {
    cmdlet("Get-CASMailbox", LISTS).filtered(format!("WhenChangedUTC -gt '{moment}'")).all()
}

/// One mailbox's lists.
pub fn mailbox(guid: Uuid) -> Cmdlet {
    cmdlet("Get-CASMailbox", LISTS).of(guid)
}

/// The mailbox under which a client was found; none where that is not said.
pub fn mailbox_named(name: &str) -> Option<Cmdlet> {
    Some(Cmdlet { select: LISTS, ..named("Get-CASMailbox", "Identity", name)? })
}

/// Which mailbox's list a client's name goes to, and from which it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// On the allowed one alone.
    Allow,
    /// On the blocked one alone.
    Block,
    /// On neither.
    Neither,
    /// Off the blocked one, and the allowed one is left: before a wipe, which a blocked client may never fetch.
    Unblock,
}

/// Puts a client's name on a mailbox's list.
pub fn set_lists(key: &Key, lists: Lists) -> Cmdlet {
    let id = || vec![key.device_id.clone()];
    let add = || Argument::Edit { add: id(), remove: Vec::new() };
    let remove = || Argument::Edit { add: Vec::new(), remove: id() };
    let (allowed, blocked) = match lists {
        Lists::Allow => (Some(add()), remove()),
        Lists::Block => (Some(remove()), add()),
        Lists::Neither => (Some(remove()), remove()),
        Lists::Unblock => (None, remove()),
    };
    let set = cmdlet("Set-CASMailbox", &[]).of(key.mailbox);
    let set = match allowed {
        Some(allowed) => set.with("ActiveSyncAllowedDeviceIDs", allowed),
        None => set,
    };
    set.with("ActiveSyncBlockedDeviceIDs", blocked)
}

/// A wipe. `account_only` where Exchange is told so: the Outlook app takes a plain one, and loses its account alone.
pub fn clear(guid: Uuid, account_only: bool) -> Cmdlet {
    let clear = cmdlet("Clear-MobileDevice", &[]).of(guid).unasked();
    if account_only { clear.with("AccountOnly", Argument::Switch) } else { clear }
}

/// Takes a wipe back that was not handed out.
pub fn cancel(guid: Uuid) -> Cmdlet {
    cmdlet("Clear-MobileDevice", &[]).of(guid).unasked().with("Cancel", Argument::Switch)
}

/// Forgets a partnership. A client that is not blocked makes it anew.
pub fn remove(guid: Uuid) -> Cmdlet {
    cmdlet("Remove-MobileDevice", &[]).of(guid).unasked()
}

/// A mailbox policy of this name; none where the name is empty, which Exchange would take for all.
pub fn policy(name: &str) -> Option<Cmdlet> {
    Some(Cmdlet { select: POLICY, ..named("Get-MobileDeviceMailboxPolicy", "Identity", name)? })
}

/// All mailbox policies.
pub fn policies() -> Cmdlet {
    cmdlet("Get-MobileDeviceMailboxPolicy", POLICY)
}

/// Makes a mailbox policy, or sets one. Settings that are not on our list are left out.
pub fn write_policy(name: &str, settings: &BTreeMap<String, Json>, new: bool) -> Option<Cmdlet> {
    let (cmdlet, parameter) =
        if new { ("New-MobileDeviceMailboxPolicy", "Name") } else { ("Set-MobileDeviceMailboxPolicy", "Identity") };
    let written = POLICY.iter().skip(2).filter_map(|setting| Some((*setting, argument(settings.get(*setting)?)?)));
    Some(written.fold(named(cmdlet, parameter, name)?, |cmdlet, (setting, value)| cmdlet.with(setting, value)))
}

/// Puts a mailbox under a policy; under Exchange's default where there is none.
pub fn assign_policy(mailbox: Uuid, name: Option<&str>) -> Cmdlet {
    let policy = name.map_or(Argument::Null, |name| Argument::Text(name.into()));
    cmdlet("Set-CASMailbox", &[]).of(mailbox).with("ActiveSyncMailboxPolicy", policy)
}

fn named(name: &'static str, parameter: &'static str, value: &str) -> Option<Cmdlet> {
    let value = value.trim();
    (!value.is_empty()).then(|| cmdlet(name, &[]).with(parameter, Argument::Text(value.into())))
}

fn argument(value: &Json) -> Option<Argument> {
    match value {
        Json::Bool(on) => Some(Argument::Bool(*on)),
        Json::Number(number) => number.as_i64().map(Argument::Number),
        Json::String(text) => Some(Argument::Text(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { guid: Uuid::from_u128(1), device_id: "ApplF9".into(), mailbox: Uuid::from_u128(2) }
    }

    fn which(query: &str) -> Which {
        Which { characteristic: "DeviceType".into(), query: query.into() }
    }

    fn rule(name: Option<&str>) -> Rule {
        Rule { which: which("iPhone"), level: Level::Allow, name: name.map(Into::into) }
    }

    #[test]
    fn a_rule_for_nobody_is_none_and_one_without_a_name_is_not_touched() {
        assert_eq!(new_rule(&which(" "), &Level::Block), None);
        assert_eq!((set_rule(&rule(None), &Level::Block), remove_rule(&rule(Some("")))), (None, None));
    }

    #[test]
    fn of_the_organisation_only_what_is_given_is_set() {
        let set = set_organisation(None, Some(&[]), None);
        assert_eq!(set.parameters, [("AdminMailRecipients", Argument::Null)]);
        assert!(set_organisation(None, None, None).parameters.is_empty());
    }

    #[test]
    fn each_is_on_the_list_of_what_may_be_called() {
        let settings = BTreeMap::from([("MinPasswordLength".to_string(), Json::from(6))]);
        let all = [
            organisation(),
            default_access(),
            devices(),
            devices_since("2026-12-01 00:00:00"),
            devices_that_wait(Waiting::Quarantined),
            devices_that_wait(Waiting::Discovered),
            device(key().guid),
            statistics(key().guid),
            mailboxes(),
            mailboxes_since("2026-12-01 00:00:00"),
            mailbox(key().mailbox),
            devices_of(key().mailbox),
            mailbox_named("CN=Ann").unwrap(),
            set_lists(&key(), Lists::Allow),
            set_lists(&key(), Lists::Unblock),
            clear(key().guid, true),
            cancel(key().guid),
            remove(key().guid),
            policy("nurses").unwrap(),
            write_policy("nurses", &settings, true).unwrap(),
            write_policy("nurses", &settings, false).unwrap(),
            assign_policy(key().mailbox, None),
            policies(),
            organisation_settings(),
            rules(),
            set_organisation(Some(&Level::Block), Some(&[]), Some("wait")),
            new_rule(&which("iPhone"), &Level::Allow).unwrap(),
            set_rule(&rule(Some("iPhone (DeviceType)")), &Level::Block).unwrap(),
            remove_rule(&rule(Some("iPhone (DeviceType)"))).unwrap(),
        ];
        for cmdlet in all {
            assert!(cmdlet.is_allowed(), "{cmdlet:?}");
        }
        assert!(!cmdlet("Remove-Mailbox", &[]).is_allowed());
        assert!(!device(key().guid).with("ShowRecoveryPassword", Argument::Switch).is_allowed());
    }

    #[test]
    fn lists_are_edited_and_never_replaced() {
        let one = |name: &str| vec![name.to_string()];
        let edits = |lists| set_lists(&key(), lists).parameters.split_off(1);
        let (add, remove) = (
            Argument::Edit { add: one("ApplF9"), remove: vec![] },
            Argument::Edit { add: vec![], remove: one("ApplF9") },
        );
        let (allowed, blocked) = ("ActiveSyncAllowedDeviceIDs", "ActiveSyncBlockedDeviceIDs");
        assert_eq!(edits(Lists::Allow), [(allowed, add.clone()), (blocked, remove.clone())]);
        assert_eq!(edits(Lists::Block), [(allowed, remove.clone()), (blocked, add)]);
        assert_eq!(edits(Lists::Neither), [(allowed, remove.clone()), (blocked, remove.clone())]);
        assert_eq!(edits(Lists::Unblock), [(blocked, remove)]);
    }

    #[test]
    fn a_wipe_of_the_account_says_so_and_none_asks_anybody() {
        assert!(clear(key().guid, true).parameters.contains(&("AccountOnly", Argument::Switch)));
        assert!(!clear(key().guid, false).parameters.iter().any(|(name, _)| *name == "AccountOnly"));
        for asked in [clear(key().guid, false), cancel(key().guid), remove(key().guid)] {
            assert!(asked.parameters.contains(&("Confirm", Argument::Bool(false))), "{asked:?}");
            assert!(asked.writes(), "{asked:?}");
        }
        assert!(!statistics(key().guid).writes());
    }

    #[test]
    fn a_policy_without_a_name_is_none_and_settings_that_are_not_ours_are_left_out() {
        assert_eq!((policy(" "), write_policy("", &BTreeMap::new(), true)), (None, None));
        let settings = BTreeMap::from([
            ("PasswordEnabled".to_string(), Json::from(true)),
            ("Identity".to_string(), Json::from("another")),
            ("IsDefault".to_string(), Json::from(true)),
        ]);
        let written = write_policy("nurses", &settings, false).unwrap();
        let named = ("Identity", Argument::Text("nurses".into()));
        assert_eq!(written.parameters, [named, ("PasswordEnabled", Argument::Bool(true))]);
    }
}
