//! How the mail server learns whose request it is that comes with a certificate of ours: `--eas-signon`.

use super::tickets::Tickets;
use http::{HeaderName, header};

/// See the module.
#[derive(Clone)]
pub enum SignOn {
    /// A header that the mail server believes, such as SOGo's `x-webobjects-remote-user`. It looks at no password then.
    Header(HeaderName),
    /// Kerberos tickets for this service in its users' names. It goes on looking at the passwords of others.
    Kerberos(Tickets),
}

/// What means something else on the way.
const TAKEN: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VIA,
];

impl SignOn {
    /// `header:NAME` or `kerberos:SPN`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) => Ok(Self::Header(header_name(name)?)),
            Some(("kerberos", spn)) => Ok(Self::Kerberos(Tickets::new(spn)?)),
            _ => Err("header:NAME is needed, the header by which the mail server takes a user, or kerberos:SPN".into()),
        }
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let known: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
    if TAKEN.contains(&known) || known.as_str().starts_with("x-forwarded-") {
        return Err(format!("the header {name} says something else already"));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_means_something_else_names_nobody() {
        let remote = HeaderName::from_static("x-webobjects-remote-user");
        let parsed = SignOn::parse("header:X-WebObjects-Remote-User");
        assert!(matches!(parsed, Ok(SignOn::Header(name)) if name == remote));
        for wrong in [
            "",
            "header",
            "header:",
            "header:a b",
            "header:Authorization",
            "header:Host",
            "header:X-Forwarded-For",
            "kerberos:",
            "x",
        ] {
            assert!(SignOn::parse(wrong).is_err(), "{wrong}");
        }
    }
}
