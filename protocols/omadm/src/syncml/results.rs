//! Results: the values that a Get asked for. [OMA RepPro] 6.6.12.

use super::{Item, Meta, Notes, leaf, need_text, number, parent};
use crate::Error;
use crate::xml::Element;

/// Values of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Results {
    /// Number of the command within its message.
    pub cmd_id: String,
    /// MsgID of the message with the Get; absent means 1, and 0 stands where it could not be read.
    pub msg_ref: Option<u32>,
    /// CmdID of the Get.
    pub cmd_ref: String,
    /// What holds for all items.
    pub meta: Meta,
    /// Which node, where the items do not say.
    pub target_ref: Option<String>,
    /// The same by source.
    pub source_ref: Option<String>,
    /// The values.
    pub items: Vec<Item>,
}

impl Results {
    /// Its own number is of no use: it gets no Status.
    pub(super) fn from_tree(element: &Element<'_>, notes: &mut Notes) -> Result<Results, Error> {
        let text = |name| element.child_text(name);
        let msg_ref = text("MsgRef").map(|text| number(text, "MsgRef"));
        Ok(Results {
            cmd_id: notes.take(element, need_text(element, "Results", "CmdID")).unwrap_or_default(),
            msg_ref: notes.take(element, msg_ref.transpose()).unwrap_or(Some(0)),
            cmd_ref: need_text(element, "Results", "CmdRef")?,
            meta: Meta::of(element, element, notes),
            target_ref: text("TargetRef").map(str::to_owned),
            source_ref: text("SourceRef").map(str::to_owned),
            items: Item::all_of(element, notes),
        })
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        let mut children = vec![leaf("CmdID", self.cmd_id.as_str())];
        children.extend(self.msg_ref.map(|msg_ref| leaf("MsgRef", msg_ref.to_string())));
        children.push(leaf("CmdRef", self.cmd_ref.as_str()));
        children.extend(self.meta.to_tree());
        children.extend(self.target_ref.as_deref().map(|uri| leaf("TargetRef", uri)));
        children.extend(self.source_ref.as_deref().map(|uri| leaf("SourceRef", uri)));
        children.extend(self.items.iter().map(Item::to_tree));
        parent("Results", children)
    }
}
