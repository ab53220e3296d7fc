//! SyncHdr: versions, session, message number, the two ends, credentials. [OMA RepPro] 6.5.

use std::fmt;

use super::{Meta, Notes, leaf, need, need_text, number, parent};
use crate::Error;
use crate::xml::Element;

/// Longest SessionID, CmdID or LocURI that is taken, in bytes.
const MAX_NAME: usize = 4_096;

/// The head of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SyncHdr {
    /// `1.2`.
    pub ver_dtd: String,
    /// `DM/1.2`.
    pub ver_proto: String,
    /// Chosen by the client and echoed; not a number to us.
    pub session_id: String,
    /// Each side counts its own messages from 1.
    pub msg_id: u32,
    /// To whom.
    pub target: Location,
    /// From whom: the client's DeviceID, or our address.
    pub source: Location,
    /// Where the answer should go instead of the same connection. Read, and never followed.
    pub resp_uri: Option<String>,
    /// No Status is wanted for anything in the message.
    pub no_resp: bool,
    /// Login of a client that has no certificate.
    pub cred: Option<Cred>,
    /// The sender's limits.
    pub meta: Meta,
}

impl SyncHdr {
    /// What the session does without need not be readable: credentials, and the sender's limits.
    pub(super) fn from_tree(element: &Element<'_>, notes: &mut Notes) -> Result<SyncHdr, Error> {
        const HERE: &str = "SyncHdr";
        let session_id = need_text(element, HERE, "SessionID")?;
        if session_id.len() > 256 {
            return Err(Error::Limit { what: "bytes of SessionID", limit: 256 });
        }
        let msg_id = number(&need_text(element, HERE, "MsgID")?, "MsgID")?;
        if msg_id == 0 {
            return Err(Error::Value { element: "MsgID", reason: "counts from 1" });
        }
        notes.look(element);
        Ok(SyncHdr {
            ver_dtd: need_text(element, HERE, "VerDTD")?,
            ver_proto: need_text(element, HERE, "VerProto")?,
            session_id,
            msg_id,
            target: Location::from_tree(need(element, HERE, "Target")?)?,
            source: Location::from_tree(need(element, HERE, "Source")?)?,
            resp_uri: element.child_text("RespURI").map(str::to_owned),
            no_resp: element.child("NoResp").is_some(),
            cred: Cred::of(element, notes),
            meta: Meta::of(element, element, notes),
        })
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        let mut children = vec![
            leaf("VerDTD", self.ver_dtd.as_str()),
            leaf("VerProto", self.ver_proto.as_str()),
            leaf("SessionID", self.session_id.as_str()),
            leaf("MsgID", self.msg_id.to_string()),
            self.target.to_tree("Target"),
            self.source.to_tree("Source"),
        ];
        children.extend(self.resp_uri.as_deref().map(|uri| leaf("RespURI", uri)));
        children.extend(self.no_resp.then(|| parent("NoResp", [])));
        children.extend(self.cred.as_ref().map(Cred::to_tree));
        children.extend(self.meta.to_tree());
        parent("SyncHdr", children)
    }
}

/// An address with, sometimes, a name to show: in a Source the login name of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// LocURI.
    pub uri: String,
    /// LocName.
    pub name: Option<String>,
}

impl Location {
    /// An address without a name.
    pub fn of(uri: impl Into<String>) -> Location {
        Location { uri: uri.into(), name: None }
    }

    pub(super) fn from_tree(element: &Element<'_>) -> Result<Location, Error> {
        let uri = need(element, "Target or Source", "LocURI")?.trimmed();
        if uri.len() > MAX_NAME {
            return Err(Error::Limit { what: "bytes of LocURI", limit: MAX_NAME });
        }
        Ok(Location { uri: uri.to_owned(), name: element.child_text("LocName").map(str::to_owned) })
    }

    pub(super) fn to_tree(&self, name: &'static str) -> Element<'_> {
        let mut children = vec![leaf("LocURI", self.uri.as_str())];
        children.extend(self.name.as_deref().map(|name| leaf("LocName", name)));
        parent(name, children)
    }
}

/// Credentials: `syncml:auth-basic` or `syncml:auth-md5` in `meta.kind`. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cred {
    /// Scheme and format.
    pub meta: Meta,
    /// As sent, for both schemes in base64.
    pub data: String,
}

impl fmt::Debug for Cred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cred").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Cred {
    fn of(header: &Element<'_>, notes: &mut Notes) -> Option<Cred> {
        let cred = header.child("Cred")?;
        let data = notes.take(header, need(cred, "Cred", "Data"))?.trimmed().to_owned();
        Some(Cred { meta: Meta::of(cred, header, notes), data })
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        let mut children: Vec<_> = self.meta.to_tree().into_iter().collect();
        children.push(leaf("Data", self.data.as_str()));
        parent("Cred", children)
    }
}
