//! Autodiscover in JSON ("V2"): `GET …/autodiscover.json?Email=…&Protocol=…`, with no login. It names an address for one protocol; the mail
//! address that is asked for changes nothing, else the answers would list who has a mailbox.

use crate::packed::percent_decode;

/// The content type of answers.
pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// The protocol whose address is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// ActiveSync.
    ActiveSync,
    /// Autodiscover in XML.
    AutodiscoverV1,
    /// Any other: the mail server's to know.
    Other,
    /// It does not say.
    Missing,
}

impl Protocol {
    /// From a request's query. Names and values are compared without case.
    pub fn of(query: &str) -> Protocol {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut said = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("Protocol")).map(|(_, value)| value);
        let Some(value) = said.next() else { return Protocol::Missing };
        let value = percent_decode(value).unwrap_or_default();
        match value.trim_ascii() {
            b"" => Protocol::Missing,
            name if name.eq_ignore_ascii_case(b"ActiveSync") => Protocol::ActiveSync,
            name if name.eq_ignore_ascii_case(b"AutodiscoverV1") => Protocol::AutodiscoverV1,
            _ => Protocol::Other,
        }
    }
}

/// A request that goes on to the mail server: its path and of its query the fields that there are. `None`: it is none of this protocol, or
/// a value holds what might be another path to some reader.
pub fn only_its_own(path: &str, query: &str) -> Option<String> {
    let (end, what) = (path.to_ascii_lowercase().find(".json")? + ".json".len(), "/v1.0/");
    let rest = path.get(end..)?;
    let address = if rest.is_empty() {
        ""
    } else {
        rest.get(..what.len()).filter(|v| v.eq_ignore_ascii_case(what)).and(rest.get(what.len()..))?
    };
    let plain = |text: &str| {
        percent_decode(text).is_some_and(|bytes| {
            bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"@._-+".contains(b) || !b.is_ascii())
        })
    };
    if !plain(address) {
        return None;
    }
    let known = ["Email", "Protocol", "RedirectCount"];
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let kept: Vec<(&str, &str)> =
        pairs.filter(|(name, _)| known.iter().any(|k| k.eq_ignore_ascii_case(name))).collect();
    if !kept.iter().all(|(_, value)| plain(value)) {
        return None;
    }
    let kept: Vec<String> = kept.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(format!("{path}?{}", kept.join("&")))
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The address for a protocol.
    Url {
        /// As Exchange writes it.
        protocol: &'a str,
        /// The address.
        url: &'a str,
    },
    /// A protocol that has no address here; HTTP 400.
    InvalidProtocol,
    /// None was named; HTTP 400.
    ProtocolMissing,
}

impl Reply<'_> {
    /// The whole document.
    pub fn encode(&self) -> String {
        let [(first, a), (second, b)] = match self {
            Reply::Url { protocol, url } => [("Protocol", *protocol), ("Url", *url)],
            Reply::InvalidProtocol => [
                ("ErrorCode", "InvalidProtocol"),
                (
                    "ErrorMessage",
                    "The given protocol value is invalid. Supported values are 'ActiveSync,AutodiscoverV1'.",
                ),
            ],
            Reply::ProtocolMissing => [
                ("ErrorCode", "MandatoryParameterMissing"),
                ("ErrorMessage", "A valid value must be provided for the query parameter 'Protocol'."),
            ],
        };
        format!("{{\"{first}\":{},\"{second}\":{}}}", quoted(a), quoted(b))
    }
}

/// A string of JSON (RFC 8259 7).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_fields_go_on() {
        let path = "/autodiscover/autodiscover.json";
        for (more, query, want) in [
            ("", "Email=a%40b.c&Protocol=Ews&x=1", Some("?Email=a%40b.c&Protocol=Ews")),
            ("/v1.0/a%40b.c", "protocol=Ews", Some("/v1.0/a%40b.c?protocol=Ews")),
            ("", "@x/powershell/&Protocol=x&Email=autodiscover/autodiscover.json%3F@x", None),
            ("", "@x/powershell/&Protocol=x", Some("?Protocol=x")),
            ("/v1.0/a/b", "Protocol=x", None),
            ("/x", "Protocol=x", None),
            ("", "Protocol=a%2Fb", None),
        ] {
            let got = only_its_own(&format!("{path}{more}"), query);
            assert_eq!(got, want.map(|want| format!("{path}{want}")), "{more} {query}");
        }
    }

    #[test]
    fn the_protocol_is_read_without_case() {
        for (query, want) in [
            ("Email=a%40b&Protocol=ActiveSync&RedirectCount=1", Protocol::ActiveSync),
            ("protocol=activesync", Protocol::ActiveSync),
            ("PROTOCOL=Active%53ync%20", Protocol::ActiveSync),
            ("Protocol=autodiscoverv1", Protocol::AutodiscoverV1),
            ("Protocol=Ews", Protocol::Other),
            ("Protocol=ActiveSync2", Protocol::Other),
            ("Protocol=%zz", Protocol::Missing),
            ("Protocol=&Email=x", Protocol::Missing),
            ("Email=Protocol", Protocol::Missing),
            ("", Protocol::Missing),
        ] {
            assert_eq!(Protocol::of(query), want, "{query}");
        }
    }

    #[test]
    fn answers_are_json() {
        let url = Reply::Url { protocol: "ActiveSync", url: "https://gw/Microsoft-Server-ActiveSync" };
        assert_eq!(url.encode(), r#"{"Protocol":"ActiveSync","Url":"https://gw/Microsoft-Server-ActiveSync"}"#);
        let odd = Reply::Url { protocol: "x", url: "a\"\\\n" }.encode();
        assert_eq!(odd, r#"{"Protocol":"x","Url":"a\"\\\u000a"}"#);
        assert!(Reply::InvalidProtocol.encode().starts_with(r#"{"ErrorCode":"InvalidProtocol","ErrorMessage":"#));
    }
}
