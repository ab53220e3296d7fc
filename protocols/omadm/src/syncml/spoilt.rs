//! What of a message could not be read while the rest of it counts.

use super::{MAX_COMMANDS, number};
use crate::Error;
use crate::xml::Element;

/// Parts that are told of; a message that is spoilt throughout says no more by further ones.
const MAX_TOLD: usize = 16;

/// A part of a message that could not be read: a command, or something within one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spoilt {
    /// The command that it stands in, or `SyncHdr`.
    pub command: String,
    /// The MsgID to which that is an answer, as of the commands themselves.
    pub msg_ref: Option<u32>,
    /// The CmdID to which it is an answer.
    pub cmd_ref: Option<String>,
    /// The node that it is about, where it is about one.
    pub node: Option<String>,
    /// What is wrong, without anything of the value itself.
    pub why: String,
}

/// Of the one item of a command, as far as it can be read.
fn node(command: &Element<'_>) -> Option<String> {
    let mut items = command.children.iter().filter(|child| child.name == "Item");
    let (item, None) = (items.next()?, items.next()) else { return None };
    let locations = ["Source", "Target"].into_iter().filter_map(|end| item.child(end));
    let uri = locations.filter_map(|location| location.child_text("LocURI")).next()?;
    Some(uri.chars().take(120).collect())
}

/// Gathers them while a message is read, and counts its commands.
pub(super) struct Notes {
    pub(super) found: Vec<Spoilt>,
    room: usize,
}

impl Notes {
    pub(super) fn new(room: usize) -> Notes {
        Notes { found: Vec::new(), room }
    }

    /// One more command: too many are the one thing in a body that spoils it all.
    pub(super) fn count(&mut self) -> Result<(), Error> {
        self.room =
            self.room.checked_sub(1).ok_or(Error::Limit { what: "commands in a message", limit: MAX_COMMANDS })?;
        Ok(())
    }

    /// What is wrong with the text of this command, if anything.
    pub(super) fn look(&mut self, command: &Element<'_>) {
        if let Some(element) = command.spoilt_within() {
            let element: String = element.chars().take(40).collect();
            self.note(command, format!("{element}: not UTF-8, or a character that XML does not allow"));
        }
    }

    pub(super) fn note(&mut self, command: &Element<'_>, why: impl ToString) {
        if self.found.len() < MAX_TOLD {
            self.found.push(Spoilt {
                command: command.name.chars().take(40).collect(),
                msg_ref: command.child_text("MsgRef").map(|text| number(text, "MsgRef").unwrap_or_default()),
                cmd_ref: command.child_text("CmdRef").map(|text| text.chars().take(64).collect()),
                node: node(command),
                why: why.to_string(),
            });
        }
    }

    /// The value, or that there is none and why.
    pub(super) fn take<T>(&mut self, command: &Element<'_>, read: Result<T, Error>) -> Option<T> {
        read.map_err(|error| self.note(command, error)).ok()
    }
}
