//! `passcode.alphanumeric`: letters as well as digits.

use super::super::super::error::PolicyError;
use super::super::super::node::Node;
use super::super::super::reading::truth;
use super::super::super::support::Support;
use super::super::super::target::Platform;
use super::super::{Required, Rule};
use super::{LOCAL_ACCOUNTS, unless_without};
use lanyard_apple::profile::PASSCODE;

pub(in crate::policy::settings) struct Alphanumeric;

impl Rule for Alphanumeric {
    type Value = Required;

    const NAME: &'static str = "passcode.alphanumeric";
    const KEY: Option<(&'static str, &'static str)> = Some((PASSCODE, "requireAlphanumeric"));
    const NODES: &'static [&'static str] =
        &["./Device/Vendor/MSFT/Policy/Config/DeviceLock/AlphanumericDevicePasswordRequired"];
    const ELEMENT: Option<&'static str> = Some("AlphanumericDevicePasswordRequired");

    fn read(node: Node) -> Result<Option<Required>, PolicyError> {
        Ok(truth(node, Self::NAME)?.then_some(Required))
    }

    fn print(_: Required) -> String {
        "true".to_owned()
    }

    fn stricter(one: Required, _: Required) -> Required {
        one
    }

    fn apple(_: Required, platform: Platform) -> Support {
        match platform {
            Platform::Watchos => Support::No("a watch's passcode is digits only"),
            _ => unless_without(platform, Support::Full),
        }
    }

    fn windows(_: Required, platform: Platform) -> Support {
        if platform == Platform::WindowsPhone { Support::Full } else { LOCAL_ACCOUNTS }
    }

    fn activesync(_: Required, _: Platform) -> Support {
        Support::Full
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = ["`true`, `false`", "letters as well as digits"];

    #[cfg(test)]
    fn all() -> Vec<Required> {
        vec![Required]
    }
}
