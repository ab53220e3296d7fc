//! `passcode.required`: a passcode must be set. It follows from any other rule.

use super::super::super::error::PolicyError;
use super::super::super::node::Node;
use super::super::super::reading::truth;
use super::super::super::support::Support;
use super::super::super::target::Platform;
use super::super::{Rule, words};
use super::unless_without;
use lanyard_apple::profile::PASSCODE;

pub(in crate::policy::settings) struct Required;

impl Rule for Required {
    type Value = words::Required;

    const NAME: &'static str = "passcode.required";
    const KEY: Option<(&'static str, &'static str)> = Some((PASSCODE, "forcePIN"));
    const NODES: &'static [&'static str] = &["./Device/Vendor/MSFT/Policy/Config/DeviceLock/DevicePasswordEnabled"];
    const ELEMENT: Option<&'static str> = Some("DevicePasswordEnabled");

    fn read(node: Node) -> Result<Option<words::Required>, PolicyError> {
        Ok(truth(node, Self::NAME)?.then_some(words::Required))
    }

    fn print(_: words::Required) -> String {
        "true".to_owned()
    }

    fn stricter(one: words::Required, _: words::Required) -> words::Required {
        one
    }

    fn apple(_: words::Required, platform: Platform) -> Support {
        unless_without(platform, Support::Full)
    }

    fn windows(_: words::Required, _: Platform) -> Support {
        Support::Full
    }

    fn activesync(_: words::Required, _: Platform) -> Support {
        Support::Full
    }

    #[cfg(test)]
    const PAGE: [&'static str; 2] =
        ["`true`, `false`", "follows from any other passcode rule; `false` beside one is refused"];

    #[cfg(test)]
    fn all() -> Vec<words::Required> {
        vec![words::Required]
    }
}
