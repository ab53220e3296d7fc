//! What a change of a policy does, for people: lines with `+` and `-`, and warnings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::file::{Assign, PolicyFile};

/// The devices a change touches, counted by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched {
    /// All that have the policy before or after.
    pub devices: u64,
    /// Of those that have it afterwards: those which wrong tries erase ([`erases`](super::erases) on any of their channels).
    pub erasing: u64,
}

/// A change, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// `+ passcode.min_length: 8`, `- passcode.min_length: 6`; sorted by key, the old before the new. Empty: no change.
    pub lines: Vec<String>,
    /// Sentences on what the change brings about.
    pub warnings: Vec<String>,
}

/// Lines, then `! ` and a warning each.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "! {warning}"))
    }
}

/// From one version to the next; `None` is none: a new policy, or a deleted one.
pub fn diff(old: Option<&PolicyFile>, new: Option<&PolicyFile>, touched: Touched) -> Diff {
    let (before, after) = (old.map(flat).unwrap_or_default(), new.map(flat).unwrap_or_default());
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            lines.extend(old.map(|value| format!("- {key}: {value}")));
            lines.extend(new.map(|value| format!("+ {key}: {value}")));
        }
    }
    Diff { lines, warnings: warnings(old, new, touched) }
}

fn warnings(old: Option<&PolicyFile>, new: Option<&PolicyFile>, touched: Touched) -> Vec<String> {
    let mut warnings = Vec::new();
    let known = old.map(wrong_tries).unwrap_or_default();
    for (key, tries) in new.map(wrong_tries).unwrap_or_default() {
        // Said again where more devices may come under it.
        let unchanged = known.get(&key) == Some(&tries) && old.map(|o| &o.assign) == new.map(|n| &n.assign);
        if !unchanged && touched.erasing > 0 {
            let devices = count(touched.erasing);
            warnings.push(format!("{key} {tries}: on {devices} so many wrong tries erase the device"));
        }
    }
    if new.is_none() && touched.devices > 0 {
        warnings.push(format!("{} lose what this policy set", count(touched.devices)));
    }
    if new.is_some_and(|policy| policy.assign == Assign::Groups(Vec::new())) {
        warnings.push("assigned to no group: no device gets this policy".to_owned());
    }
    warnings
}

fn count(devices: u64) -> String {
    if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") }
}

/// Each place that limits wrong tries, raw parts included.
fn wrong_tries(policy: &PolicyFile) -> BTreeMap<String, String> {
    let typed = policy.settings.passcode_max_failed.map(|tries| ("max_failed".to_owned(), tries.to_string()));
    let profiles = policy.apple_profiles.iter().filter_map(|profile| {
        profile.max_failed.map(|tries| (format!("maxFailedAttempts in {}", profile.identifier), tries.to_string()))
    });
    let nodes = policy.windows_csp.iter().filter(|node| node.path.ends_with("/MaxDevicePasswordFailedAttempts"));
    let nodes = nodes.filter(|node| node.data != "0").map(|node| (node.path.clone(), node.data.clone()));
    let element = policy.activesync.get_key_value("MaxDevicePasswordFailedAttempts");
    let element = element.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.clone(), value.clone()));
    typed.into_iter().chain(profiles).chain(nodes).chain(element).collect()
}

fn flat(policy: &PolicyFile) -> BTreeMap<String, String> {
    let assign = match &policy.assign {
        Assign::All => "all".to_owned(),
        Assign::Groups(groups) => format!("[{}]", groups.join(", ")),
    };
    let typed = policy.values().into_iter().map(|value| (value.setting().name().to_owned(), value.to_string()));
    let profiles = policy.apple_profiles.iter().map(|profile| {
        let hash: String = openssl::sha::sha256(&profile.bytes).iter().take(6).map(|b| format!("{b:02x}")).collect();
        let shown = format!("{} bytes, sha256 {hash}…", profile.bytes.len());
        (format!("apple.profiles[{}]", profile.identifier), shown)
    });
    let nodes = policy
        .windows_csp
        .iter()
        .map(|node| (format!("windows.csp[{}]", node.path), format!("{} {}", node.format.as_str(), shown(&node.data))));
    let elements = policy.activesync.iter().map(|(name, value)| (format!("activesync.{name}"), shown(value)));
    std::iter::once(("assign".to_owned(), assign)).chain(typed).chain(profiles).chain(nodes).chain(elements).collect()
}

/// A value on one line. What is cut bears a hash, so that a change behind the cut is still a change.
fn shown(value: &str) -> String {
    let escaped: String = value.escape_debug().collect();
    if escaped.chars().count() <= 100 {
        return escaped;
    }
    let hash: String = openssl::sha::sha256(value.as_bytes()).iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("{}… ({} bytes, sha256 {hash}…)", escaped.chars().take(60).collect::<String>(), value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> PolicyFile {
        PolicyFile::parse(&format!("name: a\n{text}")).unwrap()
    }

    #[test]
    fn a_change_is_shown_key_by_key() {
        let old = policy("assign: all\npasscode: {min_length: 6, history: 3}\n");
        let new = policy("assign: [staff]\npasscode: {min_length: 8}\ncamera: blocked\n");
        assert_eq!(
            diff(Some(&old), Some(&new), Touched::default()).lines,
            [
                "- assign: all",
                "+ assign: [staff]",
                "+ camera: blocked",
                "- passcode.history: 3",
                "- passcode.min_length: 6",
                "+ passcode.min_length: 8",
            ]
        );
        assert_eq!(diff(Some(&new), Some(&new), Touched { devices: 9, erasing: 9 }), Diff::default());
    }

    #[test]
    fn wrong_tries_that_erase_are_told_with_their_devices() {
        let touched = Touched { devices: 9, erasing: 7 };
        let six = policy("assign: all\npasscode: {max_failed: 6}\n");
        let warning = "max_failed 6: on 7 devices so many wrong tries erase the device";
        assert_eq!(diff(None, Some(&six), touched).warnings, [warning]);
        assert_eq!(diff(Some(&six), Some(&six), touched).warnings, [""; 0], "nothing new");
        let some = policy("assign: [x]\npasscode: {max_failed: 6}\n");
        assert_eq!(diff(Some(&some), Some(&six), touched).warnings, [warning], "other devices");
        assert_eq!(diff(None, Some(&six), Touched { devices: 9, erasing: 0 }).warnings, [""; 0], "Macs alone");
        let raw = policy("assign: all\nactivesync: {MaxDevicePasswordFailedAttempts: 5}\n");
        assert_eq!(
            diff(None, Some(&raw), Touched { devices: 1, erasing: 1 }).warnings,
            ["MaxDevicePasswordFailedAttempts 5: on 1 device so many wrong tries erase the device"]
        );
    }

    #[test]
    fn a_deleted_policy_says_who_loses_it() {
        let old = policy("assign: all\ncamera: blocked\n");
        let gone = diff(Some(&old), None, Touched { devices: 3, erasing: 0 });
        assert_eq!(gone.to_string(), "- assign: all\n- camera: blocked\n! 3 devices lose what this policy set\n");
    }

    #[test]
    fn long_values_differ_behind_the_cut_and_control_characters_stay_out() {
        let wlan = |tail: &str| {
            policy(&format!(
                "assign: all\nwindows: {{csp: [{{path: ./Vendor/MSFT/WiFi/Profile/a/WlanXml, data: \"{}{tail}\"}}]}}\n",
                "x\\n".repeat(200)
            ))
        };
        let lines = diff(Some(&wlan("a")), Some(&wlan("b")), Touched::default()).lines;
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.len() < 250 && !line.contains('\n')), "{lines:?}");
    }
}
