//! `passcode.min_length`: so many characters, 1 to 16.

use super::super::super::error::PolicyError;
use super::super::super::node::Node;
use super::super::super::reading::number;
use super::super::super::support::Support;
use super::super::super::target::Platform;
use super::super::Rule;
use super::{NONE, unless_without};
use lanyard_apple::profile::PASSCODE;
use lanyard_omadm::csp::LEAST_PASSWORD_LENGTH;

pub(in crate::policy::settings) struct MinLength;

impl Rule for MinLength {
    type Value = u8;

    const NAME: &'static str = "passcode.min_length";
    const KEY: Option<(&'static str, &'static str)> = Some((PASSCODE, "minLength"));
    const NODES: &'static [&'static str] = &["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength"];
    const ELEMENT: Option<&'static str> = Some("MinDevicePasswordLength");

    fn read(node: Node) -> Result<Option<u8>, PolicyError> {
        number(node, Self::NAME, (1, 16), NONE).map(Some)
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

    fn windows(value: u8, _: Platform) -> Support {
        if u32::from(value) < LEAST_PASSWORD_LENGTH {
            Support::Noted("sent as 4, the least Windows takes")
        } else {
            Support::Full
        }
    }

    fn activesync(_: u8, _: Platform) -> Support {
        Support::Full
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = ["1 to 16", ""];

    #[cfg(test)]
    fn all() -> Vec<u8> {
        (1..=16).collect()
    }
}
