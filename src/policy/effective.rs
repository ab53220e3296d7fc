//! The policies of one device merged to the strictest. Order and repetition change nothing.

use std::collections::BTreeMap;

use super::bounds::{typed_element, typed_node};
use super::file::PolicyFile;
use super::raw::{AppleProfile, WindowsCsp};
use super::settings::{Setting, Settings, Value};

/// What a device must have, whatever policies it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effective {
    /// The names of the policies merged; sorted.
    pub policies: Vec<String>,
    /// Of each the strictest. Any rule of the passcode implies `required`.
    pub settings: Settings,
    /// By PayloadIdentifier.
    pub apple_profiles: BTreeMap<String, Raw<AppleProfile>>,
    /// By path.
    pub windows_csp: BTreeMap<String, Raw<WindowsCsp>>,
    /// By element.
    pub activesync: BTreeMap<String, Raw<String>>,
    /// What an administrator should know: raw parts that gave way to another policy's, or to a typed setting.
    pub notes: Vec<String>,
}

/// A raw part and the policy it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Raw<T> {
    pub policy: String,
    pub content: T,
}

impl Effective {
    /// The typed settings asked for, in the order of [`Setting`].
    pub fn values(&self) -> Vec<Value> {
        self.settings.values().collect()
    }

    /// Whether nothing at all is asked for.
    pub fn is_empty(&self) -> bool {
        self.values().is_empty()
            && self.apple_profiles.is_empty()
            && self.windows_csp.is_empty()
            && self.activesync.is_empty()
    }
}

/// Merges: of typed settings the strictest holds; of raw parts of one name the later policy's by name, with a note.
/// A typed setting overrules a raw part that says the same thing, since the two could not both be sent.
pub fn effective<'a>(policies: impl IntoIterator<Item = &'a PolicyFile>) -> Effective {
    let mut sorted: Vec<&PolicyFile> = policies.into_iter().collect();
    // Names are unique in a store. Should two policies share one, something else must decide, but never their order.
    sorted.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| format!("{a:?}").cmp(&format!("{b:?}"))));
    sorted.dedup();
    let mut merged = Effective::default();
    for policy in sorted {
        add(&mut merged, policy);
    }
    overrule(&mut merged);
    merged
}

fn add(merged: &mut Effective, policy: &PolicyFile) {
    if merged.policies.last() != Some(&policy.name) {
        merged.policies.push(policy.name.clone());
    }
    merged.settings = merged.settings.strictest(policy.settings);
    let notes = &mut merged.notes;
    for profile in &policy.apple_profiles {
        let part = Raw { policy: policy.name.clone(), content: profile.clone() };
        put(&mut merged.apple_profiles, notes, "apple.profiles", profile.identifier.clone(), part);
    }
    for node in &policy.windows_csp {
        let part = Raw { policy: policy.name.clone(), content: node.clone() };
        put(&mut merged.windows_csp, notes, "windows.csp", node.path.clone(), part);
    }
    for (element, value) in &policy.activesync {
        let part = Raw { policy: policy.name.clone(), content: value.clone() };
        put(&mut merged.activesync, notes, "activesync", element.clone(), part);
    }
}

fn put<T: PartialEq>(
    parts: &mut BTreeMap<String, Raw<T>>,
    notes: &mut Vec<String>,
    kind: &str,
    key: String,
    part: Raw<T>,
) {
    if let Some(known) = parts.get(&key).filter(|known| known.content != part.content) {
        notes.push(format!("{kind} {key}: {} holds over {}, as the later name", part.policy, known.policy));
    }
    parts.insert(key, part);
}

fn overrule(merged: &mut Effective) {
    let typed: Vec<Setting> = merged.values().into_iter().map(Value::setting).collect();
    let notes = &mut merged.notes;
    let mut keep = |kind: &str, key: &str, policy: &str, setting: Option<Setting>| {
        let Some(setting) = setting.filter(|setting| typed.contains(setting)) else { return true };
        notes.push(format!("{kind} {key} of {policy}: the typed setting {} holds over it", setting.name()));
        false
    };
    merged.windows_csp.retain(|path, part| keep("windows.csp", path, &part.policy, typed_node(path)));
    merged.activesync.retain(|name, part| keep("activesync", name, &part.policy, typed_element(name)));
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Permission, Required};
    use super::*;

    fn policy(text: &str) -> PolicyFile {
        PolicyFile::parse(text).unwrap()
    }

    #[test]
    fn the_strictest_holds() {
        let a = policy("name: a\nassign: all\npasscode: {min_length: 6, max_failed: 10}\ncamera: allowed\n");
        let b = policy(
            "name: b\nassign: [x]\npasscode: {min_length: 8, history: 3}\nencryption: required\ncamera: blocked\n",
        );
        let both = effective([&b, &a]);
        assert_eq!(both.policies, ["a", "b"]);
        assert_eq!(
            both.values(),
            [
                Value::PasscodeRequired(Required),
                Value::PasscodeMinLength(8),
                Value::PasscodeMaxFailed(10),
                Value::PasscodeHistory(3),
                Value::Encryption(Required),
                Value::Camera(Permission::Blocked),
            ]
        );
        assert_eq!(both.notes, [""; 0]);
    }

    #[test]
    fn the_later_name_holds_among_raw_parts_and_says_so() {
        let a = policy("name: a\nassign: all\nactivesync: {AllowBluetooth: 0, AllowWiFi: 1}\n");
        let b = policy("name: b\nassign: all\nactivesync: {AllowBluetooth: 2, AllowWiFi: 1}\n");
        let both = effective([&a, &b]);
        assert_eq!(both.activesync["AllowBluetooth"], Raw { policy: "b".into(), content: "2".into() });
        assert_eq!(both.notes, ["activesync AllowBluetooth: b holds over a, as the later name"]);
    }

    #[test]
    fn a_typed_setting_overrules_raw_parts_for_the_same_thing() {
        let raw = policy(
            "name: raw\nassign: all\nactivesync: {MinDevicePasswordLength: 4, DevicePasswordEnabled: 0}\n\
             windows: {csp: [{path: ./Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength, format: int, data: 4}]}\n",
        );
        let typed = policy("name: typed\nassign: all\npasscode: {min_length: 8}\n");
        let both = effective([&raw, &typed]);
        assert!(both.activesync.is_empty() && both.windows_csp.is_empty());
        assert_eq!(both.notes.len(), 3);
        assert_eq!(effective([&raw]).activesync.len(), 2, "alone they stand");
    }
}
