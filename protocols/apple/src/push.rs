//! Waking a device by APNs: the request, and what its answer means. Sent over HTTP/2 with the push certificate as
//! client certificate, and with no other credential.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::secret::Secret;

/// Where Apple takes pushes. Port 2197 does as well, for firewalls.
pub const PRODUCTION: &str = "https://api.push.apple.com";

/// A `POST` to APNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// `/3/device/…`: it holds the token.
    pub path: Secret<String>,
    /// Names in lower case, as HTTP/2 has them.
    pub headers: [(&'static str, String); 4],
    /// `{"mdm":"…"}` and nothing else.
    pub body: Secret<Vec<u8>>,
}

impl PushRequest {
    /// `topic` is the UID in the push certificate. APNs keeps the last push until `expiration`, Unix time in seconds:
    /// days ahead, since a device may be off.
    pub fn new(token: &[u8], push_magic: &str, topic: &str, expiration: u64) -> Self {
        let mut path = String::from("/3/device/");
        for byte in token {
            // Writing to a string cannot fail.
            let _ = write!(path, "{byte:02x}");
        }
        let headers = [
            ("apns-topic", topic.to_owned()),
            ("apns-push-type", "mdm".to_owned()),
            ("apns-priority", "10".to_owned()),
            ("apns-expiration", expiration.to_string()),
        ];
        let body = json!({ "mdm": push_magic }).to_string().into_bytes();
        Self { path: Secret::new(path), headers, body: Secret::new(body) }
    }
}

/// What an answer of APNs means. Accepted is not delivered: only the device's poll shows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// APNs took it.
    Accepted,
    /// The token is good for nothing, since this time in Unix milliseconds if APNs says so: push no more until a
    /// TokenUpdate brings another. Nothing else retires a token.
    TokenRetired {
        /// A TokenUpdate later than this makes the answer stale.
        since: Option<u64>,
    },
    /// Certificate, topic or environment is wrong: tell people, keep the work pending. The reason is APNs' word.
    OurFault(String),
    /// Not now: back off and try again.
    Retry,
}

/// Judges by the status; the body, JSON, only refines. It may be anything.
pub fn judge(status: u16, body: &[u8]) -> Verdict {
    let body: Value = serde_json::from_slice(body.get(..4096.min(body.len())).unwrap_or_default()).unwrap_or_default();
    let reason = body.get("reason").and_then(Value::as_str).unwrap_or_default();
    match status {
        200 => Verdict::Accepted,
        410 => Verdict::TokenRetired { since: body.get("timestamp").and_then(Value::as_u64) },
        400 if reason == "IdleTimeout" => Verdict::Retry,
        400 | 403 | 404 | 405 | 413 if reason.is_empty() => Verdict::OurFault(format!("status {status}")),
        400 | 403 | 404 | 405 | 413 => Verdict::OurFault(reason.chars().take(80).collect()),
        _ => Verdict::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_exactly_what_apns_wants() {
        let request = PushRequest::new(&[0x0a, 0xff], "M\"1", "com.apple.mgmt.External.X", 1_800_000_000);
        assert_eq!(request.path.expose(), "/3/device/0aff");
        assert_eq!(request.body.expose(), br#"{"mdm":"M\"1"}"#);
        let headers = request.headers.map(|(name, value)| format!("{name}: {value}"));
        assert_eq!(
            headers,
            [
                "apns-topic: com.apple.mgmt.External.X",
                "apns-push-type: mdm",
                "apns-priority: 10",
                "apns-expiration: 1800000000"
            ]
        );
    }

    #[test]
    fn only_410_retires_a_token() {
        let fault = |reason: &str| Verdict::OurFault(reason.into());
        for (status, body, want) in [
            (200, "", Verdict::Accepted),
            (
                410,
                r#"{"reason":"Unregistered","timestamp":1700000000000}"#,
                Verdict::TokenRetired { since: Some(1_700_000_000_000) },
            ),
            (410, "odd", Verdict::TokenRetired { since: None }),
            (400, r#"{"reason":"BadDeviceToken"}"#, fault("BadDeviceToken")),
            (400, r#"{"reason":"IdleTimeout"}"#, Verdict::Retry),
            (403, "", fault("status 403")),
            (413, r#"{"reason":7}"#, fault("status 413")),
            (429, r#"{"reason":"TooManyRequests"}"#, Verdict::Retry),
            (500, "", Verdict::Retry),
            (503, "", Verdict::Retry),
            (302, "", Verdict::Retry),
        ] {
            assert_eq!(judge(status, body.as_bytes()), want, "{status} {body}");
        }
    }
}
