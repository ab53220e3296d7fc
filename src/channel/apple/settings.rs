//! How each typed setting of a policy is said to an Apple device.

use crate::policy::Value;
use lanyard_apple::profile::{Passcode, PolicySettings};

/// What a profile is made of.
pub(super) fn of(values: &[Value]) -> PolicySettings {
    let mut said = PolicySettings::default();
    for value in values {
        say(&mut said, *value);
    }
    said
}

fn say(said: &mut PolicySettings, value: Value) {
    match value {
        Value::PasscodeRequired(_) => passcode(said).required = true,
        Value::PasscodeMinLength(length) => passcode(said).min_length = Some(length.into()),
        Value::PasscodeAlphanumeric(_) => passcode(said).alphanumeric = true,
        Value::PasscodeMaxFailed(tries) => passcode(said).max_failed = Some(tries.into()),
        Value::PasscodeMaxIdleMinutes(minutes) => passcode(said).max_idle_minutes = Some(minutes.into()),
        Value::PasscodeExpireDays(days) => passcode(said).expire_days = Some(days.into()),
        Value::PasscodeHistory(length) => passcode(said).history = Some(length.into()),
        // No payload: it is always so, or not to be had, and neither is sent.
        Value::Encryption(_) => {}
        Value::Camera(camera) => restrict(said, "allowCamera", camera.is_allowed()),
        Value::Bluetooth(bluetooth) => restrict(said, "allowBluetoothModification", bluetooth.is_allowed()),
    }
}

fn passcode(said: &mut PolicySettings) -> &mut Passcode {
    said.passcode.get_or_insert_with(Passcode::default)
}

fn restrict(said: &mut PolicySettings, key: &'static str, allowed: bool) {
    said.restrictions.insert(key, allowed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Permission, Setting};
    use lanyard_apple::{profile::ProfileMeta, support::Platform};

    #[test]
    fn every_setting_is_said_by_its_key() {
        let meta = ProfileMeta {
            identifier: "org.lanyard.settings".into(),
            uuid: super::super::delivery::SETTINGS_UUID,
            display_name: "Settings".into(),
            description: None,
            organisation: None,
        };
        for value in Setting::ALL.into_iter().flat_map(Setting::all_values) {
            let profile = of(&[value]).profile(&meta, Platform::Ios).unwrap();
            let said = |(payload, key): (&str, &str)| {
                let text = String::from_utf8_lossy(profile.as_deref().unwrap_or_default());
                text.contains(&format!("<string>{payload}</string>")) && text.contains(&format!("<key>{key}</key>"))
            };
            assert_eq!(value.setting().key().map(said), value.setting().key().map(|_| true), "{value:?}");
            assert_eq!(profile.is_some(), value.setting().key().is_some(), "{value:?}");
        }
    }

    #[test]
    fn what_is_blocked_is_said_to_be_not_allowed() {
        for (value, key, want) in [
            (Value::Camera(Permission::Allowed), "allowCamera", true),
            (Value::Camera(Permission::Blocked), "allowCamera", false),
            (Value::Bluetooth(Permission::Allowed), "allowBluetoothModification", true),
            (Value::Bluetooth(Permission::Blocked), "allowBluetoothModification", false),
        ] {
            assert_eq!(of(&[value]).restrictions, [(key, want)].into(), "{value:?}");
        }
    }
}
