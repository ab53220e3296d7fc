//! The elements of an ActiveSync policy document that a raw part may set: the rules of
//! [`lanyard_activesync`](lanyard_activesync::policy::Rule), in words for the administrator.

use lanyard_activesync::{
    Error,
    policy::{APPROVED, Rule, UNAPPROVED},
};

use super::Refused;

/// Names that are refused with a ground of their own.
static SPOKEN: [(&str, &str); 4] = [
    ("RemoteWipe", "this is a command: wipes go through `lanyard wipe` and its limits"),
    ("AccountOnlyRemoteWipe", "this is a command: wipes go through `lanyard wipe` and its limits"),
    (APPROVED, "this takes a list, which policies do not carry yet"),
    (UNAPPROVED, "this takes a list, which policies do not carry yet"),
];

/// Whether a name is neither an element nor one that is refused with its own words: a slip of the pen.
pub(in crate::policy) fn is_unheard_of(name: &str) -> bool {
    Rule::from_name(name).is_none() && SPOKEN.iter().all(|(spoken, _)| *spoken != name)
}

/// The elements a policy may name, sorted.
pub fn element_names() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    names.sort_unstable();
    names.into_iter()
}

/// An element and its value in the one spelling that is sent. Names keep their case, as on the wire.
pub fn element(name: &str, value: &str) -> Result<String, Refused> {
    let Some(rule) = Rule::from_name(name) else {
        let spoken = SPOKEN.iter().find(|(refused, _)| *refused == name);
        return Refused::because(spoken.map_or("ActiveSync has no such policy element", |(_, why)| why));
    };
    match rule.read(value) {
        Ok(number) => Ok(number.map(|number| number.to_string()).unwrap_or_default()),
        Err(Error::Value { value, allowed, .. }) if rule == Rule::MaxDevicePasswordFailedAttempts => {
            Refused::because(format!("{value} is out of range: {allowed}, since so many wrong tries erase the device"))
        }
        Err(Error::Value { allowed, .. }) => Refused::because(format!("takes {allowed}")),
        Err(other) => Refused::because(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_sorted_and_bounded() {
        assert!(element_names().is_sorted());
        for (name, value, ok) in [
            ("AllowBluetooth", "2", true),
            ("AllowBluetooth", "3", false),
            ("AllowBluetooth", "", false),
            ("MinDevicePasswordLength", "", true),
            ("MinDevicePasswordLength", "+6", true),
            ("MaxDevicePasswordFailedAttempts", "3", false),
            ("MaxDevicePasswordFailedAttempts", "4", true),
            ("MaxCalendarAgeFilter", "1", false),
            ("MaxInactivityTimeDeviceLock", "0", false),
            ("DevicePasswordExpiration", "731", false),
            ("DevicePasswordHistory", "51", false),
            ("AllowCamera", "true", false),
            ("AllowCamera", " 1", false),
            ("MaxEmailBodyTruncationSize", "-1", true),
            ("MaxEmailBodyTruncationSize", "-2", false),
            ("RemoteWipe", "", false),
            ("allowbluetooth", "1", false),
            ("AllowBluetooth", "1<RemoteWipe/>", false),
        ] {
            assert_eq!(element(name, value).is_ok(), ok, "{name}={value}");
        }
        assert_eq!(element("MinDevicePasswordLength", "+6").unwrap(), "6");
    }
}
