//! `passcode.max_idle_minutes`: so many minutes, 1 to 60, until the device locks itself.

use super::super::super::error::PolicyError;
use super::super::super::node::Node;
use super::super::super::reading::number;
use super::super::super::support::Support;
use super::super::super::target::Platform;
use super::super::Rule;
use super::{NONE, unless_without};
use lanyard_apple::profile::{MOST_IDLE_MINUTES, MOST_IDLE_MINUTES_OF_A_MAC, PASSCODE};

pub(in crate::policy::settings) struct MaxIdleMinutes;

/// The most that the most patient of Apple's devices takes: it counts as enforced there.
const MOST: u8 = MOST_IDLE_MINUTES_OF_A_MAC as u8;

impl Rule for MaxIdleMinutes {
    type Value = u8;

    const NAME: &'static str = "passcode.max_idle_minutes";
    const KEY: Option<(&'static str, &'static str)> = Some((PASSCODE, "maxInactivity"));
    const NODES: &'static [&'static str] =
        &["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MaxInactivityTimeDeviceLock"];
    const ELEMENT: Option<&'static str> = Some("MaxInactivityTimeDeviceLock");

    fn read(node: Node) -> Result<Option<u8>, PolicyError> {
        number(node, Self::NAME, (1, MOST), NONE).map(Some)
    }

    fn print(value: u8) -> String {
        value.to_string()
    }

    fn stricter(one: u8, other: u8) -> u8 {
        one.min(other)
    }

    fn apple(value: u8, platform: Platform) -> Support {
        let beyond = u32::from(value) > MOST_IDLE_MINUTES && platform != Platform::Macos;
        let sent = Support::Noted("sent as 15 minutes, the most these devices take");
        unless_without(platform, if beyond { sent } else { Support::Full })
    }

    fn windows(_: u8, _: Platform) -> Support {
        Support::Full
    }

    fn activesync(_: u8, _: Platform) -> Support {
        Support::Full
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] = ["1 to 60", ""];

    #[cfg(test)]
    fn all() -> Vec<u8> {
        (1..=MOST).rev().collect()
    }
}
