//! How well a setting is kept: the words for it. What each setting says of the platforms stands in its room in `settings/`.
//! A device may still answer otherwise; coverage puts its answer before these.

use super::target::{Channel, Platform};

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
    /// Always so in part, with no policy; what is missing.
    InPart(&'static str),
    /// Not at all; why. No part is made of it.
    No(&'static str),
}

impl Support {
    /// Whether a part is made of the value: not where it is always so, or cannot be.
    pub fn is_sent(self) -> bool {
        match self {
            Support::Full | Support::Noted(_) | Support::Limited(_) => true,
            Support::Always(_) | Support::InPart(_) | Support::No(_) => false,
        }
    }
}

/// What a device reports of itself, and what else is asked of it, as far as that bears on a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Whether its storage is encrypted; `None`: not heard.
    pub encrypted: Option<bool>,
    /// Whether a passcode is asked for.
    pub passcode_required: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_erases_is_counted_when_in_doubt() {
        assert!(erases(Channel::Apple, Platform::Ios) && !erases(Channel::Apple, Platform::Macos));
        assert!(!erases(Channel::Omadm, Platform::Windows) && erases(Channel::Omadm, Platform::WindowsPhone));
        assert!(erases(Channel::Activesync, Platform::Other));
    }
}
