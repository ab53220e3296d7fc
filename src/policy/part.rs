//! A part of what a device must have: what it is called, what it holds, and by which hash it is known.

use super::applied::{HASHED, Origins};
use super::raw::CspFormat;
use super::settings::{Setting, Value};
use lanyard_omadm::csp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Which part. It says all that is needed to take the part away. The order is the order of sending.
/// As text (and in JSON, as a key too): `settings`, `setting:passcode.required`, `profile:com.example.wifi`,
/// `csp:./Device/…`, `document`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartId {
    /// Apple: all typed settings, one profile of the server's own.
    Settings,
    /// Windows: one typed setting.
    Setting(Setting),
    /// Apple: a raw profile, by PayloadIdentifier.
    Profile(String),
    /// Windows: a raw node, by path.
    Csp(String),
    /// ActiveSync: the whole policy document.
    Document,
}

/// A path as it is sent: an older record may name a network as people write it.
fn spelt(path: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if path.chars().all(plain) {
        return Cow::Borrowed(path);
    }
    let segment = |segment: &str| csp::name(segment).unwrap_or_else(|| segment.to_owned());
    Cow::Owned(path.split('/').map(segment).collect::<Vec<_>>().join("/"))
}

/// A part with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which one.
    pub id: PartId,
    /// The first half of the content's SHA-256 in hex: equal for equal content, whatever policies it came from.
    pub hash: String,
    /// The settings it carries, as the policy file and coverage name them.
    pub settings: Vec<String>,
    /// What to send.
    pub content: PartContent,
    /// The policies that ask for it. Another one changes nothing about the part.
    pub of: Origins,
    /// Whether it has rules for the passcode and the device itself says whether its passcode keeps to them.
    pub passcode: bool,
}

impl PartId {
    /// Where it is set on the device. What two parts have in common there is there once: a typed setting of Windows and a raw node.
    pub fn place(&self) -> Cow<'_, str> {
        match self {
            PartId::Setting(setting) => match setting.nodes().first() {
                Some(node) => Cow::Borrowed(node),
                None => Cow::Owned(self.to_string()),
            },
            PartId::Csp(path) => spelt(path),
            PartId::Settings | PartId::Profile(_) | PartId::Document => Cow::Owned(self.to_string()),
        }
    }

    /// Whether a raw node that was set with this hash held this value, in whatever format.
    pub fn held(&self, hash: &str, value: &str) -> bool {
        let PartId::Csp(path) = self else { return false };
        let content = |format| PartContent::WindowsCsp { path: path.clone(), format, data: value.to_owned() };
        CspFormat::ALL.into_iter().any(|format| content(format).hash() == hash)
    }

    /// The one setting that it carries, as coverage names it; none where it may carry several.
    pub fn setting_name(&self) -> Option<String> {
        match self {
            PartId::Setting(setting) => Some(setting.name().to_owned()),
            PartId::Profile(identifier) => Some(format!("apple.profiles[{identifier}]")),
            PartId::Csp(path) => Some(format!("windows.csp[{path}]")),
            PartId::Settings | PartId::Document => None,
        }
    }
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum PartContent {
    /// Typed settings in the order of [`Setting`]: all of them on Apple, exactly one on Windows.
    Settings(Vec<Value>),
    /// XML plist, unsigned.
    AppleProfile {
        identifier: String,
        bytes: Vec<u8>,
    },
    WindowsCsp {
        path: String,
        format: CspFormat,
        data: String,
    },
    /// Elements that typed settings say as well are not among `elements`. What neither names must be sent as the default.
    ActiveSync {
        values: Vec<Value>,
        elements: BTreeMap<String, String>,
    },
}

impl PartContent {
    /// The first half of SHA-256 in hexadecimal: kept of each part of each device, so short, and nobody finds another content of the same.
    pub(super) fn hash(&self) -> String {
        let mut framed = Framed(Vec::new());
        match self {
            PartContent::Settings(values) => framed.field("settings").values(values),
            PartContent::AppleProfile { identifier, bytes } => framed.field("profile").field(identifier).field(bytes),
            PartContent::WindowsCsp { path, format, data } => {
                framed.field("csp").field(path).field(format.as_str()).field(data)
            }
            PartContent::ActiveSync { values, elements } => {
                let framed = framed.field("document").values(values);
                elements.iter().fold(framed, |framed, (name, value)| framed.field(name).field(value))
            }
        };
        openssl::sha::sha256(&framed.0).iter().take(HASHED).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Fields with their lengths before them, so that no two contents look alike to the hash.
struct Framed(Vec<u8>);

impl Framed {
    fn field(&mut self, field: impl AsRef<[u8]>) -> &mut Self {
        let field = field.as_ref();
        self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    fn values(&mut self, values: &[Value]) -> &mut Self {
        self.field((values.len() as u64).to_be_bytes());
        values.iter().fold(self, |framed, value| framed.field(value.setting().name()).field(value.to_string()))
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartId::Settings => f.write_str("settings"),
            PartId::Setting(setting) => write!(f, "setting:{}", setting.name()),
            PartId::Profile(identifier) => write!(f, "profile:{identifier}"),
            PartId::Csp(path) => write!(f, "csp:{path}"),
            PartId::Document => f.write_str("document"),
        }
    }
}

/// A text that names no part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no part of a policy")]
pub struct NoSuchPart(pub(super) String);

impl FromStr for PartId {
    type Err = NoSuchPart;

    fn from_str(text: &str) -> Result<PartId, NoSuchPart> {
        let unknown = || NoSuchPart(text.to_owned());
        match text.split_once(':') {
            None if text == "settings" => Ok(PartId::Settings),
            None if text == "document" => Ok(PartId::Document),
            Some(("setting", name)) => Setting::from_name(name).map(PartId::Setting).ok_or_else(unknown),
            Some(("profile", identifier)) => Ok(PartId::Profile(identifier.to_owned())),
            Some(("csp", path)) => Ok(PartId::Csp(path.to_owned())),
            _ => Err(unknown()),
        }
    }
}

impl Serialize for PartId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PartId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PartId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_is_one_place_however_it_is_written() {
        let place = |id: &str| id.parse::<PartId>().unwrap().place().into_owned();
        let wifi = "./Device/Vendor/MSFT/WiFi/Profile";
        assert_eq!(place(&format!("csp:{wifi}/Office net/WlanXml")), format!("{wifi}/Office%20net/WlanXml"));
        assert_eq!(place(&format!("csp:{wifi}/Office%20net/WlanXml")), format!("{wifi}/Office%20net/WlanXml"));
        assert_ne!(
            place(&format!("csp:{wifi}/office/WlanXml")),
            place(&format!("csp:{wifi}/Office/WlanXml")),
            "case counts"
        );
        assert_eq!(place("setting:camera"), "./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera");
    }

    #[test]
    fn ids_go_through_text_and_json() {
        for id in ["settings", "setting:camera", "profile:a:b", "csp:./Device/x", "document"] {
            let parsed: PartId = id.parse().unwrap();
            assert_eq!(parsed.to_string(), id);
            let map = BTreeMap::from([(parsed, 1)]);
            let json = serde_json::to_string(&map).unwrap();
            assert_eq!(json, format!("{{\"{id}\":1}}"));
            assert_eq!(serde_json::from_str::<BTreeMap<PartId, i32>>(&json).unwrap(), map);
        }
        assert!("setting:x".parse::<PartId>().is_err() && "".parse::<PartId>().is_err());
    }
}
