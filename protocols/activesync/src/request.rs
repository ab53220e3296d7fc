//! Who asks for what: the query of a request in both forms, and the headers that belong to it. [MS-ASHTTP] 2.2.1.1.1.
//!
//! All of it is the client's claim; only its login says who it is.

use std::fmt;

use crate::packed::{self, Query, percent_decode, tag};
use crate::{Command, Error, PolicyKey, Version};

/// The longest plain query taken; clients stay far below.
const MAX_QUERY_BYTES: usize = 8192;

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// In which version the answer is due.
    pub version: Version,
    /// Which device says it asks.
    pub device_id: DeviceId,
    /// Such as `iPhone`: 1 to 128 visible ASCII characters and blanks.
    pub device_type: String,
    /// The policy key that came along.
    pub key: Presented,
    /// A hint for logs, not an identity. At most 255 characters.
    pub user: Option<String>,
}

/// The policy key of a request. [MS-ASPROV] 3.1.5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// No such field: by the specification on Ping, and from clients that know nothing of policies.
    Absent,
    /// 0, or not a number.
    Zero,
    /// Any other number.
    Key(PolicyKey),
}

impl Presented {
    fn number(key: u32) -> Presented {
        PolicyKey::new(key).map_or(Presented::Zero, Presented::Key)
    }

    /// From the header `X-MS-PolicyKey`.
    pub fn header(value: Option<&str>) -> Presented {
        match value {
            None => Presented::Absent,
            Some(text) => text.trim().parse().map_or(Presented::Zero, Presented::number),
        }
    }
}

/// How a device names itself: 1 to 64 letters, digits, `-`, `_`, `.` and braces, as it was sent, or the hex digits of what
/// was sent as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(String);

impl DeviceId {
    /// From the plain query.
    pub fn parse(text: &str) -> Result<DeviceId, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.{}".contains(&byte);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(Error::DeviceId);
        }
        Ok(DeviceId(text.to_owned()))
    }

    /// From the packed query: text where it is text, else hex.
    pub fn from_bytes(bytes: &[u8]) -> Result<DeviceId, Error> {
        if let Ok(id) = std::str::from_utf8(bytes).map_err(|_| Error::DeviceId).and_then(DeviceId::parse) {
            return Ok(id);
        }
        DeviceId::parse(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What to compare by: clients change case between releases.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DeviceId {
    type Error = Error;

    fn try_from(text: String) -> Result<DeviceId, Error> {
        DeviceId::parse(&text)
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> String {
        id.0
    }
}

impl Request {
    /// Reads a request's head: the query without its `?`, and the headers `MS-ASProtocolVersion` and
    /// `X-MS-PolicyKey`, which count where the query does not say it itself.
    pub fn parse(query: &str, version: Option<&str>, policy_key: Option<&str>) -> Result<Request, Error> {
        let key = Presented::header(policy_key);
        if packed::is_plain(query) { plain(query, version, key) } else { from_packed(&Query::from_url(query)?, key) }
    }
}

fn from_packed(query: &Query, header: Presented) -> Result<Request, Error> {
    let mut users = query.parameters.iter().filter(|(tag, _)| *tag == tag::USER);
    let user = users.next().and_then(|(_, name)| std::str::from_utf8(name).ok());
    if users.next().is_some() {
        return Err(Error::Twice("User"));
    }
    Ok(Request {
        command: Command::from_code(query.command).ok_or_else(|| Error::Command(query.command.to_string()))?,
        version: Version::from_packed(query.version).ok_or_else(|| Error::Version(query.version.to_string()))?,
        device_id: DeviceId::from_bytes(&query.device_id)?,
        device_type: device_type(std::str::from_utf8(&query.device_type).map_err(|_| Error::DeviceType)?)?,
        key: query.key.map_or(header, Presented::number),
        user: user.map(user_hint),
    })
}

fn plain(query: &str, version: Option<&str>, key: Presented) -> Result<Request, Error> {
    let mut fields = Fields::default();
    if query.len() > MAX_QUERY_BYTES {
        return Err(Error::Length { field: "query", got: query.len() });
    }
    // A mail server must not find a field in it that is none here: some drop blanks before a name, cut it at a zero byte, or take a
    // semicolon for the end of a pair.
    if query.contains(';') {
        return Err(Error::Query);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::Query);
        }
        fields.take(&name, value)?;
    }
    let version = version.unwrap_or_default();
    let command = fields.command.filter(|command| !command.is_empty()).ok_or(Error::Query)?;
    Ok(Request {
        command: Command::from_name(&command).ok_or(Error::Command(command))?,
        version: Version::parse(version).ok_or_else(|| Error::Version(version.chars().take(32).collect()))?,
        device_id: DeviceId::parse(&fields.device_id.ok_or(Error::DeviceId)?)?,
        device_type: device_type(&fields.device_type.ok_or(Error::DeviceType)?)?,
        key,
        user: fields.user.as_deref().map(user_hint),
    })
}

/// The fields that say who asks for what.
#[derive(Default)]
struct Fields {
    command: Option<String>,
    device_id: Option<String>,
    device_type: Option<String>,
    user: Option<String>,
}

impl Fields {
    /// Each at most once: the mail server must not read another device or command out of the query than we do.
    fn take(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let (name, field) = match name.to_ascii_lowercase().as_str() {
            "cmd" => ("Cmd", &mut self.command),
            "deviceid" => ("DeviceId", &mut self.device_id),
            "devicetype" => ("DeviceType", &mut self.device_type),
            // A hint, in whatever letters: no request is refused for it.
            "user" => return self.hint(value),
            _ => return Ok(()),
        };
        match field.replace(decoded(value)?) {
            None => Ok(()),
            Some(_) => Err(Error::Twice(name)),
        }
    }
}

impl Fields {
    /// The name in `User`: UTF-8, else Latin-1 as old clients write it.
    fn hint(&mut self, value: &str) -> Result<(), Error> {
        let bytes = percent_decode(value).ok_or(Error::Query)?;
        let text = String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().map(|b| char::from(*b)).collect());
        match self.user.replace(text) {
            None => Ok(()),
            Some(_) => Err(Error::Twice("User")),
        }
    }
}

/// The device that a query without a command names, as some clients do with OPTIONS.
pub fn named_device(query: &str) -> Option<DeviceId> {
    let named = |name: &str| name.eq_ignore_ascii_case("DeviceId");
    let mut ids = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| named(name));
    let id = ids.next().and_then(|(_, id)| DeviceId::parse(&decoded(id).ok()?).ok());
    id.filter(|_| ids.next().is_none())
}

fn decoded(text: &str) -> Result<String, Error> {
    percent_decode(text).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Error::Query)
}

fn device_type(text: &str) -> Result<String, Error> {
    let allowed = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Error::DeviceType)
}

/// Goes into logs: no control characters.
fn user_hint(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "Cmd=FolderSync&User=corp%5Cann&DeviceId=ApplF2L&DeviceType=iPhone&CollectionId=5";

    #[test]
    fn both_forms_say_the_same() {
        let plain = Request::parse(PLAIN, Some("14.1"), Some("7")).unwrap();
        let query = Query {
            version: 141,
            command: 9,
            locale: 0x0407,
            device_id: b"ApplF2L".to_vec(),
            key: Some(7),
            device_type: b"iPhone".to_vec(),
            parameters: vec![(1, b"5".to_vec()), (tag::USER, b"corp\\ann".to_vec())],
        };
        assert_eq!(Request::parse(&query.to_url(), None, None).unwrap(), plain);
        assert_eq!(plain.command, Command::FolderSync);
        assert_eq!(plain.user.as_deref(), Some("corp\\ann"));
        assert_eq!(plain.key, Presented::number(7));
    }

    #[test]
    fn a_key_may_be_absent_zero_or_unreadable() {
        for (row, header, want) in [
            ("absent", None, Presented::Absent),
            ("zero", Some("0"), Presented::Zero),
            ("words", Some("none"), Presented::Zero),
            ("too large", Some("4294967296"), Presented::Zero),
            ("largest", Some("4294967295"), Presented::Key(PolicyKey::new(u32::MAX).unwrap())),
        ] {
            assert_eq!(Request::parse(PLAIN, Some("12.1"), header).map(|request| request.key), Ok(want), "{row}");
        }
    }

    #[test]
    fn raw_bytes_are_shown_as_hex() {
        assert_eq!(DeviceId::from_bytes(b"v140Device").unwrap().as_str(), "v140Device");
        assert_eq!(DeviceId::from_bytes(&[0, 0x1F, 0xAB]).unwrap().as_str(), "001fab");
        assert_eq!(DeviceId::from_bytes(&[]), Err(Error::DeviceId));
        assert_eq!(DeviceId::from_bytes(&[0; 33]), Err(Error::DeviceId));
        assert_eq!(DeviceId::parse("AppL").unwrap().folded(), "appl");
    }

    #[test]
    fn what_is_missing_or_double_is_named() {
        for (row, query, version, want) in [
            ("no id", "Cmd=Sync&DeviceType=x", "14.0", Error::DeviceId),
            ("bad id", "Cmd=Sync&DeviceId=a%20b&DeviceType=x", "14.0", Error::DeviceId),
            ("no type", "Cmd=Sync&DeviceId=a", "14.0", Error::DeviceType),
            ("no command", "User=a&DeviceId=a&DeviceType=x", "14.0", Error::Query),
            ("blank before a name", "Cmd=Sync&DeviceId=a&DeviceType=x&+Cmd=Provision", "14.0", Error::Query),
            ("encoded blank", "Cmd=Sync&DeviceId=a&DeviceType=x&%20DeviceId=b", "14.0", Error::Query),
            ("zero byte", "Cmd=Sync&DeviceId=a&DeviceType=x&Cmd%00=Provision", "14.0", Error::Query),
            ("list", "Cmd=Sync&DeviceId=a&DeviceType=x&Cmd%5B%5D=Provision", "14.0", Error::Query),
            ("semicolon", "Cmd=Sync&DeviceId=a&DeviceType=x&X=1;Cmd=Provision", "14.0", Error::Query),
            ("empty command", "Cmd=&DeviceId=a&DeviceType=x", "14.0", Error::Query),
            ("user twice", "Cmd=Sync&User=a&DeviceId=a&DeviceType=x&User=b", "14.0", Error::Twice("User")),
            ("unknown", "Cmd=Sing&DeviceId=a&DeviceType=x", "14.0", Error::Command("Sing".into())),
            ("version", "Cmd=Sync&DeviceId=a&DeviceType=x", "3.0", Error::Version("3.0".into())),
            ("twice", "Cmd=Sync&DeviceId=a&DeviceType=x&%64eviceID=b", "14.0", Error::Twice("DeviceId")),
            ("escape", "Cmd=Sync&DeviceId=%zz&DeviceType=x", "14.0", Error::Query),
        ] {
            assert_eq!(Request::parse(query, Some(version), None), Err(want), "{row}");
        }
    }

    #[test]
    fn a_user_hint_in_any_letters_and_a_guid_in_braces_are_taken() {
        let query = |user: &str| format!("Cmd=Sync&User={user}&DeviceId=%7BA1-b2%7D&DeviceType=x");
        for (user, want) in [("%C3%A4nn", "änn"), ("%e4nn", "änn"), ("EX%5Cann", "EX\\ann")] {
            let request = Request::parse(&query(user), Some("14.1"), None).unwrap();
            assert_eq!((request.user.as_deref(), request.device_id.as_str()), (Some(want), "{A1-b2}"), "{user}");
        }
    }

    #[test]
    fn options_may_name_a_device() {
        for (query, want) in [
            ("User=a&DeviceId=Appl1&DeviceType=iPhone", Some("Appl1")),
            ("deviceid=%41", Some("A")),
            ("DeviceId=a&DeviceId=b", None),
            ("DeviceId=a%20b", None),
            ("", None),
        ] {
            assert_eq!(named_device(query).map(String::from).as_deref(), want, "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(query in ".{0,200}") {
            let _ = Request::parse(&query, Some("14.1"), Some("1"));
        }
    }
}
