//! `passcode.history`: so many former passcodes, 1 to 50, may not be used again.

use super::super::super::error::PolicyError;
use super::super::super::node::Node;
use super::super::super::reading::number;
use super::super::super::support::Support;
use super::super::super::target::Platform;
use super::super::Rule;
use super::{LOCAL_ACCOUNTS, NONE, unless_without};
use lanyard_apple::profile::PASSCODE;

pub(in crate::policy::settings) struct History;

impl Rule for History {
    type Value = u8;

    const NAME: &'static str = "passcode.history";
    const KEY: Option<(&'static str, &'static str)> = Some((PASSCODE, "pinHistory"));
    const NODES: &'static [&'static str] = &["./Device/Vendor/MSFT/Policy/Config/DeviceLock/DevicePasswordHistory"];
    const ELEMENT: Option<&'static str> = Some("DevicePasswordHistory");

    fn read(node: Node) -> Result<Option<u8>, PolicyError> {
        number(node, Self::NAME, (1, 50), NONE).map(Some)
    }

    fn print(value: u8) -> String {
        value.to_string()
    }

    fn stricter(one: u8, other: u8) -> u8 {
        one.max(other)
    }

    fn apple(_: u8, platform: Platform) -> Support {
        unless_without(platform, Support::Full)
    }

    fn windows(_: u8, platform: Platform) -> Support {
        if platform == Platform::WindowsPhone { Support::Full } else { LOCAL_ACCOUNTS }
    }

    fn activesync(_: u8, _: Platform) -> Support {
        Support::Full
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = ["1 to 50", "former ones that must not come back"];

    #[cfg(test)]
    fn all() -> Vec<u8> {
        (1..=50).collect()
    }
}
