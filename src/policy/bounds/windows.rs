//! Raw Windows parts: nodes of the table, and a few families whose paths hold a name. Set by Add and Replace, never Exec.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanyard_omadm::csp;

use super::super::nearest::nearest;
use super::super::raw::{CspFormat, WindowsCsp};
use super::super::windows::NODES;
use super::{MAX_CSP_DATA, MIN_MAX_FAILED, Refused, number_allowed};

/// Nodes that act, by name: the words are better than "unknown".
const REFUSED_NAMES: [&str; 9] = [
    "remotewipe",
    "remotelock",
    "reboot",
    "dmclient",
    "unenroll",
    "automaticredeployment",
    "cleanpc",
    "remotefind",
    "cleartpmifnotready",
];
/// Nodes whose path holds a name (`*`), which the table cannot list.
#[rustfmt::skip]
static FAMILIES: &[(&str, CspFormat, &str)] = &[
    ("./Device/Vendor/MSFT/RootCATrustedCertificates/CA/*/EncodedCertificate", CspFormat::B64, ""),
    ("./Device/Vendor/MSFT/RootCATrustedCertificates/Root/*/EncodedCertificate", CspFormat::B64, ""),
    ("./Device/Vendor/MSFT/RootCATrustedCertificates/TrustedPublisher/*/EncodedCertificate", CspFormat::B64, ""),
    ("./Device/Vendor/MSFT/WiFi/Profile/*/WlanXml", CspFormat::Chr, ""),
];

/// Bytes of a path.
const MAX_PATH: usize = 512;

/// What policies could set once (0.1.0): it may be taken away still.
const ONCE: [&str; 3] = [
    "./Device/Vendor/MSFT/Policy/Config/Update/AllowNonMicrosoftSignedUpdate",
    "./Device/Vendor/MSFT/Policy/Config/Update/UpdateServiceUrl",
    "./Device/Vendor/MSFT/Policy/Config/Update/UpdateServiceUrlAlternate",
];

/// Whether a node may be taken away: what may be set, and what once could be.
pub(super) fn check_remove(path: &str) -> Result<(), Refused> {
    if ONCE.contains(&path) { Ok(()) } else { node(path).map(drop) }
}

/// Checks one node and gives it in the spelling that is sent: the table's case, `./Vendor/…` as `./Device/Vendor/…`.
/// Without a format it is the node's own.
pub fn windows_csp(path: &str, format: Option<CspFormat>, data: &str) -> Result<WindowsCsp, Refused> {
    let node = node(path)?;
    if format.is_some_and(|given| given != node.format) {
        return Refused::because(format!("the node's format is {}", node.format.as_str()));
    }
    if data.len() > MAX_CSP_DATA {
        return Refused::because(format!("the data is larger than {MAX_CSP_DATA} bytes"));
    }
    let data = check_data(&node, data)?;
    Ok(WindowsCsp { path: node.path, format: node.format, data })
}

/// A node that may be set.
#[derive(Debug)]
struct Node {
    path: String,
    format: CspFormat,
    allowed: &'static str,
}

/// Finds the node of a path, in whatever case it is written.
fn node(path: &str) -> Result<Node, Refused> {
    if path.len() > MAX_PATH || path.chars().any(char::is_control) {
        return Refused::because("a path is at most 512 characters, and none that controls");
    }
    check_names(path)?;
    let full = match path.get(..9) {
        Some(root) if root.eq_ignore_ascii_case("./Vendor/") => {
            format!("./Device{}", path.get(1..).unwrap_or_default())
        }
        _ => path.to_owned(),
    };
    let found = known().find_map(|(pattern, format, allowed)| {
        let path = canonical(pattern, &full)?;
        Some(Node { path, format, allowed })
    });
    if let Some(found) = &found {
        // What was escaped may be the name of what acts, or too long.
        check_names(&found.path)?;
        if found.path.len() > MAX_PATH {
            return Refused::because("a path is at most 512 characters, escaped");
        }
    }
    found.ok_or_else(|| {
        let patterns = known().map(|(pattern, ..)| pattern);
        let nearest = nearest(&full, patterns).unwrap_or_default();
        Refused(format!("no node that a policy may set; the nearest is {nearest}"))
    })
}

fn check_names(path: &str) -> Result<(), Refused> {
    match path.split('/').find(|s| REFUSED_NAMES.contains(&s.trim().to_ascii_lowercase().as_str())) {
        Some(name) => Refused::because(format!(
            "{name} acts rather than sets: wipes, locks and restarts go through their commands"
        )),
        None => Ok(()),
    }
}

/// All that may be set: path, format, allowed numbers.
fn known() -> impl Iterator<Item = (&'static str, CspFormat, &'static str)> {
    let nodes = NODES.iter().map(|(pattern, format, allowed, ..)| (*pattern, *format, *allowed));
    nodes.chain(FAMILIES.iter().copied())
}

/// The path in the pattern's spelling; what stands for a name is escaped.
fn canonical(pattern: &str, path: &str) -> Option<String> {
    let mut segments = Vec::new();
    let mut given = path.split('/');
    for known in pattern.split('/') {
        let segment = given.next()?;
        match known {
            "*" | "{TenantId}" => segments.push(csp::name(segment)?),
            _ if known.eq_ignore_ascii_case(segment) => segments.push(known.to_owned()),
            _ => return None,
        }
    }
    given.next().is_none().then(|| segments.join("/"))
}

fn check_data(node: &Node, data: &str) -> Result<String, Refused> {
    match node.format {
        CspFormat::Int => match data.parse::<i64>() {
            Ok(tries)
                if node.path.ends_with("/MaxDevicePasswordFailedAttempts") && (1..MIN_MAX_FAILED).contains(&tries) =>
            {
                Refused::because("fewer than 4 wrong tries are refused, since they erase the device (0: no limit)")
            }
            Ok(number) if number_allowed(node.allowed, number) => Ok(number.to_string()),
            _ if node.allowed.is_empty() => Refused::because("takes a whole number"),
            _ => Refused::because(format!("takes one of {}", node.allowed.replace('|', ", "))),
        },
        CspFormat::Bool => match data {
            "true" | "false" => Ok(data.to_owned()),
            _ => Refused::because("takes true or false"),
        },
        CspFormat::B64 => {
            let packed: String = data.split_ascii_whitespace().collect();
            match STANDARD.decode(&packed) {
                Ok(_) => Ok(packed),
                Err(_) => Refused::because("takes base64"),
            }
        }
        CspFormat::Chr | CspFormat::Xml => match data.chars().find(|&c| !in_xml(c)) {
            Some(c) => Refused::because(format!("the data holds {c:?}, which no XML can carry")),
            None => Ok(data.to_owned()),
        },
    }
}

/// Characters of XML 1.0, section 2.2.
fn in_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: &str = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength";
    const TRIES: &str = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MaxDevicePasswordFailedAttempts";

    #[test]
    fn nodes_are_found_in_their_own_spelling() {
        for (path, data, want) in [
            (LENGTH, "8", Ok(LENGTH)),
            ("./Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength", "8", Ok(LENGTH)),
            ("./device/vendor/msft/policy/config/devicelock/mindevicepasswordlength", "8", Ok(LENGTH)),
            (LENGTH, "3", Err("takes one of 4-16")),
            (LENGTH, "eight", Err("takes one of")),
            (TRIES, "0", Ok(TRIES)),
            (TRIES, "3", Err("erase")),
            (TRIES, "4", Ok(TRIES)),
            ("./Device/Vendor/MSFT/RemoteWipe/doWipe", "", Err("RemoteWipe acts")),
            ("./Device/Vendor/MSFT/remotewipe/doWipe", "", Err("remotewipe acts")),
            ("./Device/Vendor/MSFT/RemoteLock/Lock", "", Err("RemoteLock acts")),
            ("./Device/Vendor/MSFT/Reboot/RebootNow", "", Err("Reboot acts")),
            ("./Device/Vendor/MSFT/DMClient/Provider/x/Unenroll", "x", Err("DMClient acts")),
            ("./Device/Vendor/MSFT/%52emoteWipe/doWipe", "", Err("no node")),
            ("./Device/Vendor/MSFT/Policy/Config/Security/ClearTPMIfNotReady", "1", Err("ClearTPMIfNotReady acts")),
            // Servers that could act on the PC.
            ("./Device/Vendor/MSFT/Policy/Config/Update/UpdateServiceUrl", "http://wsus", Err("no node")),
            ("./Device/Vendor/MSFT/Policy/Config/Update/AllowNonMicrosoftSignedUpdate", "1", Err("no node")),
            ("./Device/Vendor/MSFT/ActiveSync/Accounts/{a}/Server", "x", Err("no node")),
            ("./SyncML/DMAcc/x/AppAddr/y/Addr", "x", Err("no node")),
            ("./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLenght", "8", Err(LENGTH)),
            (
                "./Device/Vendor/MSFT/WiFi/Profile/Office%20net/WlanXml",
                "<WLANProfile/>",
                Ok("./Device/Vendor/MSFT/WiFi/Profile/Office%20net/WlanXml"),
            ),
            (
                "./Device/Vendor/MSFT/WiFi/Profile/Office net/WlanXml",
                "<WLANProfile/>",
                Ok("./Device/Vendor/MSFT/WiFi/Profile/Office%20net/WlanXml"),
            ),
            (
                "./Device/Vendor/MSFT/WiFi/Profile/B\u{fc}ro/WlanXml",
                "x",
                Ok("./Device/Vendor/MSFT/WiFi/Profile/B%C3%BCro/WlanXml"),
            ),
            ("./Device/Vendor/MSFT/WiFi/Profile/%52emoteWipe/WlanXml", "x", Err("RemoteWipe acts")),
            ("./Device/Vendor/MSFT/WiFi/Profile/a%2Fb/WlanXml", "x", Err("no node")),
            ("./Device/Vendor/MSFT/WiFi/Profile/../WlanXml", "x", Err("no node")),
            ("./Device/Vendor/MSFT/WiFi/Profile/a/WlanXml?prop=Type", "x", Err("no node")),
            ("./Device/Vendor/MSFT/WiFi/Profile/a/WlanXml", "\u{0}", Err("no XML")),
            ("./Device/Vendor/MSFT/WiFi/Profile/a/WlanXml/b", "x", Err("no node")),
            ("../Vendor", "", Err("no node")),
            ("", "", Err("no node")),
        ] {
            match (windows_csp(path, None, data), want) {
                (Ok(found), Ok(want)) => assert_eq!(found.path, want, "{path}"),
                (Err(Refused(why)), Err(want)) => assert!(why.contains(want), "{path}: {why}"),
                (found, want) => panic!("{path}={data}: {found:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn what_could_be_set_once_can_be_taken_away() {
        for path in ONCE {
            assert!(check_remove(path).is_ok() && node(path).is_err(), "{path}");
        }
        assert!(check_remove(LENGTH).is_ok());
        assert!(check_remove("./Device/Vendor/MSFT/DMClient/Provider/Lanyard").is_err());
    }

    #[test]
    fn a_wrong_format_is_refused_and_base64_is_packed() {
        assert!(windows_csp(LENGTH, Some(CspFormat::Chr), "8").is_err());
        let root = "./Vendor/MSFT/RootCATrustedCertificates/Root/00AA/EncodedCertificate";
        assert_eq!(windows_csp(root, None, "QUJD\n REVG").unwrap().data, "QUJDREVG");
        assert!(windows_csp(root, None, "no base64!").is_err());
    }

    #[test]
    fn the_table_is_sorted_and_every_row_can_be_set() {
        assert!(NODES.is_sorted_by_key(|(path, ..)| path));
        for (path, format, allowed, ..) in NODES {
            let path = path.replace("{TenantId}", "00000000-0000-0000-0000-000000000000");
            let data = match format {
                CspFormat::Int => allowed.split(['|', '-']).next_back().filter(|n| !n.is_empty()).unwrap_or("1"),
                CspFormat::Bool => "true",
                _ => "x",
            };
            let set = windows_csp(&path, Some(*format), data).unwrap_or_else(|why| panic!("{path}: {why}"));
            assert_eq!(set.path, path);
        }
    }

    proptest! {
        #[test]
        fn no_path_panics_and_what_passes_passes_again(
            path in "(\\./)?(Device/|User/)?Vendor/MSFT/[A-Za-z/%.*{} é]{0,40}|\\PC{0,40}",
            data in "\\PC{0,20}",
        ) {
            if let Ok(set) = windows_csp(&path, None, &data) {
                prop_assert_eq!(windows_csp(&set.path, Some(set.format), &set.data).unwrap(), set);
            }
        }
    }
}
