//! Over-the-air enrolment, first phase: the attributes a device sends in answer to a `Profile Service` profile. They
//! come CMS-signed; who unwraps them learns from the signer whether they are to be believed.

use crate::{
    error::Error,
    plist::{self, Dict},
    secret::Secret,
};

/// DeviceAttributes to ask for.
pub const ATTRIBUTES: [&str; 6] = ["UDID", "SERIAL", "PRODUCT", "VERSION", "IMEI", "MEID"];

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAttributes {
    /// UDID.
    pub udid: String,
    /// SERIAL.
    pub serial: Option<String>,
    /// PRODUCT: `iPhone14,2`.
    pub product: Option<String>,
    /// VERSION: the **build**, not the version.
    pub build: Option<String>,
    /// IMEI.
    pub imei: Option<String>,
    /// MEID.
    pub meid: Option<String>,
    /// CHALLENGE: ours, repeated.
    pub challenge: Option<Secret<String>>,
}

impl DeviceAttributes {
    /// Reads the content of the CMS.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let dict = plist::parse_dict(bytes)?;
        let text = |field| Ok(dict.opt_text(field)?.filter(|text| !text.is_empty()).map(str::to_owned));
        Ok(Self {
            udid: text("UDID")?.ok_or(Error::Unidentified)?,
            serial: text("SERIAL")?,
            product: text("PRODUCT")?,
            build: text("VERSION")?,
            imei: text("IMEI")?,
            meid: text("MEID")?,
            challenge: challenge(&dict)?,
        })
    }
}

/// A string or data, as it was put into the profile.
fn challenge(dict: &Dict) -> Result<Option<Secret<String>>, Error> {
    let field = "CHALLENGE";
    match dict.get(field).map(|value| (value.as_text(), value.as_data())) {
        None => Ok(None),
        Some((Some(text), _)) => Ok(Some(text.into())),
        Some((_, Some(data))) => match std::str::from_utf8(data) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Err(Error::BadValue { field, why: "not UTF-8" }),
        },
        Some(_) => Err(Error::WrongType { field, want: "a string" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read() {
        let dict = Dict::new().with("UDID", "D1").with("VERSION", "23A345").with("CHALLENGE", &b"C"[..]);
        let got = DeviceAttributes::parse(&dict.to_xml()).unwrap();
        assert_eq!((got.udid.as_str(), got.build.as_deref()), ("D1", Some("23A345")));
        assert_eq!(got.challenge, Some("C".into()));
        assert_eq!(DeviceAttributes::parse(&Dict::new().to_xml()), Err(Error::Unidentified));
    }
}
