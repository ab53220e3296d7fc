//! Reports: what a device PUTs to ServerURL. A poll (Idle), or the result of one command. The answer is the next
//! command, or 200 without a byte.

mod applications;
mod device_information;
mod profile_list;
mod security_info;

pub use applications::{InstalledApplication, ManagedApplication};
pub use device_information::DeviceInformation;
pub use profile_list::InstalledProfile;
pub use security_info::SecurityInfo;

use crate::{
    error::{Error, cut},
    plist::{self, Dict, Value},
    sender::Channel,
};

/// How a device is, or how a command went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It asks whether there is something to do.
    Idle,
    /// Done; for an erase or an app, accepted.
    Acknowledged,
    /// Failed: see the chain.
    Error,
    /// Not understood.
    CommandFormatError,
    /// Cannot now, and has forgotten the command. It asks again by itself only where this was its last status.
    NotNow,
}

/// One report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who.
    pub channel: Channel,
    /// How it is or went.
    pub status: Status,
    /// The command that this is the result of; always there unless Idle.
    pub command_uuid: Option<String>,
    /// Why it failed, the nearest reason first. Empty unless [`Status::Error`], and may be empty then.
    pub errors: Vec<ChainItem>,
    /// What is wrong with the message, where a value in it is spoilt: the rest counts.
    pub spoilt: Option<Error>,
    /// The whole message; the accessors read the answers to commands from it.
    pub body: Dict,
}

/// One reason in the chain; devices differ in which of these they give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainItem {
    /// Within its domain; 12007 of MCMDMErrorDomain: AccessRights lack the command.
    pub code: Option<i64>,
    /// `MCMDMErrorDomain`.
    pub domain: Option<String>,
    /// In the device's language.
    pub localized: Option<String>,
    /// In English.
    pub english: Option<String>,
}

/// Links of a chain that are kept.
const MAX_CHAIN: usize = 16;

impl Report {
    /// Reads a body that is known to be a report; [`crate::Body::parse`] finds out what a body is.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        match plist::parse_dict(bytes) {
            Ok(body) => Self::read(body),
            Err(error) => Self::read_spoilt(bytes, error),
        }
    }

    /// What a device says of a command is worth more than a name in it that cannot be read; else it says so for ever.
    pub(crate) fn read_spoilt(bytes: &[u8], error: Error) -> Result<Self, Error> {
        let body = plist::parse_spoilt(bytes).map_err(|_| error.clone())?;
        if body.get("MessageType").is_some() {
            return Err(error);
        }
        Ok(Self { spoilt: Some(error), ..Self::read(body)? })
    }

    pub(crate) fn read(body: Dict) -> Result<Self, Error> {
        let channel = Channel::read(&body)?;
        let status = Status::parse(body.need_text("Status")?)?;
        let command_uuid = match body.opt_text("CommandUUID")?.filter(|uuid| !uuid.is_empty()) {
            Some(uuid) if uuid.len() > 255 => {
                return Err(Error::BadValue { field: "CommandUUID", why: "longer than 255 bytes" });
            }
            None if status != Status::Idle => return Err(Error::Missing { field: "CommandUUID" }),
            uuid => uuid.map(str::to_owned),
        };
        let errors = chain(&body);
        Ok(Self { channel, status, command_uuid, errors, spoilt: None, body })
    }

    /// A report without an answer to a query, as the device would send it.
    pub fn simple(channel: Channel, status: Status, command_uuid: Option<&str>) -> Self {
        let dict = channel.write(Dict::new().with("Status", status.name())).with_opt("CommandUUID", command_uuid);
        Self {
            channel,
            status,
            command_uuid: command_uuid.map(str::to_owned),
            errors: Vec::new(),
            spoilt: None,
            body: dict,
        }
    }

    /// The same with one more key, such as the answer to a query.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body.set(key, value);
        self
    }

    /// As it goes over the wire.
    pub fn encode(self) -> Vec<u8> {
        self.body.to_xml()
    }

    /// The chain as one line, in English where there is some; empty without a chain.
    pub fn error_text(&self) -> String {
        self.errors.iter().map(ChainItem::to_string).collect::<Vec<_>>().join("; ")
    }

    /// DeviceLock's MessageResult: `Success`, `NoPasscodeSet` …
    pub fn message_result(&self) -> Option<&str> {
        self.body.text("MessageResult")
    }

    /// The report on the first item of Settings that was refused, as if it were on the whole: a device acknowledges the command, and
    /// says of each item whether it was set. None where nothing was refused.
    pub fn refused_setting(&self) -> Option<Self> {
        let said = self.body.get("Settings")?;
        // Apple's schema has one dictionary here, its older reference a list with one for each item asked.
        let items = said.as_array().unwrap_or(std::slice::from_ref(said)).iter().filter_map(Value::as_dict);
        let is_refused = |item: &&Dict| item.text("Status").is_some_and(|s| s != Status::Acknowledged.name());
        let refused = items.into_iter().find(is_refused)?;
        Some(Self { status: Status::Error, errors: chain(refused), ..self.clone() })
    }

    /// The answer to DeviceInformation.
    pub fn device_information(&self) -> Option<DeviceInformation> {
        self.body.dict("QueryResponses").map(DeviceInformation::read)
    }

    /// The answer to SecurityInfo.
    pub fn security_info(&self) -> Option<SecurityInfo> {
        self.body.dict("SecurityInfo").map(SecurityInfo::read)
    }

    /// The answer to ProfileList; what has no identifier is left out.
    pub fn profile_list(&self) -> Option<Vec<InstalledProfile>> {
        let list = self.body.get("ProfileList")?.as_array()?;
        Some(list.iter().filter_map(Value::as_dict).filter_map(InstalledProfile::read).collect())
    }

    /// The answer to InstalledApplicationList; what has no identifier is left out.
    pub fn installed_applications(&self) -> Option<Vec<InstalledApplication>> {
        let list = self.body.get("InstalledApplicationList")?.as_array()?;
        Some(list.iter().filter_map(Value::as_dict).filter_map(InstalledApplication::read).collect())
    }

    /// The answer to ManagedApplicationList.
    pub fn managed_applications(&self) -> Option<Vec<ManagedApplication>> {
        let list = self.body.dict("ManagedApplicationList")?;
        Some(list.iter().filter_map(|(id, app)| ManagedApplication::read(id, app)).collect())
    }
}

impl Status {
    fn parse(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "Idle" => Self::Idle,
            "Acknowledged" => Self::Acknowledged,
            "Error" => Self::Error,
            "CommandFormatError" => Self::CommandFormatError,
            "NotNow" => Self::NotNow,
            other => return Err(Error::UnknownStatus(cut(other))),
        })
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Acknowledged => "Acknowledged",
            Self::Error => "Error",
            Self::CommandFormatError => "CommandFormatError",
            Self::NotNow => "NotNow",
        }
    }
}

/// The chain is for people: a strange one must not cost the result.
fn chain(dict: &Dict) -> Vec<ChainItem> {
    dict.array("ErrorChain").iter().filter_map(Value::as_dict).take(MAX_CHAIN).map(ChainItem::read).collect()
}

impl ChainItem {
    fn read(dict: &Dict) -> Self {
        let text = |key| dict.text(key).map(cut_long);
        Self {
            code: dict.int("ErrorCode"),
            domain: text("ErrorDomain"),
            localized: text("LocalizedDescription"),
            english: text("USEnglishDescription"),
        }
    }
}

/// `MCMDMErrorDomain 12007: The MDM server may not do this`.
impl std::fmt::Display for ChainItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.domain.as_deref().unwrap_or("error"))?;
        if let Some(code) = self.code {
            write!(f, " {code}")?;
        }
        match self.english.as_deref().or(self.localized.as_deref()) {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

/// What a device explains at length is kept to a paragraph.
fn cut_long(text: &str) -> String {
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests;
