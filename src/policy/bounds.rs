//! What raw parts may hold: settings and nothing else, so that no policy is a way round the wipe breaker.
//! Checked when a policy is read, and again by [`check`] and [`check_remove`] when a part is sent or taken away.

mod activesync;
mod apple;
mod windows;

use super::part::{PartContent, PartId};
use super::settings::Setting;

pub(super) use activesync::is_unheard_of;
pub use activesync::{element, element_names};
pub use apple::apple_profile;
pub use windows::windows_csp;

#[cfg(test)]
pub(super) use apple::tests::profile as test_profile;

/// Fewer wrong tries than this are refused everywhere: a child with the phone would erase it.
pub const MIN_MAX_FAILED: i64 = lanyard_apple::profile::LEAST_FAILED_ATTEMPTS;
/// Bytes of one raw profile, as XML.
pub const MAX_PROFILE: usize = 256 * 1024;
/// Bytes of the data of one Windows node.
pub const MAX_CSP_DATA: usize = 64 * 1024;
/// Profiles under these identifiers are the server's own (the enrolment profile, the one made of the typed settings).
/// Were a raw part allowed to bear one, taking the policy away would remove the enrolment: a selective wipe.
pub const RESERVED_IDENTIFIERS: [&str; 3] = ["lanyard", "org.lanyard", "com.lanyard"];

/// Why something is no setting that a policy may hold, in words for the administrator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    fn because<T>(why: impl Into<String>) -> Result<T, Refused> {
        Err(Refused(why.into()))
    }
}

/// Whether a part may be sent. Typed settings were checked by their types; raw parts are read anew, since a record in
/// the store may be older than a rule here.
pub fn check(content: &PartContent) -> Result<(), Refused> {
    match content {
        PartContent::Settings(_) => Ok(()),
        PartContent::AppleProfile { identifier, bytes } => match apple_profile(bytes)? {
            profile if profile.identifier == *identifier => Ok(()),
            _ => Refused::because("the profile bears another identifier than the part"),
        },
        PartContent::WindowsCsp { path, format, data } => windows_csp(path, Some(*format), data).map(drop),
        PartContent::ActiveSync { elements, .. } => {
            elements.iter().try_for_each(|(name, value)| element(name, value).map(drop))
        }
    }
}

/// Whether a part may be taken away again: what could not have been sent cannot be removed.
pub fn check_remove(id: &PartId) -> Result<(), Refused> {
    match id {
        PartId::Settings | PartId::Setting(_) | PartId::Document => Ok(()),
        PartId::Profile(identifier) => apple::check_identifier(identifier),
        PartId::Csp(path) => windows::check_remove(path),
    }
}

/// The typed setting that an ActiveSync element says as well.
pub(super) fn typed_element(name: &str) -> Option<Setting> {
    Setting::ALL.into_iter().find(|setting| setting.element() == Some(name))
}

/// The typed setting that a Windows node says as well.
pub(super) fn typed_node(path: &str) -> Option<Setting> {
    Setting::ALL.into_iter().find(|setting| setting.nodes().contains(&path))
}

/// Whether a number is among `1|2|4-16`; an empty list allows any.
fn number_allowed(allowed: &str, number: i64) -> bool {
    allowed.is_empty()
        || allowed.split('|').any(|item| {
            // A minus in front is a sign, one within is a range.
            let split = item.char_indices().find(|&(at, c)| c == '-' && at > 0).map(|(at, _)| item.split_at(at));
            let (low, high) = split.map_or((item, item), |(low, high)| (low, high.trim_start_matches('-')));
            matches!((low.parse::<i64>(), high.parse::<i64>()), (Ok(low), Ok(high)) if (low..=high).contains(&number))
        })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            support::Support,
            target::{Channel, Platform, Target},
            windows::NODES,
        },
        *,
    };

    #[test]
    fn numbers_are_held_against_lists_and_ranges() {
        for (allowed, number, want) in [
            ("", -7, true),
            ("0|1", 1, true),
            ("0|1", 2, false),
            ("4-16", 4, true),
            ("4-16", 17, false),
            ("-1|0-9", -1, true),
            ("0-1|65535", 65535, true),
            ("garbage", 1, false),
        ] {
            assert_eq!(number_allowed(allowed, number), want, "{allowed} {number}");
        }
    }

    #[test]
    fn every_typed_setting_has_its_element_and_every_typed_node_is_in_the_table() {
        let taken = |setting: Setting, channel, platform| {
            setting
                .all_values()
                .iter()
                .any(|value| !matches!(value.support(channel, &Target::of(platform)), Support::No(_)))
        };
        for setting in Setting::ALL.into_iter().filter(|s| taken(*s, Channel::Activesync, Platform::Other)) {
            let names: Vec<_> = element_names().filter(|name| typed_element(name) == Some(setting)).collect();
            assert_eq!(names.len(), 1, "{setting:?}");
        }
        for setting in Setting::ALL {
            assert!(setting.nodes().iter().all(|path| NODES.iter().any(|(known, ..)| known == path)), "{setting:?}");
            let sent = taken(setting, Channel::Omadm, Platform::Windows);
            assert_eq!(sent, !setting.nodes().is_empty(), "{setting:?}");
        }
        assert_eq!(typed_node("./Device/Vendor/MSFT/Policy/Config/WiFi/AllowCamera"), None);
    }
}
