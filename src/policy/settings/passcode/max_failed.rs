//! `passcode.max_failed`: so many wrong tries, 4 to 16, after which many devices erase themselves.

use super::super::super::error::PolicyError;
use super::super::super::node::Node;
use super::super::super::reading::number;
use super::super::super::support::Support;
use super::super::super::target::Platform;
use super::super::Rule;
use super::unless_without;
use lanyard_apple::profile::{LEAST_FAILED_ATTEMPTS, MOST_FAILED_ATTEMPTS, PASSCODE};

pub(in crate::policy::settings) struct MaxFailed;

/// A child with the phone would erase it.
const LEAST: u8 = LEAST_FAILED_ATTEMPTS as u8;
const ERASES: &str = "fewer wrong tries erase a device too easily; leave it out for no such rule";

impl Rule for MaxFailed {
    type Value = u8;

    const NAME: &'static str = "passcode.max_failed";
    const KEY: Option<(&'static str, &'static str)> = Some((PASSCODE, "maxFailedAttempts"));
    const NODES: &'static [&'static str] =
        &["./Device/Vendor/MSFT/Policy/Config/DeviceLock/MaxDevicePasswordFailedAttempts"];
    const ELEMENT: Option<&'static str> = Some("MaxDevicePasswordFailedAttempts");

    fn read(node: Node) -> Result<Option<u8>, PolicyError> {
        number(node, Self::NAME, (LEAST, 16), ERASES).map(Some)
    }

    fn print(value: u8) -> String {
        value.to_string()
    }

    fn stricter(one: u8, other: u8) -> u8 {
        one.min(other)
    }

    const NOT_ON_PERSONAL: Option<&'static str> =
        Some("not sent to an Apple device that is its user's own: wrong tries must not erase it");

    fn apple(value: u8, platform: Platform) -> Support {
        let beyond = u32::from(value) > MOST_FAILED_ATTEMPTS;
        let support = match (platform, beyond) {
            (Platform::Macos, true) => {
                Support::Noted("sent as 11, the most Apple devices take; a Mac locks the account and is not erased")
            }
            (Platform::Macos, false) => Support::Noted("a Mac locks the account and is not erased"),
            (_, true) => Support::Noted("sent as 11, the most Apple devices take"),
            (_, false) => Support::Full,
        };
        unless_without(platform, support)
    }

    fn windows(_: u8, platform: Platform) -> Support {
        if platform == Platform::WindowsPhone {
            return Support::Full;
        }
        Support::Limited(
            "a PC asks for its BitLocker recovery key and is not erased; without BitLocker nothing happens",
        )
    }

    fn activesync(_: u8, _: Platform) -> Support {
        Support::Full
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] =
        ["4 to 16", "so many wrong tries **erase** an iPhone, iPad or mail device. Fewer than 4 are refused"];

    #[cfg(test)]
    fn all() -> Vec<u8> {
        (LEAST..=16).rev().collect()
    }
}
