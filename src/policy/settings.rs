//! The typed settings. Each is a room of its own in `settings/`: its name, what it takes, which of two values is the stricter, what
//! says the same on each wire, who keeps it and who does not. Here they are listed, and nothing more is said of any.
//!
//! A new one is a file that implements [`Rule`], and its two lines below (`mod`, and the list); the compiler then asks each channel
//! how it is said.

mod bluetooth;
mod camera;
mod encryption;
pub(super) mod passcode;
mod words;

use std::fmt;

use super::error::PolicyError;
use super::node::Node;
use super::support::{Known, Support, gap};
use super::target::{Channel, Platform, Target};

pub use words::{Permission, Required};

/// One typed setting, whole.
pub(super) trait Rule {
    /// What may be asked for. That a policy says nothing of it is no value.
    type Value: Copy + Ord + fmt::Debug;

    /// The name as in the policy file, with its section: `passcode.min_length`.
    const NAME: &'static str;
    /// Apple: the payload and the key in it that say this; none where no profile does.
    const KEY: Option<(&'static str, &'static str)>;
    /// Windows: the node that is set for this, then others that say the same; none where Windows has none.
    const NODES: &'static [&'static str];
    /// ActiveSync: the element of the policy document that says this.
    const ELEMENT: Option<&'static str>;

    /// Reads its value in the policy file. None where it asks for nothing (`alphanumeric: false`).
    fn read(node: Node) -> Result<Option<Self::Value>, PolicyError>;
    /// The value alone, as the policy file has it.
    fn print(value: Self::Value) -> String;
    /// The stricter of two.
    fn stricter(one: Self::Value, other: Self::Value) -> Self::Value;

    /// What becomes of it on an Apple platform that has the key, or why there is none. Version and supervision are the table's to say.
    fn apple(value: Self::Value, platform: Platform) -> Support;
    /// What becomes of it on Windows. Build and edition are the table's to say.
    fn windows(value: Self::Value, platform: Platform) -> Support;
    /// What becomes of it on a mail client.
    fn activesync(value: Self::Value, platform: Platform) -> Support;
    /// Why it is not sent to an Apple device that is its user's own; none where it is.
    const NOT_ON_PERSONAL: Option<&'static str> = None;
    /// The same, once more is known of the device.
    fn known(support: Support, _: &Known) -> Support {
        support
    }

    /// As the page on policies has it: what it takes, and what else to know.
    #[cfg(test)]
    const PAGE: [&'static str; 2];
    /// All values, from the laxest to the strictest.
    #[cfg(test)]
    fn all() -> Vec<Self::Value>;
}

macro_rules! settings {
    ($($field:ident: $setting:ident($value:ty) = $rule:ty),+ $(,)?) => {
        /// A typed setting. The order is the order in which parts are sent: Windows ignores the other passcode rules until
        /// `DevicePasswordEnabled` is set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum Setting { $($setting),+ }

        /// A setting with its value, as a device is to have it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "what each may be is said in its room")]
        pub enum Value { $($setting($value)),+ }

        /// Typed settings together: a policy's, or those of several merged. `None` asks for nothing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[allow(missing_docs, reason = "the names are those of the file")]
        pub struct Settings { $(pub $field: Option<$value>),+ }

        impl Setting {
            /// All of them, in order.
            pub const ALL: [Setting; [$(stringify!($setting)),+].len()] = [$(Setting::$setting),+];

            /// The name as in the policy file, with its section: `passcode.min_length`.
            pub fn name(self) -> &'static str {
                match self { $(Setting::$setting => <$rule>::NAME),+ }
            }

            #[cfg(test)]
            fn page(self) -> [&'static str; 2] {
                match self { $(Setting::$setting => <$rule>::PAGE),+ }
            }

            /// Apple's payload and the key in it that say this.
            pub fn key(self) -> Option<(&'static str, &'static str)> {
                match self { $(Setting::$setting => <$rule>::KEY),+ }
            }

            /// The Windows nodes that say this; the first is the one that is set.
            pub fn nodes(self) -> &'static [&'static str] {
                match self { $(Setting::$setting => <$rule>::NODES),+ }
            }

            /// The element of ActiveSync's policy document that says this.
            pub fn element(self) -> Option<&'static str> {
                match self { $(Setting::$setting => <$rule>::ELEMENT),+ }
            }

            /// Why an Apple device that is its user's own does not get it.
            fn not_on_personal(self) -> Option<&'static str> {
                match self { $(Setting::$setting => <$rule>::NOT_ON_PERSONAL),+ }
            }

            /// Each value there is, from the laxest to the strictest.
            #[cfg(test)]
            pub(crate) fn all_values(self) -> Vec<Value> {
                match self { $(Setting::$setting => <$rule>::all().into_iter().map(Value::$setting).collect()),+ }
            }

            pub(super) fn read(self, node: Node) -> Result<Option<Value>, PolicyError> {
                Ok(match self { $(Setting::$setting => <$rule>::read(node)?.map(Value::$setting)),+ })
            }
        }

        impl Value {
            /// Which setting this is a value of.
            pub fn setting(self) -> Setting {
                match self { $(Value::$setting(_) => Setting::$setting),+ }
            }

            /// What becomes of it over a channel, by what its own room says.
            fn by_its_room(self, channel: Channel, platform: Platform) -> Support {
                match (self, channel) { $(
                    (Value::$setting(value), Channel::Apple) => <$rule>::apple(value, platform),
                    (Value::$setting(value), Channel::Omadm) => <$rule>::windows(value, platform),
                    (Value::$setting(value), Channel::Activesync) => <$rule>::activesync(value, platform),
                )+ }
            }

            /// The same, once more is known of the device.
            pub(super) fn known(self, support: Support, known: &Known) -> Support {
                match self { $(Value::$setting(_) => <$rule>::known(support, known)),+ }
            }
        }

        /// The value alone, as the policy file has it.
        impl fmt::Display for Value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self { $(Value::$setting(value) => f.write_str(&<$rule>::print(value))),+ }
            }
        }

        impl Settings {
            /// The values asked for, in the order of [`Setting`].
            pub fn values(&self) -> impl Iterator<Item = Value> {
                [$(self.$field.map(Value::$setting)),+].into_iter().flatten()
            }

            /// Asks for a value, in place of another of the same setting.
            pub fn set(&mut self, value: Value) {
                match value { $(Value::$setting(value) => self.$field = Some(value)),+ }
            }

            /// The strictest of both.
            #[must_use]
            pub fn strictest(self, other: Settings) -> Settings {
                Settings { $($field: stricter::<$rule>(self.$field, other.$field)),+ }
            }
        }
    };
}

settings! {
    passcode_required: PasscodeRequired(Required) = passcode::Required,
    passcode_min_length: PasscodeMinLength(u8) = passcode::MinLength,
    passcode_alphanumeric: PasscodeAlphanumeric(Required) = passcode::Alphanumeric,
    passcode_max_failed: PasscodeMaxFailed(u8) = passcode::MaxFailed,
    passcode_max_idle_minutes: PasscodeMaxIdleMinutes(u8) = passcode::MaxIdleMinutes,
    passcode_expire_days: PasscodeExpireDays(u16) = passcode::ExpireDays,
    passcode_history: PasscodeHistory(u8) = passcode::History,
    encryption: Encryption(Required) = encryption::Encryption,
    camera: Camera(Permission) = camera::Camera,
    bluetooth: Bluetooth(Permission) = bluetooth::Bluetooth,
}

/// The stricter of two, where none asks for nothing.
fn stricter<R: Rule>(one: Option<R::Value>, other: Option<R::Value>) -> Option<R::Value> {
    match (one, other) {
        (Some(one), Some(other)) => Some(R::stricter(one, other)),
        (one, other) => one.or(other),
    }
}

impl Value {
    /// What becomes of it on a device over a channel: what its room says of the platform, unless the device lacks what it takes.
    pub fn support(self, channel: Channel, target: &Target) -> Support {
        let (by_its_room, setting) = (self.by_its_room(channel, target.platform), self.setting());
        if !by_its_room.is_sent() {
            return by_its_room;
        }
        if channel == Channel::Apple
            && target.personal
            && let Some(why) = setting.not_on_personal()
        {
            return Support::No(why);
        }
        gap(channel, target, setting.key(), setting.nodes()).unwrap_or(by_its_room)
    }
}

impl Setting {
    /// The setting of that name.
    pub fn from_name(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|setting| setting.name() == name)
    }

    /// Its section of the file, where it stands in one, and its key there.
    pub(super) fn place(self) -> (Option<&'static str>, &'static str) {
        match self.name().split_once('.') {
            Some((section, key)) => (Some(section), key),
            None => (None, self.name()),
        }
    }
}

#[cfg(test)]
mod tests;
