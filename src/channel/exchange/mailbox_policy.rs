//! What mail clients are to keep to, as an Exchange mailbox policy: the same document that the gateway would hand out, in Exchange's words.

use super::words;
use crate::{channel::mail::document, fleet::connectors::under::Rules, ids::digest, policy::PartContent};
use lanyard_activesync::policy::{ProvisionDoc, Rule};
use lanyard_exchange::mailbox_policy::{OURS, written};
use std::collections::BTreeMap;

/// Elements of the document, Exchange's parameters, and in how many of the element's units the parameter counts.
const WORDS: &[(Rule, &str, i64)] = &[
    (Rule::DevicePasswordEnabled, "PasswordEnabled", 1),
    (Rule::AlphanumericDevicePasswordRequired, "AlphanumericPasswordRequired", 1),
    (Rule::MinDevicePasswordLength, "MinPasswordLength", 1),
    (Rule::MaxDevicePasswordFailedAttempts, "MaxPasswordFailedAttempts", 1),
    // Seconds and minutes.
    (Rule::MaxInactivityTimeDeviceLock, "MaxInactivityTimeLock", 60),
    (Rule::DevicePasswordExpiration, "PasswordExpiration", 1),
    (Rule::DevicePasswordHistory, "PasswordHistory", 1),
    (Rule::RequireDeviceEncryption, "RequireDeviceEncryption", 1),
    (Rule::AllowCamera, "AllowCamera", 1),
    (Rule::AllowBluetooth, "AllowBluetooth", 1),
];

/// The strictest of what the devices of a mailbox are to keep to; none: nothing is asked for. Of the same rules the name is the same.
pub(super) fn of(contents: &[PartContent]) -> Option<Rules> {
    let (first, rest) = contents.split_first()?;
    let both = rest.iter().fold(document::of(first), |both, content| both.stricter(&document::of(content)));
    let plain = ProvisionDoc::default();
    let mut settings = BTreeMap::new();
    let mut near = Vec::new();
    for (rule, name, unit) in WORDS {
        let Some(number) = both.get(*rule).filter(|number| plain.get(*rule) != Some(*number)) else { continue };
        let Some((value, instead)) = written(name, number / unit) else { continue };
        if let Some(instead) = instead {
            near.push(format!("{name}: {} was asked for, Exchange takes {instead}", number / unit));
        }
        settings.insert((*name).to_string(), words::spelt(&value));
    }
    if settings.is_empty() {
        return None;
    }
    // Who does not keep to it gets no mail, as through the gateway. Exchange's own default is another.
    settings.insert("AllowNonProvisionableDevices".into(), "false".into());
    let said: String = settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let name = format!("{OURS}{}", digest(said.as_bytes()).chars().take(12).collect::<String>());
    Some(Rules { name, settings, near })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fleet_knows_policies_of_ours_by_the_same_name() {
        assert_eq!(crate::fleet::connectors::under::OURS, lanyard_exchange::mailbox_policy::OURS);
    }
    use crate::policy::{Permission, Required, Value};
    use lanyard_exchange::{cmdlets, mailbox_policy};

    fn content(values: &[Value], elements: &[(&str, &str)]) -> PartContent {
        let elements = elements.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        PartContent::ActiveSync { values: values.to_vec(), elements }
    }

    #[test]
    fn each_setting_is_said_in_exchanges_words_and_its_ends_are_told() {
        for (value, name, want) in [
            (Value::PasscodeRequired(Required), "PasswordEnabled", "true"),
            (Value::PasscodeMinLength(8), "MinPasswordLength", "8"),
            (Value::PasscodeAlphanumeric(Required), "AlphanumericPasswordRequired", "true"),
            (Value::PasscodeMaxFailed(6), "MaxPasswordFailedAttempts", "6"),
            (Value::PasscodeMaxIdleMinutes(5), "MaxInactivityTimeLock", "00:05:00"),
            (Value::PasscodeMaxIdleMinutes(60), "MaxInactivityTimeLock", "01:00:00"),
            (Value::PasscodeExpireDays(90), "PasswordExpiration", "90.00:00:00"),
            (Value::PasscodeHistory(3), "PasswordHistory", "3"),
            (Value::Encryption(Required), "RequireDeviceEncryption", "true"),
            (Value::Camera(Permission::Blocked), "AllowCamera", "false"),
            (Value::Bluetooth(Permission::Blocked), "AllowBluetooth", "Disable"),
        ] {
            let rules = of(&[content(&[value], &[])]).unwrap();
            assert_eq!((rules.settings[name].as_str(), &rules.near[..]), (want, &[][..]), "{value:?}");
            assert_eq!(rules.settings["AllowNonProvisionableDevices"], "false");
            assert!(rules.name.starts_with(OURS) && rules.name.len() <= 64, "{}", rules.name);
        }
        for (seconds, want, near) in
            [("300", "00:05:00", 0), ("90", "00:01:00", 0), ("30", "00:01:00", 1), ("7200", "01:00:00", 1)]
        {
            let rules = of(&[content(&[], &[("MaxInactivityTimeDeviceLock", seconds)])]).unwrap();
            let said = rules.settings["MaxInactivityTimeLock"].as_str();
            assert_eq!((said, rules.near.len()), (want, near), "{seconds}");
        }
    }

    #[test]
    fn nothing_asked_for_is_no_policy() {
        for contents in [vec![], vec![content(&[], &[])], vec![content(&[Value::Camera(Permission::Allowed)], &[])]] {
            assert_eq!(of(&contents), None, "{contents:?}");
        }
    }

    #[test]
    fn several_devices_of_a_mailbox_are_under_the_strictest_and_their_order_says_nothing() {
        let one = content(&[Value::PasscodeMinLength(6), Value::PasscodeMaxIdleMinutes(15)], &[("AllowCamera", "0")]);
        let other = content(&[Value::PasscodeMinLength(8), Value::PasscodeMaxIdleMinutes(30)], &[]);
        let both = of(&[one.clone(), other.clone()]).unwrap();
        let says = |name: &str| both.settings[name].as_str();
        assert_eq!(
            (says("MinPasswordLength"), says("MaxInactivityTimeLock"), says("AllowCamera")),
            ("8", "00:15:00", "false")
        );
        assert_eq!(of(&[other.clone(), one, other.clone()]), Some(both.clone()));
        assert_ne!(of(&[other]).unwrap().name, both.name);
    }

    #[test]
    fn all_that_is_said_is_a_parameter_that_may_be_written() {
        let all = [Value::PasscodeMinLength(6), Value::PasscodeMaxFailed(5), Value::PasscodeExpireDays(9)];
        let rules = of(&[content(&all, &[("AllowBluetooth", "1"), ("AllowWiFi", "0")])]).unwrap();
        let settings = rules.settings.iter().map(|(name, text)| {
            (name.clone(), serde_json::from_str(text).unwrap_or(serde_json::Value::from(text.as_str())))
        });
        let settings = settings.collect();
        let cmdlet = cmdlets::write_policy(&rules.name, &settings, true).unwrap();
        assert!(cmdlet.is_allowed());
        assert_eq!(cmdlet.parameters.len(), rules.settings.len() + 1);
        // And is read back as it was written.
        let mut row: lanyard_exchange::cmdlet::Row = settings.clone().into_iter().collect();
        row.insert("Name".into(), rules.name.into());
        assert!(mailbox_policy::read(&row).unwrap().has(&settings));
    }
}
