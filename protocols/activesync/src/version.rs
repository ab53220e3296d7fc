//! The protocol versions spoken here, in order.

use std::fmt;

/// A version of the protocol; later ones compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Version {
    /// Exchange 2003: policies are text.
    #[serde(rename = "2.5")]
    V2_5,
    /// Exchange 2007.
    #[serde(rename = "12.0")]
    V12_0,
    /// Exchange 2007 SP1: the packed query.
    #[serde(rename = "12.1")]
    V12_1,
    /// Exchange 2010: refusals are a status in the document.
    #[serde(rename = "14.0")]
    V14_0,
    /// Exchange 2010 SP1: DeviceInformation in Provision.
    #[serde(rename = "14.1")]
    V14_1,
    /// Exchange 2016.
    #[serde(rename = "16.0")]
    V16_0,
    /// Exchange 2016: account-only wipe.
    #[serde(rename = "16.1")]
    V16_1,
}

impl Version {
    /// All, the oldest first.
    pub const ALL: [Version; 7] =
        [Version::V2_5, Version::V12_0, Version::V12_1, Version::V14_0, Version::V14_1, Version::V16_0, Version::V16_1];

    /// As the header `MS-ASProtocolVersion` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V2_5 => "2.5",
            Version::V12_0 => "12.0",
            Version::V12_1 => "12.1",
            Version::V14_0 => "14.0",
            Version::V14_1 => "14.1",
            Version::V16_0 => "16.0",
            Version::V16_1 => "16.1",
        }
    }

    /// The header's text.
    pub fn parse(text: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.as_str() == text.trim())
    }

    /// Ten times the version, as the packed query has it.
    pub fn packed(self) -> u8 {
        match self {
            Version::V2_5 => 25,
            Version::V12_0 => 120,
            Version::V12_1 => 121,
            Version::V14_0 => 140,
            Version::V14_1 => 141,
            Version::V16_0 => 160,
            Version::V16_1 => 161,
        }
    }

    /// From the packed query.
    pub fn from_packed(byte: u8) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.packed() == byte)
    }

    /// From 14.0 a refusal is HTTP 200 with a status in the document, before that an HTTP code. [MS-ASCMD] 2.2.2.
    pub fn has_common_status(self) -> bool {
        self >= Version::V14_0
    }

    /// DeviceInformation is due in the first phase of Provision. [MS-ASPROV] 3.1.5.1.1.
    pub fn wants_device_information(self) -> bool {
        self >= Version::V14_1
    }

    /// The client knows AccountOnlyRemoteWipe.
    pub fn has_account_only_wipe(self) -> bool {
        self >= Version::V16_1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_version() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Some(version));
            assert_eq!(Version::from_packed(version.packed()), Some(version));
        }
        assert_eq!(Version::parse("14"), None);
        assert!(Version::V2_5 < Version::V12_0);
    }
}
