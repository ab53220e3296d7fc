//! Which keys of Apple's configuration profiles exist where: from the payload schemas of apple/device-management.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::{Outcome, Table, read};

pub(super) const TABLE: Table = Table { path: "protocols/apple/src/support/keys.rs", text };

/// The payloads whose keys are in the table. A setting of another payload begins with its name here.
const PAYLOADS: [&str; 2] = ["com.apple.applicationaccess", "com.apple.mobiledevice.passwordpolicy"];

/// The order of the columns, as in `support.rs`.
const SYSTEMS: [&str; 5] = ["iOS", "macOS", "tvOS", "visionOS", "watchOS"];

const HEAD: &str = "\
//! Which keys of configuration profiles exist where. Made by `cargo xtask tables` from Apple's published schema
//! (apple/device-management, MIT, © Apple; facts alone: names, systems, versions, supervision). Not to be edited by hand.

use super::key::{Keys, a, n, s};

/// By payload, its keys, sorted: on iOS (and iPadOS), macOS, tvOS, visionOS, watchOS.
#[rustfmt::skip]
pub(super) static PAYLOADS: &[(&str, &Keys)] = &[
";

fn text(data: &Path) -> Outcome<String> {
    let mut text = HEAD.to_owned();
    for payload in PAYLOADS {
        let schema = read(&data.join(format!("apple-device-management/mdm/profiles/{payload}.yaml")))?;
        let _ = writeln!(text, "    (\"{payload}\", &[");
        for (key, systems) in keys(&schema) {
            let cells = SYSTEMS.map(|system| cell(systems.get(system).unwrap_or(&Facts::new())));
            let _ = writeln!(text, "        (\"{key}\", [{}]),", cells.join(", "));
        }
        text.push_str("    ]),\n");
    }
    text.push_str("];\n");
    Ok(text)
}

/// What is said of one system: `introduced`, `supervised`, `deprecated`, `removed`.
type Facts = BTreeMap<String, String>;
type Systems = BTreeMap<String, Facts>;

/// The keys at the top of a payload. What one leaves unsaid of a system is as the payload says.
fn keys(schema: &str) -> BTreeMap<String, Systems> {
    let (payload, keys) = schema.split_once("\npayloadkeys:\n").unwrap_or((schema, ""));
    let of_payload = systems(payload);
    let mut found: BTreeMap<String, Systems> = BTreeMap::new();
    for block in format!("\n{keys}").split("\n- key: ").skip(1) {
        let (name, said) = block.split_once('\n').unwrap_or((block, ""));
        let mut all = of_payload.clone();
        for (system, facts) in systems(said) {
            all.entry(system).or_default().extend(facts);
        }
        found.entry(name.trim_matches('\'').to_owned()).or_insert(all);
    }
    found
}

/// The mapping `supportedOS` two columns in. The schema is regular enough to be read by its columns: the one that
/// stands deeper belongs to a key within a key.
fn systems(block: &str) -> Systems {
    let mut found = Systems::new();
    let mut system = String::new();
    let within = block.lines().skip_while(|line| *line != "  supportedOS:").skip(1);
    for line in within.take_while(|line| line.starts_with("    ")) {
        let (name, value) = line.trim().split_once(':').unwrap_or_default();
        match line.len() - line.trim_start().len() {
            4 => system = name.to_owned(),
            6 => {
                let value = value.trim().trim_matches('\'').to_owned();
                found.entry(system.clone()).or_default().insert(name.to_owned(), value);
            }
            _ => {}
        }
    }
    found
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
