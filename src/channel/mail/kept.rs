//! What an enrolment's channel state keeps of its user's mail server.

use crate::clock::Timestamp;
use lanyard_activesync::PolicyKey;
use serde::{Deserialize, Serialize};

/// Where an enrolment's channel state keeps what the mail server's own policy gave.
pub(super) const FOREIGN: &str = "mail_server_key";
/// Where an enrolment's channel state keeps the server that the mail server named for its user.
pub(super) const MOVED: &str = "mail_server";

/// What came of the last time that we provisioned with the mail server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Foreign {
    /// `None`: it gave none.
    pub(super) key: Option<PolicyKey>,
    pub(super) at: Timestamp,
}

impl Foreign {
    pub(super) fn key(&self) -> Option<PolicyKey> {
        self.key
    }
}
