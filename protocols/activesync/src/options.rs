//! What the gateway says it speaks: no more than mail server and gateway both do, and Provision always.
//! [MS-ASHTTP] 2.2.3.
//!
//! The mail server sends both headers with the answer to OPTIONS and with some answers to POST; they are rewritten
//! wherever they appear.

use crate::{Command, Version};

/// The header with the versions.
pub const VERSIONS_HEADER: &str = "MS-ASProtocolVersions";
/// The header with the commands.
pub const COMMANDS_HEADER: &str = "MS-ASProtocolCommands";

/// All versions that are spoken here, as the header has them.
pub const ALL: &str = "2.5,12.0,12.1,14.0,14.1,16.0,16.1";

/// The versions that both sides speak, the oldest first; empty where there is none.
pub fn common(upstream: &str) -> Vec<Version> {
    let offered: Vec<Version> = upstream.split(',').filter_map(Version::parse).collect();
    Version::ALL.into_iter().filter(|version| offered.contains(version)).collect()
}

/// The header `MS-ASProtocolVersions` for clients, from the mail server's.
pub fn versions(upstream: &str) -> String {
    let common: Vec<&str> = common(upstream).into_iter().map(Version::as_str).collect();
    common.join(",")
}

/// The header `MS-ASProtocolCommands` for clients: the mail server's, in its order, without what the gateway does not
/// know, and with Provision, which some leave out (SOGo).
pub fn commands(upstream: &str) -> String {
    let mut offered: Vec<&str> = Vec::new();
    let known = upstream.split(',').filter_map(|name| Command::from_name(name.trim()));
    for name in known.chain([Command::Provision]).map(Command::name) {
        if !offered.contains(&name) {
            offered.push(name);
        }
    }
    offered.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_all() {
        assert_eq!(common(ALL), Version::ALL);
    }

    #[test]
    fn versions_are_never_added() {
        assert_eq!(versions("2.5,12.0,12.1,14.0,14.1"), "2.5,12.0,12.1,14.0,14.1");
        assert_eq!(versions("1.0, 2.0,14.1 ,12.1,17.0"), "12.1,14.1");
        assert_eq!(versions(""), "");
    }

    #[test]
    fn provision_is_added_once() {
        assert_eq!(commands("Sync,Ping"), "Sync,Ping,Provision");
        assert_eq!(commands("Sync, Provision,Ping,Sing\r\n"), "Sync,Provision,Ping");
        assert_eq!(commands(""), "Provision");
    }
}
