//! TokenUpdate: how to wake a channel. Comes at any time; the first one completes the enrolment.

use crate::{error::Error, plist::Dict, secret::Secret, sender::Channel};

/// Bytes of a push token at most; Apple's have 32 today, mdmb's 9.
const MAX_TOKEN: usize = 1024;
/// Bytes of an unlock token at most; real ones have some two thousand.
const MAX_UNLOCK_TOKEN: usize = 64 * 1024;

/// The means to wake a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUpdate {
    /// Whose.
    pub channel: Channel,
    /// The push topic of the profile.
    pub topic: Option<String>,
    /// The device's address at APNs.
    pub token: Secret<Vec<u8>>,
    /// What a push must say to be heeded.
    pub push_magic: Secret<String>,
    /// Clears the passcode. Absent in most updates: the one had before stays good. iOS only, and not in user enrolment.
    pub unlock_token: Option<Secret<Vec<u8>>>,
    /// Setup Assistant waits for DeviceConfigured.
    pub awaiting_configuration: bool,
    /// The user is logged in, but not at the Mac's screen.
    pub not_on_console: bool,
    /// The user's short name, where this is a user's channel.
    pub user_short_name: Option<String>,
    /// The user's full name, where this is a user's channel.
    pub user_long_name: Option<String>,
}

impl TokenUpdate {
    pub(super) fn read(channel: Channel, dict: &Dict) -> Result<Self, Error> {
        let text = |field| Ok(dict.opt_text(field)?.map(str::to_owned));
        let token = dict.need_data("Token")?;
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(Error::BadValue { field: "Token", why: "not 1 to 1024 bytes" });
        }
        let push_magic = dict.need_text("PushMagic")?;
        if push_magic.is_empty() || push_magic.len() > MAX_TOKEN {
            return Err(Error::BadValue { field: "PushMagic", why: "not 1 to 1024 bytes" });
        }
        let unlock_token = dict.opt_data("UnlockToken")?.filter(|token| !token.is_empty());
        if unlock_token.is_some_and(|token| token.len() > MAX_UNLOCK_TOKEN) {
            return Err(Error::BadValue { field: "UnlockToken", why: "longer than 64 kB" });
        }
        Ok(Self {
            channel,
            topic: text("Topic")?,
            token: Secret::new(token.to_vec()),
            push_magic: push_magic.into(),
            unlock_token: unlock_token.map(|token| Secret::new(token.to_vec())),
            awaiting_configuration: dict.flag("AwaitingConfiguration")?,
            not_on_console: dict.flag("NotOnConsole")?,
            user_short_name: text("UserShortName")?,
            user_long_name: text("UserLongName")?,
        })
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("Topic", self.topic.as_deref())
            .with("Token", self.token.expose().as_slice())
            .with("PushMagic", self.push_magic.expose().as_str())
            .with_opt("UnlockToken", self.unlock_token.as_ref().map(|token| token.expose().as_slice()))
            .with_flag("AwaitingConfiguration", self.awaiting_configuration)
            .with_flag("NotOnConsole", self.not_on_console)
            .with_opt("UserShortName", self.user_short_name.as_deref())
            .with_opt("UserLongName", self.user_long_name.as_deref())
    }
}
