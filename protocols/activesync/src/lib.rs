//! Exchange ActiveSync for a gateway: bytes to typed messages and back, without I/O.
//!
//! A gateway stands between mail clients and the mail server. It reads who asks for what ([`request`]), decides
//! whether that may pass ([`state::judge`]), answers Provision itself ([`provision`], [`state`], [`policy`]), holds
//! who is not let in yet with a notice ([`quarantine`]), and refuses in the form that the client's version expects
//! ([`status`]). What it passes on it does not read.

pub mod autodiscover;
pub mod command;
pub mod options;
pub mod packed;
pub mod pages;
pub mod ping;
pub mod policy;
pub mod provision;
pub mod quarantine;
pub mod request;
pub mod settings;
pub mod state;
pub mod status;
pub mod sync;
pub mod user_information;
pub mod version;

use lanyard_wbxml::{Document, Element, Header, Limits, Tag};

pub use command::Command;
pub use request::{DeviceId, Presented, Request};
pub use status::{Answer, Status};
pub use version::Version;

/// A policy key: a random number that is never 0, new in each round. It says which policy a client holds; whoever
/// reads it can claim to comply, no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PolicyKey(std::num::NonZeroU32);

impl PolicyKey {
    /// `None` for 0, which means "no key" on the wire.
    pub fn new(key: u32) -> Option<PolicyKey> {
        std::num::NonZeroU32::new(key).map(PolicyKey)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

/// Which edition of a policy: the server's own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// Why a request cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not WBXML that we take.
    #[error("body is not WBXML: {0}")]
    Wbxml(#[from] lanyard_wbxml::Error),
    /// The body is a document of another command.
    #[error("document is {got}, {want} was expected")]
    Root {
        /// What the command asks for.
        want: &'static str,
        /// What came.
        got: String,
    },
    /// The packed query ends too early.
    #[error("{field}: query ends at byte {at}")]
    Short {
        /// What was being read.
        field: &'static str,
        /// Where the query ends.
        at: usize,
    },
    /// A field of the packed query of a length that it cannot have.
    #[error("{field}: {got} bytes")]
    Length {
        /// Which field.
        field: &'static str,
        /// Its length.
        got: usize,
    },
    /// The query is neither `Cmd=…` nor base64.
    #[error("query is neither Cmd=… nor base64")]
    Query,
    /// The query names something twice: gateway and mail server might read different ones.
    #[error("{0} stands twice in the query")]
    Twice(&'static str),
    /// No such command.
    #[error("unknown command {0}")]
    Command(String),
    /// No version header, or one that is not spoken here.
    #[error("unknown protocol version {0:?}")]
    Version(String),
    /// Missing, too long or with characters that no client uses.
    #[error("DeviceId is missing or not valid")]
    DeviceId,
    /// Missing, too long or with characters that no client uses.
    #[error("DeviceType is missing or not valid")]
    DeviceType,
    /// A policy element that does not exist.
    #[error("unknown policy element {0}")]
    UnknownElement(String),
    /// A value that a policy element does not take.
    #[error("{element}: {value:?} is not {allowed}")]
    Value {
        /// The element.
        element: &'static str,
        /// As given.
        value: String,
        /// What would do.
        allowed: String,
    },
    /// The Autodiscover request is not XML that we take.
    #[error("autodiscover request: {0}")]
    Autodiscover(String),
}

impl Error {
    /// The common status for it; see [`status::refusal`].
    pub fn status(&self) -> Status {
        match self {
            Error::Wbxml(_) => Status::INVALID_WBXML,
            Error::Root { .. } => Status::INVALID_XML,
            Error::Command(_) => Status::COMMAND_NOT_SUPPORTED,
            Error::Version(_) => Status::VERSION_NOT_SUPPORTED,
            Error::DeviceId => Status::DEVICE_ID,
            Error::DeviceType => Status::DEVICE_TYPE,
            _ => Status::INVALID_CONTENT,
        }
    }
}

/// What is taken of a body that we interpret: 256 kB.
pub const LIMITS: Limits = Limits::SMALL;

/// Reads a body and checks its root element.
pub(crate) fn decode(body: &[u8], root: Tag) -> Result<Element, Error> {
    let Document { root: found, .. } = lanyard_wbxml::decode(body, &pages::PAGES, &LIMITS)?;
    if found.tag == root {
        return Ok(found);
    }
    Err(Error::Root { want: root.name.unwrap_or_default(), got: found.tag.to_string() })
}

pub(crate) fn encode(root: &Element) -> Vec<u8> {
    lanyard_wbxml::encode(&Header::ACTIVESYNC, root)
}
