//! Who a message is from: the device, or one user of it. Every message names it in the same keys.

use std::fmt;

use crate::{error::Error, plist::Dict};

/// What a Shared iPad puts into UserID; there UserShortName tells the users apart.
pub const SHARED_IPAD_USER: &str = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";

/// Bytes of a name at most. A UDID has 25, 36 or 40, a managed account up to 254.
const MAX_NAME: usize = 255;

/// A device as it names itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceName {
    /// Enrolled as a device.
    Udid(String),
    /// Enrolled by a user (BYOD): a new name for each enrolment, and neither UDID nor serial number.
    Enrollment(String),
}

/// A user of a device as the device names them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserName {
    /// UserID of a Mac's user.
    Mac(String),
    /// UserShortName on a Shared iPad.
    SharedIpad(String),
    /// EnrollmentUserID of a Mac's user under a user enrolment.
    Enrollment(String),
}

/// One stream of messages with its own token, queue and declarations; all of a device's show one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// The device.
    pub device: DeviceName,
    /// The user on whose channel the message came; none on the device's own.
    pub user: Option<UserName>,
}

impl Channel {
    /// The device's own channel.
    pub fn of_udid(udid: &str) -> Self {
        Self { device: DeviceName::Udid(udid.to_owned()), user: None }
    }

    /// The device's own name, UDID or EnrollmentID, as it was sent.
    pub fn device_name(&self) -> &str {
        match &self.device {
            DeviceName::Udid(name) | DeviceName::Enrollment(name) => name,
        }
    }

    /// Whether a user enrolled the device: then there is no erase and no clearing of passcodes.
    pub fn is_user_enrolment(&self) -> bool {
        matches!(self.device, DeviceName::Enrollment(_))
    }

    pub(crate) fn read(dict: &Dict) -> Result<Self, Error> {
        if let Some(udid) = name(dict, "UDID")? {
            let user = match name(dict, "UserID")? {
                Some(SHARED_IPAD_USER) => {
                    let short = name(dict, "UserShortName")?.ok_or(Error::Unidentified)?;
                    Some(UserName::SharedIpad(short.to_owned()))
                }
                user => user.map(|user| UserName::Mac(user.to_owned())),
            };
            return Ok(Self { device: DeviceName::Udid(udid.to_owned()), user });
        }
        let device = name(dict, "EnrollmentID")?.ok_or(Error::Unidentified)?;
        let user = name(dict, "EnrollmentUserID")?.map(|user| UserName::Enrollment(user.to_owned()));
        Ok(Self { device: DeviceName::Enrollment(device.to_owned()), user })
    }

    pub(crate) fn write(&self, dict: Dict) -> Dict {
        let dict = match &self.device {
            DeviceName::Udid(udid) => dict.with("UDID", udid.as_str()),
            DeviceName::Enrollment(id) => dict.with("EnrollmentID", id.as_str()),
        };
        match &self.user {
            None => dict,
            Some(UserName::Mac(id)) => dict.with("UserID", id.as_str()),
            Some(UserName::Enrollment(id)) => dict.with("EnrollmentUserID", id.as_str()),
            Some(UserName::SharedIpad(short)) => {
                dict.with("UserID", SHARED_IPAD_USER).with("UserShortName", short.as_str())
            }
        }
    }
}

/// For logs.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.device_name())?;
        match &self.user {
            Some(UserName::Mac(user) | UserName::SharedIpad(user) | UserName::Enrollment(user)) => write!(f, "/{user}"),
            None => Ok(()),
        }
    }
}

/// A name that can be a key and stand in a log. An empty one is as good as none.
fn name<'a>(dict: &'a Dict, field: &'static str) -> Result<Option<&'a str>, Error> {
    match dict.opt_text(field)? {
        None | Some("") => Ok(None),
        Some(name) if name.len() > MAX_NAME => Err(Error::BadValue { field, why: "longer than 255 bytes" }),
        Some(name) if name.chars().any(char::is_control) => {
            Err(Error::BadValue { field, why: "control characters in a name" })
        }
        Some(name) => Ok(Some(name)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn any_channel() -> impl Strategy<Value = Channel> {
        let name = || "[0-9A-F-]{1,36}";
        prop_oneof![
            name().prop_map(|udid| Channel::of_udid(&udid)),
            (name(), name()).prop_map(|(udid, user)| {
                Channel { device: DeviceName::Udid(udid), user: Some(UserName::Mac(user)) }
            }),
            (name(), "[a-z]{1,9}@[a-z]{1,9}").prop_map(|(udid, user)| {
                Channel { device: DeviceName::Udid(udid), user: Some(UserName::SharedIpad(user)) }
            }),
            (name(), proptest::option::of(name())).prop_map(|(id, user)| {
                Channel { device: DeviceName::Enrollment(id), user: user.map(UserName::Enrollment) }
            }),
        ]
    }

    #[test]
    fn each_kind_of_enrolment_has_its_key() {
        let udid = Dict::new().with("UDID", "D1");
        let mac = udid.clone().with("UserID", "U1").with("UserShortName", "kim");
        let ipad = udid.clone().with("UserID", SHARED_IPAD_USER).with("UserShortName", "kim@example.com");
        let byod = Dict::new().with("EnrollmentID", "E1");
        let byod_mac = byod.clone().with("EnrollmentUserID", "EU1");
        for (row, dict, want) in [
            ("device", &udid, "D1"),
            ("a Mac's user", &mac, "D1/U1"),
            ("a Shared iPad's user", &ipad, "D1/kim@example.com"),
            ("user enrolment", &byod, "E1"),
            ("its user", &byod_mac, "E1/EU1"),
        ] {
            assert_eq!(Channel::read(dict).unwrap().to_string(), want, "{row}");
        }
        assert!(Channel::read(&byod).unwrap().is_user_enrolment());
    }

    #[test]
    fn a_message_from_nobody_is_refused() {
        let nobody = Err(Error::Unidentified);
        assert_eq!(Channel::read(&Dict::new()), nobody);
        assert_eq!(Channel::read(&Dict::new().with("UDID", "")), nobody);
        assert_eq!(Channel::read(&Dict::new().with("UDID", "D1").with("UserID", SHARED_IPAD_USER)), nobody);
        assert!(Channel::read(&Dict::new().with("UDID", "a\nb")).is_err());
        assert!(Channel::read(&Dict::new().with("UDID", "a".repeat(256))).is_err());
        assert!(Channel::read(&Dict::new().with("UDID", true)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(channel in any_channel()) {
            prop_assert_eq!(Channel::read(&channel.write(Dict::new())), Ok(channel));
        }
    }
}
