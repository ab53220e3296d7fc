//! `passcode.expire_days`: so many days, 1 to 730, until the passcode must be changed.

use super::super::super::error::PolicyError;
use super::super::super::node::Node;
use super::super::super::reading::number;
use super::super::super::support::Support;
use super::super::super::target::Platform;
use super::super::Rule;
use super::{LOCAL_ACCOUNTS, NONE, unless_without};
use lanyard_apple::profile::PASSCODE;

pub(in crate::policy::settings) struct ExpireDays;

impl Rule for ExpireDays {
    type Value = u16;

    const NAME: &'static str = "passcode.expire_days";
    const KEY: Option<(&'static str, &'static str)> = Some((PASSCODE, "maxPINAgeInDays"));
    const NODES: &'static [&'static str] = &["./Device/Vendor/MSFT/Policy/Config/DeviceLock/DevicePasswordExpiration"];
    const ELEMENT: Option<&'static str> = Some("DevicePasswordExpiration");

    fn read(node: Node) -> Result<Option<u16>, PolicyError> {
        number(node, Self::NAME, (1, 730), NONE).map(Some)
    }

    fn print(value: u16) -> String {
        value.to_string()
    }

    fn stricter(one: u16, other: u16) -> u16 {
        one.min(other)
    }

    fn apple(_: u16, platform: Platform) -> Support {
        unless_without(platform, Support::Full)
    }

    fn windows(_: u16, platform: Platform) -> Support {
        if platform == Platform::WindowsPhone { Support::Full } else { LOCAL_ACCOUNTS }
    }

    fn activesync(_: u16, platform: Platform) -> Support {
        if platform == Platform::Android {
            Support::Limited("from Android 10 on mail apps may no longer do this to the device")
        } else {
            Support::Full
        }
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = ["1 to 730", ""];

    #[cfg(test)]
    fn all() -> Vec<u16> {
        (1..=730).rev().collect()
    }
}
