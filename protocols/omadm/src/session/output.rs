//! What a message of the client means to the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::syncml::Spoilt;

/// One thing that a message told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Values of ./DevInfo, by the path below it (`DevId`, `Man`, `Mod`, `DmV`, `Lang`, `Ext/…`).
    DeviceInfo(BTreeMap<String, String>),
    /// Who is logged in at the device.
    Login(LoginStatus),
    /// The device leaves: its user, or our own Unenroll, ended the enrolment.
    Unenrolled,
    /// Another alert of the device.
    Event(ClientEvent),
    /// How an operation went, once per operation (or per node, where it has several). 200 for an Exec means accepted.
    OpStatus {
        /// The operation.
        op: String,
        /// Which of its nodes, where it has several.
        uri: Option<String>,
        /// 200 and its like.
        code: u16,
    },
    /// A value that an operation asked for, once per node.
    OpResult {
        /// The operation.
        op: String,
        /// The node, spelt as it was asked for.
        uri: String,
        /// Meta/Format; `chr` where the device says none.
        format: String,
        /// The value.
        data: String,
    },
    /// An operation was handed out and no (further) answer will come in this session. Whether it was done is unknown.
    OpLost {
        /// The operation.
        op: String,
        /// Why.
        why: Lost,
    },
    /// An operation was not handed out after all; it is still to be done, or never can be.
    OpNotSent {
        /// The operation or group.
        op: String,
        /// Why.
        why: NotSent,
    },
    /// A part of the message could not be read; the rest of it counts.
    Unreadable {
        /// The operation that it answers, where that could be read.
        op: Option<String>,
        /// What.
        spoilt: Spoilt,
    },
    /// The client broke the session off (1223).
    Aborted,
    /// The client sent its last message again; it gets the same bytes again, and nothing else has happened.
    RepeatOfLast,
    /// The client sent an older message again, or one out of order; nothing has happened.
    OutOfOrder,
    /// The client began the session anew under the same SessionID.
    Restarted,
    /// Our answer asks for nothing: the session ends with it.
    SessionEnded,
}

/// Why no answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The client broke the session off.
    Aborted,
    /// The client refused our message as a whole, with this code.
    HeaderRefused(u16),
    /// The client began the session anew.
    Restarted,
    /// The client ended its package without a Status for it.
    NoStatus,
    /// The Status was good, but the value never came: Windows drops results over the size limit.
    NoResult,
}

/// Why an operation did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// Nothing may be sent in this turn ([`super::Accepts::Nothing`]): hand it out again later.
    #[error("the session takes no operation now")]
    NotNow,
    /// It concerns a user, and no user is logged in: hand it out again later.
    #[error("no user is logged in")]
    NoUser,
    /// It concerns the device, and the session is for a user alone: hand it out again in another.
    #[error("the session is for a user alone")]
    NoDevice,
    /// The message is full: hand it out again for the next one.
    #[error("the message is full")]
    NoRoom,
    /// It alone is larger than the client or we allow: it can never be sent.
    #[error("larger than a message may be")]
    TooLarge,
    /// Never: no node, or a LocURI that is empty, too long, or starts with `/`.
    #[error("not a LocURI")]
    BadUri,
    /// Never: nodes of device and user in one command or group.
    #[error("device and user nodes in one command")]
    MixedScope,
    /// Never: what Windows refuses in Atomic: Get, or Add then Replace of one node.
    #[error("not allowed within Atomic")]
    Atomic,
    /// Never: a value with characters that XML cannot carry.
    #[error("a character that XML cannot carry")]
    Unencodable,
}

impl NotSent {
    /// Whether handing it out again later can succeed.
    pub fn is_temporary(self) -> bool {
        matches!(self, NotSent::NotNow | NotSent::NoUser | NotSent::NoDevice | NotSent::NoRoom)
    }
}

/// What Windows says of the login with each session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginStatus {
    /// Nothing was said.
    #[default]
    Unknown,
    /// The user who enrolled is logged in: user nodes can be used.
    User,
    /// Somebody else is.
    Others,
    /// Nobody is.
    None,
}

/// Whose nodes a session is for. What is not among them is answered 405, which refuses nothing: it belongs into another session.
/// [MS-MDM] 3.2.5.1.5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncType {
    /// The device's and the user's; also where nothing is said.
    #[default]
    Mixed,
    /// The user's alone.
    User,
    /// The device's alone.
    Device,
}

impl SyncType {
    pub(super) fn named(text: &str) -> Option<SyncType> {
        match text.trim().to_ascii_lowercase().as_str() {
            "user" => Some(SyncType::User),
            "device" => Some(SyncType::Device),
            "mixed" => Some(SyncType::Mixed),
            _ => None,
        }
    }
}

impl LoginStatus {
    pub(super) fn named(text: &str) -> Option<LoginStatus> {
        match text.trim().to_ascii_lowercase().as_str() {
            "user" => Some(LoginStatus::User),
            "others" => Some(LoginStatus::Others),
            "none" => Some(LoginStatus::None),
            _ => None,
        }
    }
}

/// An alert of the device that is not about the session itself, as the end of an asynchronous Exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientEvent {
    /// 1224 or 1226.
    pub code: u32,
    /// Meta/Type.
    pub kind: Option<String>,
    /// Meta/Mark.
    pub mark: Option<String>,
    /// The node it is about.
    pub source: Option<String>,
    /// That of our Exec.
    pub correlator: Option<String>,
    /// Details.
    pub data: Option<String>,
}
