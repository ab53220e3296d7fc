//! `bluetooth`: whether Bluetooth may be used.

use super::super::error::PolicyError;
use super::super::node::Node;
use super::super::support::Support;
use super::super::target::Platform;
use super::{Permission, Rule};
use lanyard_apple::profile::RESTRICTIONS;

pub(super) struct Bluetooth;

impl Rule for Bluetooth {
    type Value = Permission;

    const NAME: &'static str = "bluetooth";
    const KEY: Option<(&'static str, &'static str)> = Some((RESTRICTIONS, "allowBluetoothModification"));
    const NODES: &'static [&'static str] = &["./Device/Vendor/MSFT/Policy/Config/Connectivity/AllowBluetooth"];
    const ELEMENT: Option<&'static str> = Some("AllowBluetooth");

    fn read(node: Node) -> Result<Option<Permission>, PolicyError> {
        Permission::read(node, Self::NAME)
    }

    fn print(value: Permission) -> String {
        value.print()
    }

    fn stricter(one: Permission, other: Permission) -> Permission {
        one.max(other)
    }

    /// Apple's key keeps people from changing the settings of Bluetooth, and switches nothing off.
    fn apple(value: Permission, _: Platform) -> Support {
        match value {
            Permission::Allowed => Support::Full,
            Permission::Blocked => Support::Limited("Bluetooth stays on or off as it is, and cannot be changed"),
        }
    }

    fn windows(_: Permission, platform: Platform) -> Support {
        if platform == Platform::WindowsPhone { Support::Full } else { Support::Noted("not on Windows Home") }
    }

    /// `No` for `allowed` as well, and where the system is not known: what a client acknowledges counts as compliant, and an iPhone
    /// that is not supervised may be behind any mail app that does not name its system.
    fn activesync(value: Permission, platform: Platform) -> Support {
        match (platform, value) {
            (Platform::WindowsPhone, _) | (Platform::Android, Permission::Allowed) => Support::Full,
            (Platform::Android, Permission::Blocked) => Support::Limited("few Android devices let a mail app do this"),
            (Platform::Windows, _) => Support::No("a PC lets no mail app do this"),
            (Platform::Other, _) => Support::No("most systems let no mail app do this, and its own is not known"),
            (
                Platform::Ios
                | Platform::Ipados
                | Platform::Macos
                | Platform::Tvos
                | Platform::Watchos
                | Platform::Visionos,
                _,
            ) => Support::No("Apple's systems let no mail app do this"),
        }
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = [Permission::TAKES, ""];

    #[cfg(test)]
    fn all() -> Vec<Permission> {
        Permission::all()
    }
}
