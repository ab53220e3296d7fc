//! Which commands and which keys of Apple's configuration profiles exist where: from the schemas of apple/device-management.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::{Outcome, Table, read};

pub(super) const KEYS: Table = Table { path: "protocols/apple/src/support/keys.rs", text: keys_text };
pub(super) const COMMANDS: Table = Table { path: "protocols/apple/src/support/commands.rs", text: commands_text };

/// The payloads whose keys are in the table. A setting of another payload begins with its name here.
const PAYLOADS: [&str; 2] = ["com.apple.applicationaccess", "com.apple.mobiledevice.passwordpolicy"];

/// The order of the columns, as in `support.rs`.
const SYSTEMS: [&str; 5] = ["iOS", "macOS", "tvOS", "visionOS", "watchOS"];

const KEYS_HEAD: &str = "\
//! Which keys of configuration profiles exist where. Made by `cargo xtask tables` from Apple's published schema
//! (apple/device-management, MIT, © Apple; facts alone: names, systems, versions, supervision). Not to be edited by hand.

use super::key::{Keys, a, n, s};

/// By payload, its keys, sorted: on iOS (and iPadOS), macOS, tvOS, visionOS, watchOS.
#[rustfmt::skip]
pub(super) static PAYLOADS: &[(&str, &Keys)] = &[
";

fn keys_text(data: &Path) -> Outcome<String> {
    let mut text = KEYS_HEAD.to_owned();
    for payload in PAYLOADS {
        let schema = read(&data.join(format!("apple-device-management/mdm/profiles/{payload}.yaml")))?;
        let _ = writeln!(text, "    (\"{payload}\", &[");
        for (key, systems) in keys(&schema) {
            let _ = writeln!(text, "        (\"{key}\", [{}]),", cells(&systems));
        }
        text.push_str("    ]),\n");
    }
    text.push_str("];\n");
    Ok(text)
}

const COMMANDS_HEAD: &str = "\
//! Which commands exist where, and the items of Settings by themselves. Made by `cargo xtask tables` from Apple's published schema
//! (apple/device-management, MIT, © Apple; facts alone: names, systems, versions, rights, supervision). Not to be edited by hand.

use super::{
    Right::*,
    key::{Row, a, n, row, s},
};

/// Sorted. Its right; on iOS (and iPadOS), macOS, tvOS, visionOS, watchOS; whether it goes in user enrolment on iOS and visionOS, and on
/// macOS; whether over a Mac's user channel.
#[rustfmt::skip]
pub(super) static COMMANDS: &[Row] = &[
";

fn commands_text(data: &Path) -> Outcome<String> {
    let folder = data.join("apple-device-management/mdm/commands");
    let newer = availability(&read(&data.join("apple-availability/availability.tsv"))?);
    let files = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut rows = BTreeMap::new();
    for file in files {
        let schema = read(&file.map_err(|e| e.to_string())?.path())?;
        let asked = schema.split("\nresponsekeys:\n").next().unwrap_or_default();
        let (payload, keys) = asked.split_once("\npayloadkeys:\n").unwrap_or((asked, ""));
        let Some(name) = payload.lines().find_map(|line| line.trim().strip_prefix("requesttype: ")) else { continue };
        let of_command = newer.get(name).cloned().unwrap_or_else(|| systems(payload, 2));
        rows.insert(name.to_owned(), command(&of_command)?);
        for item in keys.split("\n  - key: ").skip(1).filter(|_| name == "Settings") {
            let (item, said) = item.split_once('\n').unwrap_or((item, ""));
            rows.insert(format!("{name}.{item}"), command(&joined(&of_command, systems(said, 4)))?);
        }
    }
    let mut text = COMMANDS_HEAD.to_owned();
    for (name, rest) in rows {
        let _ = writeln!(text, "    row(\"{name}\", {rest}),");
    }
    text.push_str("];\n");
    Ok(text)
}

/// Whole commands by the list of what is available where, which is newer than some of the schemas.
fn availability(list: &str) -> BTreeMap<String, Systems> {
    const COLUMNS: [(usize, &str); 7] = [
        (4, "introduced"),
        (5, "deprecated"),
        (6, "removed"),
        (7, "accessrights"),
        (9, "userchannel"),
        (10, "supervised"),
        (12, "userenrollment.mode"),
    ];
    let mut found: BTreeMap<String, Systems> = BTreeMap::new();
    for row in list.lines().map(|line| line.split('\t').collect::<Vec<_>>()) {
        let ["command", name, "top", system, ..] = row.as_slice() else { continue };
        let facts = COLUMNS.iter().filter_map(|(at, fact)| {
            let said = match *row.get(*at)? {
                "" => return None,
                "yes" => "true".to_owned(),
                "no" => "false".to_owned(),
                whole if whole.bytes().all(|b| b.is_ascii_digit()) => format!("{whole}.0"),
                other => other.to_owned(),
            };
            Some(((*fact).to_owned(), said))
        });
        found.entry((*name).to_owned()).or_default().insert((*system).to_owned(), facts.collect());
    }
    found
}

fn command(systems: &Systems) -> Outcome<String> {
    let of = |system: &str, fact: &str| systems.get(system).and_then(|facts| facts.get(fact)).map(String::as_str);
    let rights = SYSTEMS.iter().filter_map(|system| of(system, "accessrights"));
    let right = rights.into_iter().find_map(|name| right(name).transpose()).transpose()?;
    let right = right.map_or_else(|| "None".to_owned(), |right| format!("Some({right})"));
    let by_users = |system| of(system, "userenrollment.mode") == Some("allowed");
    let mobile = by_users("iOS") || by_users("visionOS");
    let channel = of("macOS", "userchannel") == Some("true");
    Ok(format!("{right}, [{}], ({mobile}, {}), {channel}", cells(systems), by_users("macOS")))
}

/// Our name of a right of Apple's.
fn right(theirs: &str) -> Outcome<Option<&'static str>> {
    Ok(Some(match theirs {
        "AllowInspection" => "InspectProfiles",
        "AllowInstallationRemoval" => "InstallProfiles",
        "AllowPasscodeRemovalAndLock" | "DeviceLockAndRemovePasscode" => "LockAndPasscode",
        "AllowDeviceErase" => "Erase",
        "AllowQueryDeviceInformation" => "QueryDevice",
        "AllowQueryNetworkInformation" => "QueryNetwork",
        "AllowProvisioningInspection" => "InspectProvisioning",
        "AllowProvisioningInstallationRemoval" => "InstallProvisioning",
        "AllowQueryApplications" | "QueryInstalledApps" => "QueryApplications",
        "AllowQueryRestrictions" => "QueryRestrictions",
        "AllowQuerySecurity" => "QuerySecurity",
        "AllowSettings" => "ChangeSettings",
        "AllowAppInstallation" => "ManageApplications",
        "None" | "Special Case" | "n/a" => return Ok(None),
        other => return Err(format!("a right called {other}")),
    }))
}

/// What is said of one system: `introduced`, `supervised`, `deprecated`, `removed`, `userenrollment.mode` …
type Facts = BTreeMap<String, String>;
type Systems = BTreeMap<String, Facts>;

/// The keys at the top of a payload. What one leaves unsaid of a system is as the payload says.
fn keys(schema: &str) -> BTreeMap<String, Systems> {
    let (payload, keys) = schema.split_once("\npayloadkeys:\n").unwrap_or((schema, ""));
    let of_payload = systems(payload, 2);
    let mut found: BTreeMap<String, Systems> = BTreeMap::new();
    for block in format!("\n{keys}").split("\n- key: ").skip(1) {
        let (name, said) = block.split_once('\n').unwrap_or((block, ""));
        found.entry(name.trim_matches('\'').to_owned()).or_insert_with(|| joined(&of_payload, systems(said, 2)));
    }
    found
}

/// What is said of the whole, and over it what is said of a part.
fn joined(whole: &Systems, part: Systems) -> Systems {
    let mut all = whole.clone();
    for (system, facts) in part {
        all.entry(system).or_default().extend(facts);
    }
    all
}

/// The mapping `supportedOS` at a column. The schema is regular enough to be read by its columns: one that stands deeper
/// belongs to a key within a key.
fn systems(block: &str, at: usize) -> Systems {
    let mut found = Systems::new();
    let (mut system, mut outer) = (String::new(), String::new());
    let within = block.lines().skip_while(|line| *line != format!("{:at$}supportedOS:", "")).skip(1);
    for line in within.take_while(|line| line.starts_with(&format!("{:at$}  ", ""))) {
        let (name, value) = line.trim().split_once(':').unwrap_or_default();
        let fact = match (line.len() - line.trim_start().len()).saturating_sub(at) {
            2 => {
                system = name.to_owned();
                continue;
            }
            4 => {
                outer = name.to_owned();
                outer.clone()
            }
            _ => format!("{outer}.{name}"),
        };
        found.entry(system.clone()).or_default().insert(fact, value.trim().trim_matches('\'').to_owned());
    }
    found
}

fn cells(systems: &Systems) -> String {
    SYSTEMS.map(|system| cell(systems.get(system).unwrap_or(&Facts::new()))).join(", ")
}

fn cell(facts: &Facts) -> String {
    let said = |name: &str| facts.get(name).map(String::as_str).filter(|value| *value != "n/a");
    let Some(introduced) = said("introduced") else { return "n()".to_owned() };
    let supervised = if said("supervised") == Some("true") { 's' } else { 'a' };
    let mut cell = format!("{supervised}(\"{introduced}\")");
    for (name, call) in [("deprecated", "old"), ("removed", "until")] {
        if let Some(version) = said(name) {
            let _ = write!(cell, ".{call}(\"{version}\")");
        }
    }
    cell
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_differs_from_its_payload() {
        let schema = "payload:\n  payloadtype: x\n  supportedOS:\n    iOS:\n      introduced: '4.0'\n      supervised: false\n    \
                      tvOS:\n      introduced: n/a\npayloadkeys:\n- key: one\n  type: <boolean>\n- key: two\n  supportedOS:\n    \
                      iOS:\n      supervised: true\n      removed: '15.0'\n      userenrollment:\n        mode: forbidden\n  \
                      subkeys:\n  - key: within\n    supportedOS:\n      iOS:\n        introduced: '9.0'\n";
        let keys = keys(schema);
        assert_eq!(keys.len(), 2);
        assert_eq!(cell(&keys["one"]["iOS"]), "a(\"4.0\")");
        assert_eq!(cell(&keys["two"]["iOS"]), "s(\"4.0\").until(\"15.0\")");
        assert_eq!(cell(&keys["two"]["tvOS"]), "n()");
    }
}
