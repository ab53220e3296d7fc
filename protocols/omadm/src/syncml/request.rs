//! Add, Replace, Delete, Get and Exec: the five commands on nodes, which differ in their names alone.
//! [OMA RepPro] 6.6.1, 6.6.13, 6.6.5, 6.6.7, 6.6.6.

use super::{Item, Meta, Notes, leaf, need_text, parent};
use crate::Error;
use crate::xml::Element;

/// What is to be done with the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Verb {
    /// Makes a node.
    Add,
    /// Sets a node that is there (Windows makes it where it is not).
    Replace,
    /// Removes a node.
    Delete,
    /// Reads nodes.
    Get,
    /// Runs a node.
    Exec,
}

impl Verb {
    const ALL: [Verb; 5] = [Verb::Add, Verb::Replace, Verb::Delete, Verb::Get, Verb::Exec];

    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Add => "Add",
            Verb::Replace => "Replace",
            Verb::Delete => "Delete",
            Verb::Get => "Get",
            Verb::Exec => "Exec",
        }
    }

    /// By the element's name, case included.
    pub fn named(name: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.name() == name)
    }
}

/// One of the five commands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// Which.
    pub verb: Verb,
    /// Number of the command within its message.
    pub cmd_id: String,
    /// No Status is wanted.
    pub no_resp: bool,
    /// What holds for all items.
    pub meta: Meta,
    /// Exec only: comes back in the alert that tells of its end.
    pub correlator: Option<String>,
    /// The nodes.
    pub items: Vec<Item>,
}

impl Request {
    pub(super) fn from_tree(verb: Verb, element: &Element<'_>, notes: &mut Notes) -> Result<Request, Error> {
        Ok(Request {
            verb,
            cmd_id: need_text(element, verb.name(), "CmdID")?,
            no_resp: element.child("NoResp").is_some(),
            meta: Meta::of(element, element, notes),
            correlator: element.child_text("Correlator").filter(|_| verb == Verb::Exec).map(str::to_owned),
            items: Item::all_of(element, notes),
        })
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        let mut children = vec![leaf("CmdID", self.cmd_id.as_str())];
        children.extend(self.no_resp.then(|| parent("NoResp", [])));
        children.extend(self.meta.to_tree());
        children.extend(self.correlator.as_deref().map(|correlator| leaf("Correlator", correlator)));
        children.extend(self.items.iter().map(Item::to_tree));
        parent(self.verb.name(), children)
    }
}
