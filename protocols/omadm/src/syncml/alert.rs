//! Alert: session events and events on the device. [OMA RepPro] 6.6.2, [OMA DM Protocol] 8.7.

use super::{Item, Notes, leaf, need_text, number, parent};
use crate::Error;
use crate::xml::Element;

/// An alert and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alert {
    /// Number of the command within its message.
    pub cmd_id: String,
    /// No Status is wanted.
    pub no_resp: bool,
    /// What kind of alert: see the constants.
    pub code: u32,
    /// Ties the alert to an Exec of ours that had the same one.
    pub correlator: Option<String>,
    /// What it is about.
    pub items: Vec<Item>,
}

impl Alert {
    /// The session was started by our trigger.
    pub const SERVER_INITIATED: u32 = 1200;
    /// The session was started by the client.
    pub const CLIENT_INITIATED: u32 = 1201;
    /// The next message of the package is asked for.
    pub const NEXT_MESSAGE: u32 = 1222;
    /// The session is broken off.
    pub const ABORT: u32 = 1223;
    /// An event at the client, as the state of the login.
    pub const CLIENT_EVENT: u32 = 1224;
    /// The rest of a large object did not come.
    pub const NO_END_OF_DATA: u32 = 1225;
    /// A generic alert, as an unenrolment.
    pub const GENERIC: u32 = 1226;

    /// An alert without items.
    pub fn of(cmd_id: impl Into<String>, code: u32) -> Alert {
        Alert { cmd_id: cmd_id.into(), no_resp: false, code, correlator: None, items: Vec::new() }
    }

    pub(super) fn from_tree(element: &Element<'_>, notes: &mut Notes) -> Result<Alert, Error> {
        Ok(Alert {
            cmd_id: need_text(element, "Alert", "CmdID")?,
            no_resp: element.child("NoResp").is_some(),
            code: number(&need_text(element, "Alert", "Data")?, "Data of Alert")?,
            correlator: element.child_text("Correlator").map(str::to_owned),
            items: Item::any_of(element, notes),
        })
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        let mut children = vec![leaf("CmdID", self.cmd_id.as_str())];
        children.extend(self.no_resp.then(|| parent("NoResp", [])));
        children.push(leaf("Data", self.code.to_string()));
        children.extend(self.correlator.as_deref().map(|correlator| leaf("Correlator", correlator)));
        children.extend(self.items.iter().map(Item::to_tree));
        parent("Alert", children)
    }
}
