//! Which platform enforces which setting over which channel: the known gaps, with words for the administrator.
//! A device may still answer otherwise; coverage puts its answer before this table.

use lanyard_apple::profile::{MOST_FAILED_ATTEMPTS, MOST_IDLE_MINUTES};
use lanyard_omadm::csp::LEAST_PASSWORD_LENGTH;

use super::setting::{Camera, Channel, Platform, Value};

/// How well a platform enforces a value over a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As it stands.
    Full,
    /// As it stands or stricter, with something to know.
    Noted(&'static str),
    /// In part; what is missing.
    Limited(&'static str),
    /// Always so, with no policy; why.
    Always(&'static str),
    /// Not at all; why. No part is made of it.
    No(&'static str),
}

/// The table.
pub fn support(channel: Channel, platform: Platform, value: Value) -> Support {
    match channel {
        Channel::Apple => apple(platform, value),
        Channel::Omadm => windows(platform, value),
        Channel::Activesync => activesync(platform, value),
    }
}

/// Whether so many wrong tries erase the device, rather than lock it.
pub fn erases(channel: Channel, platform: Platform) -> bool {
    match channel {
        // A Mac locks the account.
        Channel::Apple => !matches!(platform, Platform::Macos | Platform::Tvos),
        // A PC asks for its BitLocker recovery key.
        Channel::Omadm => platform != Platform::Windows,
        // What a mail client does is not known: count it.
        Channel::Activesync => true,
    }
}

fn apple(platform: Platform, value: Value) -> Support {
    let beyond = |number: u8, most: u32| u32::from(number) > most;
    match (platform, value) {
        (Platform::Tvos, Value::Camera(_)) => Support::Full,
        (Platform::Tvos, Value::Encryption) => Support::No("an Apple TV has no passcode that would guard its storage"),
        (Platform::Tvos, _) => Support::No("an Apple TV has no passcode"),
        (Platform::Watchos, Value::Camera(Camera::Blocked)) => Support::No("the restriction does not exist on watchOS"),
        (Platform::Watchos, Value::PasscodeAlphanumeric) => Support::No("a watch's passcode is digits only"),
        (Platform::Macos, Value::Encryption) => {
            Support::No("FileVault is not turned on by this setting; the Mac reports whether it is on")
        }
        (Platform::Macos, Value::PasscodeMaxFailed(tries)) if beyond(tries, MOST_FAILED_ATTEMPTS) => {
            Support::Noted("sent as 11, the most Apple devices take; a Mac locks the account and is not erased")
        }
        (Platform::Macos, Value::PasscodeMaxFailed(_)) => Support::Noted("a Mac locks the account and is not erased"),
        (_, Value::Encryption) => Support::Always("always encrypted; the passcode guards the key"),
        (_, Value::PasscodeMaxFailed(tries)) if beyond(tries, MOST_FAILED_ATTEMPTS) => {
            Support::Noted("sent as 11, the most Apple devices take")
        }
        (Platform::Macos, Value::PasscodeMaxIdleMinutes(_)) => Support::Full,
        (_, Value::PasscodeMaxIdleMinutes(minutes)) if beyond(minutes, MOST_IDLE_MINUTES) => {
            Support::Noted("sent as 15 minutes, the most these devices take")
        }
        (_, value) => as_it_stands(value),
    }
}

fn windows(platform: Platform, value: Value) -> Support {
    let pc = platform != Platform::WindowsPhone;
    match value {
        Value::PasscodeMinLength(length) if u32::from(length) < LEAST_PASSWORD_LENGTH => {
            Support::Noted("sent as 4, the least Windows takes")
        }
        Value::PasscodeMaxFailed(_) if pc => Support::Limited(
            "a PC asks for its BitLocker recovery key and is not erased; without BitLocker nothing happens",
        ),
        Value::PasscodeAlphanumeric | Value::PasscodeExpireDays(_) | Value::PasscodeHistory(_) if pc => {
            Support::Noted("holds for local accounts; domain accounts follow their domain")
        }
        Value::Encryption if pc => {
            Support::Limited("BitLocker is asked for, and begins only where the PC can do it or its user agrees")
        }
        Value::Camera(_) if pc => Support::Noted("not on Windows Home"),
        value => as_it_stands(value),
    }
}

fn activesync(platform: Platform, value: Value) -> Support {
    match (platform, value) {
        (Platform::Ios | Platform::Ipados | Platform::Visionos, Value::Encryption) => {
            Support::Always("always encrypted; the passcode guards the key")
        }
        (Platform::Android, Value::Camera(Camera::Blocked) | Value::PasscodeExpireDays(_)) => {
            Support::Limited("from Android 10 on mail apps may no longer do this to the device")
        }
        (_, value) => as_it_stands(value),
    }
}

/// What no row above speaks of. A new setting is named here, once each of the three tables has been thought of: what is not
/// said to be a gap counts as enforced.
fn as_it_stands(value: Value) -> Support {
    match value {
        Value::PasscodeRequired
        | Value::PasscodeMinLength(_)
        | Value::PasscodeAlphanumeric
        | Value::PasscodeMaxFailed(_)
        | Value::PasscodeMaxIdleMinutes(_)
        | Value::PasscodeExpireDays(_)
        | Value::PasscodeHistory(_)
        | Value::Encryption
        | Value::Camera(_) => Support::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting::Setting;
    use super::*;

    /// The settings of which a channel makes no part on a platform.
    fn gaps(channel: Channel, platform: Platform) -> Vec<Setting> {
        let gap = |value: &Value| matches!(support(channel, platform, *value), Support::No(_));
        Value::EXAMPLES.into_iter().filter(gap).map(Value::setting).collect()
    }

    #[test]
    fn the_gaps_are_these() {
        assert_eq!(gaps(Channel::Apple, Platform::Ios), []);
        assert_eq!(gaps(Channel::Apple, Platform::Macos), [Setting::Encryption]);
        assert_eq!(gaps(Channel::Apple, Platform::Watchos), [Setting::PasscodeAlphanumeric, Setting::Camera]);
        assert_eq!(gaps(Channel::Apple, Platform::Tvos).len(), 8);
        assert_eq!(gaps(Channel::Omadm, Platform::Windows), []);
        assert_eq!(gaps(Channel::Activesync, Platform::Android), []);
    }

    #[test]
    fn numbers_that_a_platform_does_not_take_are_said_to_be_sent_as_what_it_takes() {
        let (least, tries, idle) = (LEAST_PASSWORD_LENGTH as u8, MOST_FAILED_ATTEMPTS as u8, MOST_IDLE_MINUTES as u8);
        for (channel, platform, inside, beyond, sent) in [
            (
                Channel::Apple,
                Platform::Ios,
                Value::PasscodeMaxFailed(tries),
                Value::PasscodeMaxFailed(tries + 1),
                tries,
            ),
            (
                Channel::Apple,
                Platform::Ios,
                Value::PasscodeMaxIdleMinutes(idle),
                Value::PasscodeMaxIdleMinutes(idle + 1),
                idle,
            ),
            (
                Channel::Omadm,
                Platform::Windows,
                Value::PasscodeMinLength(least),
                Value::PasscodeMinLength(least - 1),
                least,
            ),
        ] {
            assert_eq!(support(channel, platform, inside), Support::Full, "{inside:?}");
            let Support::Noted(words) = support(channel, platform, beyond) else { panic!("{beyond:?}") };
            assert!(words.starts_with(&format!("sent as {sent}")), "{beyond:?}: {words}");
        }
        let Support::Noted(words) = support(Channel::Apple, Platform::Macos, Value::PasscodeMaxFailed(tries + 1))
        else {
            panic!("a Mac takes no more either")
        };
        assert!(words.starts_with(&format!("sent as {tries}, ")), "{words}");
    }

    #[test]
    fn what_erases_is_counted_when_in_doubt() {
        assert!(erases(Channel::Apple, Platform::Ios) && !erases(Channel::Apple, Platform::Macos));
        assert!(!erases(Channel::Omadm, Platform::Windows) && erases(Channel::Omadm, Platform::WindowsPhone));
        assert!(erases(Channel::Activesync, Platform::Other));
    }
}
