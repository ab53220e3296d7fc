//! Status: the answer to one command, and the challenge it may carry. [OMA RepPro] 6.6.15.

use super::{Item, Meta, Notes, leaf, need, need_text, number, parent};
use crate::Error;
use crate::xml::Element;

/// How a command went.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Status {
    /// Number of this Status within its message.
    pub cmd_id: String,
    /// MsgID of the message answered; 0 where it could not be read.
    pub msg_ref: u32,
    /// CmdID of the command answered; `0` is the header.
    pub cmd_ref: String,
    /// Name of the command answered, `SyncHdr` for the header.
    pub cmd: String,
    /// Which items, where the command had several.
    pub target_refs: Vec<String>,
    /// The same by the items' sources.
    pub source_refs: Vec<String>,
    /// What to authenticate with next.
    pub chal: Option<Chal>,
    /// 200 and its like.
    pub code: u16,
    /// Details; our own have none.
    pub items: Vec<Item>,
}

impl Status {
    /// What it answers and how that went is all that must be readable.
    pub(super) fn from_tree(element: &Element<'_>, notes: &mut Notes) -> Result<Status, Error> {
        let refs = |name| {
            let all = element.children.iter().filter(move |child| child.name == name);
            all.map(|child| child.trimmed().to_owned()).collect()
        };
        Ok(Status {
            cmd_id: notes.take(element, need_text(element, "Status", "CmdID")).unwrap_or_default(),
            msg_ref: notes.take(element, msg_ref(element)).unwrap_or_default(),
            cmd_ref: need_text(element, "Status", "CmdRef")?,
            cmd: notes.take(element, need_text(element, "Status", "Cmd")).unwrap_or_default(),
            target_refs: refs("TargetRef"),
            source_refs: refs("SourceRef"),
            chal: Chal::of(element, notes),
            code: number(&need_text(element, "Status", "Data")?, "Data of Status")?,
            items: Item::all_of(element, notes),
        })
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        let mut children = vec![
            leaf("CmdID", self.cmd_id.as_str()),
            leaf("MsgRef", self.msg_ref.to_string()),
            leaf("CmdRef", self.cmd_ref.as_str()),
            leaf("Cmd", self.cmd.as_str()),
        ];
        children.extend(self.target_refs.iter().map(|uri| leaf("TargetRef", uri.as_str())));
        children.extend(self.source_refs.iter().map(|uri| leaf("SourceRef", uri.as_str())));
        children.extend(self.chal.as_ref().map(Chal::to_tree));
        children.push(leaf("Data", self.code.to_string()));
        children.extend(self.items.iter().map(Item::to_tree));
        parent("Status", children)
    }
}

fn msg_ref(element: &Element<'_>) -> Result<u32, Error> {
    number(&need_text(element, "Status", "MsgRef")?, "MsgRef")
}

/// A challenge: scheme, format and nonce, all in its Meta.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Chal {
    /// Kind, format and next nonce.
    pub meta: Meta,
}

impl Chal {
    fn of(element: &Element<'_>, notes: &mut Notes) -> Option<Chal> {
        let chal = element.child("Chal")?;
        notes.take(element, need(chal, "Chal", "Meta"))?;
        Some(Chal { meta: Meta::of(chal, element, notes) })
    }

    fn to_tree(&self) -> Element<'_> {
        parent("Chal", [self.meta.to_tree().unwrap_or_else(|| parent("Meta", []))])
    }
}
