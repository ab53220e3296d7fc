//! From a policy's part to the document that a mail client gets.

use crate::policy::{PartContent, Value};
use lanyard_activesync::policy::{ProvisionDoc, Rule};

/// The whole document: what the policy does not name is sent as its default. A raw element that the protocol does not take is left
/// out and logged; the policy was checked when it was applied.
pub(in crate::channel) fn of(content: &PartContent) -> ProvisionDoc {
    let mut document = ProvisionDoc::default();
    let PartContent::ActiveSync { values, elements } = content else { return document };
    for (rule, number) in values.iter().flat_map(|value| rules(*value)) {
        if let Err(error) = document.set(rule, Some(number)) {
            tracing::error!(%error, "a policy value is out of the protocol's range");
        }
    }
    for (name, value) in elements {
        if let Err(error) = document.apply(name, value) {
            tracing::error!(%error, "a raw policy element is not taken");
        }
    }
    document
}

fn rules(value: Value) -> Vec<(Rule, i64)> {
    let of_password = |rule, number| vec![(Rule::DevicePasswordEnabled, 1), (rule, number)];
    match value {
        Value::PasscodeRequired(_) => vec![(Rule::DevicePasswordEnabled, 1)],
        Value::PasscodeMinLength(length) => of_password(Rule::MinDevicePasswordLength, length.into()),
        Value::PasscodeAlphanumeric(_) => of_password(Rule::AlphanumericDevicePasswordRequired, 1),
        Value::PasscodeMaxFailed(tries) => of_password(Rule::MaxDevicePasswordFailedAttempts, tries.into()),
        Value::PasscodeMaxIdleMinutes(minutes) => {
            of_password(Rule::MaxInactivityTimeDeviceLock, i64::from(minutes) * 60)
        }
        Value::PasscodeExpireDays(days) => of_password(Rule::DevicePasswordExpiration, days.into()),
        Value::PasscodeHistory(length) => of_password(Rule::DevicePasswordHistory, length.into()),
        Value::Encryption(_) => vec![(Rule::RequireDeviceEncryption, 1)],
        Value::Camera(camera) => vec![(Rule::AllowCamera, camera.is_allowed().into())],
        // 1 would leave hands-free sets.
        Value::Bluetooth(bluetooth) => vec![(Rule::AllowBluetooth, if bluetooth.is_allowed() { 2 } else { 0 })],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Permission, Setting};

    #[test]
    fn typed_values_and_raw_elements_stand_in_one_document() {
        let values =
            vec![Value::PasscodeMinLength(6), Value::PasscodeMaxIdleMinutes(5), Value::Camera(Permission::Blocked)];
        let elements = [("AllowBluetooth".to_string(), "0".to_string()), ("Nonsense".into(), "1".into())].into();
        let document = of(&PartContent::ActiveSync { values, elements });
        for (rule, want) in [
            (Rule::DevicePasswordEnabled, Some(1)),
            (Rule::MinDevicePasswordLength, Some(6)),
            (Rule::MaxInactivityTimeDeviceLock, Some(300)),
            (Rule::AllowCamera, Some(0)),
            (Rule::AllowBluetooth, Some(0)),
            (Rule::AllowWiFi, Some(1)),
            (Rule::MaxDevicePasswordFailedAttempts, None),
        ] {
            assert_eq!(document.get(rule), want, "{rule:?}");
        }
    }

    #[test]
    fn bluetooth_is_allowed_or_not_and_never_for_hands_free_sets_alone() {
        for (permission, want) in [(Permission::Allowed, 2), (Permission::Blocked, 0)] {
            let values = vec![Value::Bluetooth(permission)];
            let document = of(&PartContent::ActiveSync { values, elements: [].into() });
            assert_eq!(document.get(Rule::AllowBluetooth), Some(want), "{permission:?}");
        }
    }

    #[test]
    fn every_setting_is_said_by_its_element() {
        for value in Setting::ALL.into_iter().flat_map(Setting::all_values) {
            let said: Vec<_> = rules(value).into_iter().map(|(rule, _)| rule.name()).collect();
            assert_eq!(said.last().copied(), value.setting().element(), "{value:?}");
        }
    }
}
