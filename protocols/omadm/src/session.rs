//! A DM session as a value: messages of the client come in, what they mean and our answer go out.
//! [OMA DM Protocol 1.2.1] 8, [MS-MDM] 3.
//!
//! A message is taken in two steps, since what is due next may depend on what the device has just answered:
//!
//! 1. [`Session::receive`] reads the message and says what it means ([`Output`]).
//! 2. The caller notes that, asks its queue for as much as [`Turn::accepts`] allows, and calls [`Turn::answer`].
//!
//! The session between two messages is a serialisable value of at most [`MAX_STATE_BYTES`]; it belongs to one
//! enrolment and one SessionID, never to a SessionID alone: a device counts those from 1 again when it enrols anew. It
//! must be stored before the answer leaves, unless [`Session::is_idle`]. Over mutual TLS the enrolment's certificate
//! is the login, so nobody is challenged here and the first message counts at once.

mod answer;
mod chunk;
mod in_flight;
mod op;
mod output;
mod receive;
mod validate;

pub use answer::{Accepts, Answer, Turn};
pub use op::{Due, Format, Op, OpItem};
pub use output::{ClientEvent, LoginStatus, Lost, NotSent, Output, SyncType};

use serde::{Deserialize, Serialize};

use crate::syncml::Status;
use chunk::Chunk;
use in_flight::InFlight;

/// Upper bound on a session as JSON, in bytes.
pub const MAX_STATE_BYTES: usize = 3 * 1024 * 1024;
/// Longest answer of ours, in bytes; operations that do not fit wait or are refused.
pub const MAX_ANSWER_BYTES: usize = 512 * 1024;
/// The smallest MaxMsgSize of a client that is believed, in bytes: what says less, or 0, counts as this. It holds each operation of ours that
/// is no value of a policy's.
pub const MIN_CLIENT_LIMIT: usize = 4 * 1024;
/// Largest object that is put together from chunks, in bytes.
pub const MAX_OBJECT_BYTES: usize = 512 * 1024;
/// Nodes in all the operations that one answer hands out.
pub const MAX_NODES_IN_FLIGHT: usize = 128;
/// Messages of one session; then it is broken off, so that no client keeps one going for ever.
pub const MAX_MESSAGES: u32 = 1_000;
/// Statuses kept back while a package is unfinished.
const MAX_HELD: usize = 1_000;

/// What is known of a session between two messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    session_id: String,
    /// MsgID of the client's last message, 0 before the first.
    heard: u32,
    /// Fingerprint of that message, to tell a repeat from a session begun anew.
    heard_digest: u64,
    /// MsgID of our last message.
    said: u32,
    /// Messages taken in all; MsgID itself is the client's to choose.
    taken: u32,
    login: LoginStatus,
    /// The largest message that the client takes, where it says so.
    client_limit: Option<u64>,
    in_flight: Vec<InFlight>,
    chunk: Option<Chunk>,
    /// Answers to a package whose end has not come.
    held: Vec<HeldStatus>,
    last: Option<Answer>,
    /// Whose nodes it is for.
    #[serde(default)]
    sync: SyncType,
}

impl Session {
    /// A session of which nothing was heard.
    pub fn new() -> Session {
        Session::default()
    }

    /// Nothing is lost by not storing it: no operation waits for an answer, no package is unfinished. A repeat of the
    /// message then simply gets the same answer from a new session.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.chunk.is_none() && self.held.is_empty() && self.said <= 1
    }

    /// The operations that were handed out and are not answered.
    pub fn unanswered(&self) -> impl Iterator<Item = &str> {
        self.in_flight.iter().filter(|op| !op.is_answered()).map(|op| op.op.as_str())
    }

    /// Who is logged in at the device, as far as it has said.
    pub fn login(&self) -> LoginStatus {
        self.login
    }
}

/// A Status that waits for the end of the client's package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HeldStatus {
    msg_ref: u32,
    cmd_ref: String,
    cmd: String,
    code: u16,
}

impl HeldStatus {
    fn into_status(self, cmd_id: u32) -> Status {
        Status {
            cmd_id: cmd_id.to_string(),
            msg_ref: self.msg_ref,
            cmd_ref: self.cmd_ref,
            cmd: self.cmd,
            target_refs: Vec::new(),
            source_refs: Vec::new(),
            chal: None,
            code: self.code,
            items: Vec::new(),
        }
    }
}

/// Bytes as base64 in whatever form the session is stored.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
