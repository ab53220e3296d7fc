//! What a device PUTs. The body tells check-ins from reports, whatever path and Content-Type say: mdmb v0.1.0 sends no
//! type, and old clients fall back from CheckInURL to ServerURL.

use crate::{
    checkin::CheckIn,
    error::Error,
    plist::{self, Dict},
    report::Report,
};

/// One request of a device.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// It has a MessageType.
    CheckIn(CheckIn),
    /// It has a Status: a poll, or the result of a command.
    Report(Report),
}

impl Body {
    /// Reads any body of at most [`plist::MAX_BYTES`], XML or binary.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        match plist::parse_dict(bytes) {
            Ok(dict) => Self::from_dict(dict),
            Err(error) => Report::read_spoilt(bytes, error).map(Self::Report),
        }
    }

    fn from_dict(dict: Dict) -> Result<Self, Error> {
        if dict.get("MessageType").is_some() {
            CheckIn::read(&dict).map(Self::CheckIn)
        } else if dict.get("Status").is_some() {
            Report::read(dict).map(Self::Report)
        } else {
            Err(Error::NeitherKind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn the_body_decides() {
        let checkin = Dict::new().with("MessageType", "CheckOut").with("UDID", "D1").to_xml();
        assert!(matches!(Body::parse(&checkin), Ok(Body::CheckIn(CheckIn::CheckOut(_)))));
        let poll = Dict::new().with("Status", "Idle").with("UDID", "D1").to_xml();
        assert!(matches!(Body::parse(&poll), Ok(Body::Report(report)) if report.status == Status::Idle));
        assert_eq!(Body::parse(&Dict::new().with("UDID", "D1").to_xml()), Err(Error::NeitherKind));
    }
}
