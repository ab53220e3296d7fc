//! One mechanism for all channels: what a device must have is cut into parts, each sent, answered and taken away alone.
//!
//! Apple: one part of all typed settings, one for each raw profile. Windows: one for each setting and each raw node.
//! ActiveSync: one document. How a part looks on the wire is the channel's to know.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::effective::Effective;
use super::file::CspFormat;
use super::setting::{Channel, Platform, Setting, Value};
use super::support::{Support, support};

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

/// A part with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which one.
    pub id: PartId,
    /// SHA-256 of the content in hex: equal for equal content, whatever policies it came from.
    pub hash: String,
    /// The settings it carries, as the policy file and coverage name them.
    pub settings: Vec<String>,
    /// What to send.
    pub content: PartContent,
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

/// The parts that a device of that platform must have over that channel. Values that the platform cannot enforce at
/// all, or always does, are left out: coverage says so with nothing sent.
pub fn desired(effective: &Effective, channel: Channel, platform: Platform) -> BTreeMap<PartId, Part> {
    let sendable = |value: &Value| !matches!(support(channel, platform, *value), Support::No(_) | Support::Always(_));
    let values: Vec<Value> = effective.values().into_iter().filter(sendable).collect();
    let parts = match channel {
        Channel::Apple => apple(effective, values),
        Channel::Omadm => windows(effective, values),
        Channel::Activesync => activesync(effective, values),
    };
    parts.into_iter().map(|part| (part.id.clone(), part)).collect()
}

fn apple(effective: &Effective, values: Vec<Value>) -> Vec<Part> {
    let typed = (!values.is_empty()).then(|| part(PartId::Settings, names(&values), PartContent::Settings(values)));
    let profiles = effective.apple_profiles.iter().map(|(identifier, raw)| {
        let bytes = raw.content.bytes.clone();
        part(
            PartId::Profile(identifier.clone()),
            vec![format!("apple.profiles[{identifier}]")],
            PartContent::AppleProfile { identifier: identifier.clone(), bytes },
        )
    });
    typed.into_iter().chain(profiles).collect()
}

fn windows(effective: &Effective, values: Vec<Value>) -> Vec<Part> {
    let typed = values.into_iter().map(|value| {
        let setting = value.setting();
        part(PartId::Setting(setting), vec![setting.name().to_owned()], PartContent::Settings(vec![value]))
    });
    let nodes = effective.windows_csp.iter().map(|(path, raw)| {
        let (format, data) = (raw.content.format, raw.content.data.clone());
        part(
            PartId::Csp(path.clone()),
            vec![format!("windows.csp[{path}]")],
            PartContent::WindowsCsp { path: path.clone(), format, data },
        )
    });
    typed.chain(nodes).collect()
}

fn activesync(effective: &Effective, values: Vec<Value>) -> Vec<Part> {
    let elements: BTreeMap<String, String> =
        effective.activesync.iter().map(|(name, raw)| (name.clone(), raw.content.clone())).collect();
    if values.is_empty() && elements.is_empty() {
        return Vec::new();
    }
    let raw = elements.keys().map(|name| format!("activesync.{name}"));
    let settings = names(&values).into_iter().chain(raw).collect();
    vec![part(PartId::Document, settings, PartContent::ActiveSync { values, elements })]
}

fn names(values: &[Value]) -> Vec<String> {
    values.iter().map(|value| value.setting().name().to_owned()).collect()
}

fn part(id: PartId, settings: Vec<String>, content: PartContent) -> Part {
    Part { id, hash: content.hash(), settings, content }
}

impl PartContent {
    fn hash(&self) -> String {
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
        openssl::sha::sha256(&framed.0).iter().map(|byte| format!("{byte:02x}")).collect()
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
pub struct NoSuchPart(String);

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
    use super::super::bounds::{check, check_remove, test_profile};
    use super::super::effective::effective;
    use super::super::file::PolicyFile;
    use super::*;

    fn whole() -> Effective {
        let profile = test_profile("com.example.wifi", "com.apple.wifi.managed", "");
        let text = format!(
            "name: a\nassign: all\npasscode: {{min_length: 8}}\nencryption: required\ncamera: blocked\n\
             apple: {{profiles: ['{profile}']}}\nactivesync: {{AllowBluetooth: 0}}\n\
             windows: {{csp: [{{path: ./Vendor/MSFT/Policy/Config/WiFi/AllowInternetSharing, data: 0}}]}}\n"
        );
        effective([&PolicyFile::parse(&text).unwrap()])
    }

    #[test]
    fn each_channel_cuts_its_own_way() {
        let ids = |channel, platform| -> Vec<String> {
            desired(&whole(), channel, platform).keys().map(ToString::to_string).collect()
        };
        assert_eq!(ids(Channel::Apple, Platform::Ios), ["settings", "profile:com.example.wifi"]);
        assert_eq!(
            ids(Channel::Omadm, Platform::Windows),
            [
                "setting:passcode.required",
                "setting:passcode.min_length",
                "setting:encryption",
                "setting:camera",
                "csp:./Device/Vendor/MSFT/Policy/Config/Wifi/AllowInternetSharing",
            ]
        );
        assert_eq!(ids(Channel::Activesync, Platform::Android), ["document"]);
    }

    #[test]
    fn what_a_platform_cannot_do_is_not_sent() {
        let parts = desired(&whole(), Channel::Apple, Platform::Ios);
        assert_eq!(
            parts[&PartId::Settings].content,
            PartContent::Settings(vec![
                Value::PasscodeRequired,
                Value::PasscodeMinLength(8),
                Value::Camera(super::super::setting::Camera::Blocked),
            ]),
            "an iPhone is always encrypted"
        );
        let television = desired(&whole(), Channel::Apple, Platform::Tvos);
        assert_eq!(television[&PartId::Settings].settings, ["camera"]);
    }

    #[test]
    fn parts_pass_the_bounds_again() {
        for (channel, platform) in [
            (Channel::Apple, Platform::Ios),
            (Channel::Omadm, Platform::Windows),
            (Channel::Activesync, Platform::Other),
        ] {
            for (id, part) in desired(&whole(), channel, platform) {
                assert_eq!(check(&part.content), Ok(()), "{id}");
                assert_eq!(check_remove(&id), Ok(()), "{id}");
            }
        }
        for id in ["profile:org.lanyard.enrolment", "csp:./Device/Vendor/MSFT/RemoteWipe/doWipe", "csp:./x"] {
            assert!(check_remove(&id.parse().unwrap()).is_err(), "{id}");
        }
        let stale = PartContent::WindowsCsp {
            path: "./Device/Vendor/MSFT/RemoteWipe/doWipe".into(),
            format: CspFormat::Chr,
            data: String::new(),
        };
        assert!(check(&stale).is_err());
    }

    #[test]
    fn hashes_follow_the_content_alone() {
        let parts =
            |text: &str| desired(&effective([&PolicyFile::parse(text).unwrap()]), Channel::Activesync, Platform::Other);
        let hash = |text: &str| parts(text)[&PartId::Document].hash.clone();
        let first = hash("name: a\nassign: all\npasscode: {min_length: 8}\n");
        assert_eq!(first.len(), 64);
        assert_eq!(first, hash("name: b\nassign: [x]\npasscode: {required: true, min_length: 8}\n"));
        assert_ne!(first, hash("name: a\nassign: all\npasscode: {min_length: 9}\n"));
        assert_ne!(first, hash("name: a\nassign: all\npasscode: {min_length: 8}\nactivesync: {AllowWiFi: 1}\n"));
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
