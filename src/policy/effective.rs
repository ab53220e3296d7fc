//! The policies of one device merged to the strictest. Order and repetition change nothing.

use std::collections::{BTreeMap, BTreeSet};

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
    /// By the setting's name the policies that ask for it just as it is.
    pub sources: BTreeMap<String, BTreeSet<String>>,
    /// What policies ask for otherwise than it is, and so do not get.
    pub overridden: Vec<Overridden>,
}

/// A setting of one policy that gave way to another's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overridden {
    /// Whose setting it is.
    pub policy: String,
    /// Which, as coverage names it.
    pub setting: String,
    /// The policy that holds.
    pub by: String,
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
    for policy in &sorted {
        add(&mut merged, policy);
    }
    overrule(&mut merged);
    let holders = holders(&merged, &sorted);
    for policy in sorted {
        judge(&mut merged, policy, &holders);
    }
    merged
}

/// Which policy each typed setting has its value from.
fn holders(merged: &Effective, sorted: &[&PolicyFile]) -> BTreeMap<Setting, String> {
    let holder = |value: Value| {
        let policy = sorted.iter().find(|policy| policy.values().contains(&value))?;
        Some((value.setting(), policy.name.clone()))
    };
    merged.values().into_iter().filter_map(holder).collect()
}

/// What of a policy is in force, and what gave way to whom.
fn judge(merged: &mut Effective, policy: &PolicyFile, holders: &BTreeMap<Setting, String>) {
    let in_force = merged.values();
    let mut found: Vec<(String, Option<&String>)> = Vec::new();
    for value in policy.values() {
        let other = holders.get(&value.setting()).filter(|_| !in_force.contains(&value));
        found.push((value.setting().name().to_owned(), other));
    }
    for profile in &policy.apple_profiles {
        let known = merged.apple_profiles.get(&profile.identifier).filter(|known| known.content != *profile);
        found.push((format!("apple.profiles[{}]", profile.identifier), known.map(|known| &known.policy)));
    }
    for node in &policy.windows_csp {
        let typed = || typed_node(&node.path).and_then(|setting| holders.get(&setting));
        let other = match merged.windows_csp.get(&node.path) {
            Some(known) => Some(&known.policy).filter(|_| known.content != *node),
            None => typed(),
        };
        found.push((format!("windows.csp[{}]", node.path), other));
    }
    for (element, value) in &policy.activesync {
        let typed = || typed_element(element).and_then(|setting| holders.get(&setting));
        let other = match merged.activesync.get(element) {
            Some(known) => Some(&known.policy).filter(|_| known.content != *value),
            None => typed(),
        };
        found.push((format!("activesync.{element}"), other));
    }
    let found: Vec<(String, Option<String>)> = found.into_iter().map(|(name, by)| (name, by.cloned())).collect();
    for (setting, by) in found {
        match by {
            Some(by) => merged.overridden.push(Overridden { policy: policy.name.clone(), setting, by }),
            None => drop(merged.sources.entry(setting).or_default().insert(policy.name.clone())),
        }
    }
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
    fn who_gave_way_to_whom_is_known() {
        let node = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength";
        let a =
            policy("name: a\nassign: all\ncamera: allowed\npasscode: {min_length: 8}\nactivesync: {AllowWiFi: 0}\n");
        let b = policy(&format!(
            "name: b\nassign: all\ncamera: blocked\nactivesync: {{AllowWiFi: 1}}\nwindows: {{csp: [{{path: {node}, data: 9}}]}}\n"
        ));
        let c = policy("name: c\nassign: all\ncamera: blocked\nactivesync: {AllowWiFi: 0}\n");
        let all = effective([&a, &b, &c]);
        let lost: Vec<_> =
            all.overridden.iter().map(|lost| (lost.policy.as_str(), lost.setting.as_str(), lost.by.as_str())).collect();
        let raw = format!("windows.csp[{node}]");
        assert_eq!(lost, [("a", "camera", "b"), ("b", &raw, "a"), ("b", "activesync.AllowWiFi", "c")]);
        let whose = |setting: &str| all.sources[setting].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(whose("camera"), ["b", "c"]);
        assert_eq!(whose("activesync.AllowWiFi"), ["a", "c"], "what agrees with the holder holds too");
        assert_eq!(effective([&b]).overridden, []);
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
