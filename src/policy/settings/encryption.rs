//! `encryption: required`: storage must be encrypted.

use super::super::error::PolicyError;
use super::super::node::Node;
use super::super::reading::{cut, text};
use super::super::support::{Known, Support};
use super::super::target::Platform;
use super::{Required, Rule};

pub(super) struct Encryption;

const ALWAYS: Support = Support::Always("always encrypted; the passcode guards the key");

/// What a PC says of its system's drive; a Mac beside its mail.
const NOT_ENCRYPTED: &str = "asked for, but the device reports that its storage is not encrypted (yet)";
const NOT_TOLD: &str = "BitLocker is asked for, and the PC has not told yet whether its storage is encrypted; it begins only where the PC can do it or its user agrees";

impl Rule for Encryption {
    type Value = Required;

    const NAME: &'static str = "encryption";
    /// A Mac's FileVault is not turned on from afar; the others' storage is always encrypted.
    const KEY: Option<(&'static str, &'static str)> = None;
    const NODES: &'static [&'static str] = &[
        "./Device/Vendor/MSFT/BitLocker/RequireDeviceEncryption",
        "./Device/Vendor/MSFT/Policy/Config/Security/RequireDeviceEncryption",
    ];
    const ELEMENT: Option<&'static str> = Some("RequireDeviceEncryption");

    fn read(node: Node) -> Result<Option<Required>, PolicyError> {
        match text(node, Self::NAME)?.as_str() {
            "required" => Ok(Some(Required)),
            other => PolicyError::refused(
                Self::NAME,
                format!("takes `required`, not `{}`; leave it out for no such rule", cut(other)),
            ),
        }
    }

    fn print(_: Required) -> String {
        "required".to_owned()
    }

    fn stricter(one: Required, _: Required) -> Required {
        one
    }

    fn apple(_: Required, platform: Platform) -> Support {
        match platform {
            Platform::Tvos => Support::No("an Apple TV has no passcode that would guard its storage"),
            Platform::Macos => {
                Support::No("FileVault is not turned on by this setting; the Mac reports whether it is on")
            }
            _ => ALWAYS,
        }
    }

    fn windows(_: Required, platform: Platform) -> Support {
        if platform == Platform::WindowsPhone {
            Support::Full
        } else {
            Support::Limited("BitLocker is asked for, and begins only where the PC can do it or its user agrees")
        }
    }

    fn activesync(_: Required, platform: Platform) -> Support {
        match platform {
            Platform::Ios | Platform::Ipados | Platform::Visionos => ALWAYS,
            _ => Support::Full,
        }
    }

    fn known(support: Support, known: &Known) -> Support {
        match support {
            _ if known.encrypted == Some(true) => Support::Always("the device reports that its storage is encrypted"),
            Support::Always(_) if !known.passcode_required => {
                Support::InPart("always encrypted, but no passcode is required to guard the key")
            }
            Support::Full | Support::Limited(_) if known.encrypted == Some(false) => Support::Unmet(NOT_ENCRYPTED),
            // Of a PC's BitLocker alone.
            Support::Limited(_) => Support::Untold(NOT_TOLD),
            support => support,
        }
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = ["`required`", ""];

    #[cfg(test)]
    fn all() -> Vec<Required> {
        vec![Required]
    }
}
