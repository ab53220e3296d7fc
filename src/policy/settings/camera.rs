//! `camera`: whether the camera may be used.

use super::super::error::PolicyError;
use super::super::node::Node;
use super::super::support::Support;
use super::super::target::Platform;
use super::{Permission, Rule};
use lanyard_apple::profile::RESTRICTIONS;

pub(super) struct Camera;

impl Rule for Camera {
    type Value = Permission;

    const NAME: &'static str = "camera";
    const KEY: Option<(&'static str, &'static str)> = Some((RESTRICTIONS, "allowCamera"));
    const NODES: &'static [&'static str] = &["./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera"];
    const ELEMENT: Option<&'static str> = Some("AllowCamera");

    fn read(node: Node) -> Result<Option<Permission>, PolicyError> {
        Permission::read(node, Self::NAME)
    }

    fn print(value: Permission) -> String {
        value.print()
    }

    fn stricter(one: Permission, other: Permission) -> Permission {
        one.max(other)
    }

    fn apple(_: Permission, _: Platform) -> Support {
        Support::Full
    }

    fn windows(_: Permission, platform: Platform) -> Support {
        if platform == Platform::WindowsPhone { Support::Full } else { Support::Noted("not on Windows Home") }
    }

    fn activesync(value: Permission, platform: Platform) -> Support {
        match (platform, value) {
            (Platform::Android, Permission::Blocked) => {
                Support::Limited("from Android 10 on mail apps may no longer do this to the device")
            }
            _ => Support::Full,
        }
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = [Permission::TAKES, ""];

    #[cfg(test)]
    fn all() -> Vec<Permission> {
        Permission::all()
    }
}
