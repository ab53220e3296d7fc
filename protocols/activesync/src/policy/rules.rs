//! Each rule with its token, the version that brought it, its range, its default and which of two values is the stricter.
//! [MS-ASPROV] 2.2.2. Where the
//! specification has no upper end, or one that makes no sense, the range ends where a person may still mean it.

use lanyard_wbxml::Tag;

use crate::{Error, Version};

macro_rules! rules {
    ($($name:ident $token:literal $since:ident $min:literal $max:literal $default:tt $(($some:expr))? $strict:ident;)+) => {
        /// A rule with a single value, in the order of the tokens.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // the names are the specification's
        pub enum Rule { $($name = $token),+ }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$name),+];

            /// As the specification spells it.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$name => stringify!($name)),+ }
            }

            /// The first version that has it.
            pub fn since(self) -> Version {
                match self { $(Rule::$name => Version::$since),+ }
            }

            /// What restricts nothing.
            pub fn default(self) -> Option<i64> {
                match self { $(Rule::$name => $default $(($some))?),+ }
            }

            fn range(self) -> (i64, i64) {
                match self { $(Rule::$name => ($min, $max)),+ }
            }

            fn strict(self) -> Strict {
                match self { $(Rule::$name => Strict::$strict),+ }
            }
        }
    };
}

/// Which of two numbers is the stricter. The default is stricter than none, whatever its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strict {
    More,
    Less,
}

// The default `None` is the empty element, which only those rules take that have it.
rules! {
    DevicePasswordEnabled 0x0E V12_0 0 1 Some(0) More;
    AlphanumericDevicePasswordRequired 0x0F V12_0 0 1 Some(0) More;
    RequireStorageCardEncryption 0x10 V12_1 0 1 Some(0) More;
    PasswordRecoveryEnabled 0x11 V12_0 0 1 Some(0) More;
    AttachmentsEnabled 0x13 V12_0 0 1 Some(1) Less;
    // 1 is "any length".
    MinDevicePasswordLength 0x14 V12_0 1 16 None More;
    // Seconds; 9999 is "never".
    MaxInactivityTimeDeviceLock 0x15 V12_0 1 9999 None Less;
    MaxDevicePasswordFailedAttempts 0x16 V12_0 4 16 None Less;
    // Bytes.
    MaxAttachmentSize 0x17 V12_0 0 2_147_483_647 None Less;
    AllowSimpleDevicePassword 0x18 V12_0 0 1 Some(1) Less;
    // Days; 0 is "never".
    DevicePasswordExpiration 0x19 V12_0 0 730 None Less;
    DevicePasswordHistory 0x1A V12_0 0 50 Some(0) More;
    AllowStorageCard 0x1B V12_1 0 1 Some(1) Less;
    AllowCamera 0x1C V12_1 0 1 Some(1) Less;
    RequireDeviceEncryption 0x1D V12_1 0 1 Some(0) More;
    AllowUnsignedApplications 0x1E V12_1 0 1 Some(1) Less;
    AllowUnsignedInstallationPackages 0x1F V12_1 0 1 Some(1) Less;
    // Of lower case, upper case, digits and others.
    MinDevicePasswordComplexCharacters 0x20 V12_1 1 4 Some(1) More;
    AllowWiFi 0x21 V12_1 0 1 Some(1) Less;
    AllowTextMessaging 0x22 V12_1 0 1 Some(1) Less;
    AllowPOPIMAPEmail 0x23 V12_1 0 1 Some(1) Less;
    // 1 is "hands-free only".
    AllowBluetooth 0x24 V12_1 0 2 Some(2) Less;
    AllowIrDA 0x25 V12_1 0 1 Some(1) Less;
    RequireManualSyncWhenRoaming 0x26 V12_1 0 1 Some(0) More;
    AllowDesktopSync 0x27 V12_1 0 1 Some(1) Less;
    // 0 all, 4 two weeks, 5 one month, 6 three, 7 six.
    MaxCalendarAgeFilter 0x28 V12_1 0 7 Some(0) Less;
    AllowHTMLEmail 0x29 V12_1 0 1 Some(1) Less;
    // 0 all, 1 a day, 2 three, 3 a week, 4 two, 5 a month.
    MaxEmailAgeFilter 0x2A V12_1 0 5 Some(0) Less;
    // -1 is "whole", 0 the head alone.
    MaxEmailBodyTruncationSize 0x2B V12_1 -1 2_147_483_647 Some(-1) Less;
    MaxEmailHTMLBodyTruncationSize 0x2C V12_1 -1 2_147_483_647 Some(-1) Less;
    RequireSignedSMIMEMessages 0x2D V12_1 0 1 Some(0) More;
    RequireEncryptedSMIMEMessages 0x2E V12_1 0 1 Some(0) More;
    // 0 SHA-1, 1 MD5.
    RequireSignedSMIMEAlgorithm 0x2F V12_1 0 1 Some(0) Less;
    // 0 triple DES, 1 DES, 2 to 4 RC2 with 128, 64 and 40 bits.
    RequireEncryptionSMIMEAlgorithm 0x30 V12_1 0 4 Some(0) Less;
    // 0 no, 1 strong ones, 2 any.
    AllowSMIMEEncryptionAlgorithmNegotiation 0x31 V12_1 0 2 Some(2) Less;
    AllowSMIMESoftCerts 0x32 V12_1 0 1 Some(1) Less;
    AllowBrowser 0x33 V12_1 0 1 Some(1) Less;
    AllowConsumerEmail 0x34 V12_1 0 1 Some(1) Less;
    AllowRemoteDesktop 0x35 V12_1 0 1 Some(1) Less;
    AllowInternetSharing 0x36 V12_1 0 1 Some(1) Less;
}

impl Rule {
    /// The stricter of two values.
    pub fn stricter(self, one: Option<i64>, other: Option<i64>) -> Option<i64> {
        match (self.asks(one), self.asks(other)) {
            (Some(one), Some(other)) if self.strict() == Strict::More => Some(one.max(other)),
            (Some(one), Some(other)) => Some(one.min(other)),
            (Some(one), None) | (None, Some(one)) => Some(one),
            (None, None) => self.default(),
        }
    }

    /// What a value asks for; none where that is nothing.
    fn asks(self, value: Option<i64>) -> Option<i64> {
        // A password that is good for ever, a screen that is never locked, a password of any length.
        let nothing = matches!(
            (self, value),
            (Rule::DevicePasswordExpiration, Some(0))
                | (Rule::MaxInactivityTimeDeviceLock, Some(9999))
                | (Rule::MinDevicePasswordLength, Some(1))
        );
        value.filter(|_| !nothing && value != self.default())
    }

    /// Whether the rule is about the password, and void where none is asked for.
    pub(crate) fn is_of_password(self) -> bool {
        matches!(
            self,
            Rule::AlphanumericDevicePasswordRequired
                | Rule::PasswordRecoveryEnabled
                | Rule::MinDevicePasswordLength
                | Rule::MaxInactivityTimeDeviceLock
                | Rule::MaxDevicePasswordFailedAttempts
                | Rule::AllowSimpleDevicePassword
                | Rule::DevicePasswordExpiration
                | Rule::DevicePasswordHistory
                | Rule::MinDevicePasswordComplexCharacters
        )
    }

    /// By the specification's name, in its spelling.
    pub fn from_name(name: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.name() == name)
    }

    pub(crate) fn tag(self) -> Tag {
        Tag::new(14, self as u8, self.name())
    }

    /// Whether the value is one that the rule takes.
    pub fn check(self, value: Option<i64>) -> Result<(), Error> {
        let (min, max) = self.range();
        let fits = match value {
            None => self.default().is_none(),
            // One to three days and a week are there for mail only.
            Some(1..=3) if self == Rule::MaxCalendarAgeFilter => false,
            Some(value) => (min..=max).contains(&value),
        };
        if fits { Ok(()) } else { Err(self.refuse(value.map(|value| value.to_string()).unwrap_or_default())) }
    }

    /// A value as text: a decimal number that the rule takes, or empty for no rule.
    pub fn read(self, text: &str) -> Result<Option<i64>, Error> {
        let refuse = |_| self.refuse(text.chars().take(64).collect());
        let value = if text.is_empty() { None } else { Some(text.parse().map_err(refuse)?) };
        self.check(value)?;
        Ok(value)
    }

    fn refuse(self, value: String) -> Error {
        let empty = if self.default().is_none() { " or empty" } else { "" };
        let allowed = match self.range() {
            _ if self == Rule::MaxCalendarAgeFilter => "0, 4, 5, 6 or 7".to_owned(),
            (0, 1) => "0 or 1".to_owned(),
            (min, max) => format!("{min} to {max}{empty}"),
        };
        Error::Value { element: self.name(), value, allowed }
    }
}
