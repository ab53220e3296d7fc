//! What a body consists of, and the two commands that hold others. [OMA RepPro] 6.6.3, 6.6.14.

use super::{Alert, Meta, Notes, Request, Results, Status, Verb, leaf, need_text, parent, write};
use crate::Error;
use crate::xml::{self, Element};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// An event.
    Alert(Alert),
    /// Add, Replace, Delete, Get, Exec.
    Request(Request),
    /// Atomic, Sequence.
    Group(Group),
    /// How a command of the other side went.
    Status(Status),
    /// Values that a Get asked for.
    Results(Results),
    /// A command that OMA-DM does not use, such as Put or Copy. It is answered, not obeyed.
    Other {
        /// The element.
        name: String,
        /// Its number.
        cmd_id: String,
    },
    /// A command of which the essential cannot be read: [`super::Message::spoilt`] says what. It is answered, not obeyed.
    Unreadable {
        /// The element.
        name: String,
        /// Its number; empty where it has none by which it could be answered.
        cmd_id: String,
    },
}

impl Command {
    /// The number within the message.
    pub fn cmd_id(&self) -> &str {
        match self {
            Command::Alert(Alert { cmd_id, .. })
            | Command::Request(Request { cmd_id, .. })
            | Command::Group(Group { cmd_id, .. })
            | Command::Status(Status { cmd_id, .. })
            | Command::Results(Results { cmd_id, .. })
            | Command::Other { cmd_id, .. }
            | Command::Unreadable { cmd_id, .. } => cmd_id,
        }
    }

    /// The element's name, as a Status repeats it.
    pub fn name(&self) -> &str {
        match self {
            Command::Alert(_) => "Alert",
            Command::Request(request) => request.verb.name(),
            Command::Group(group) => group.kind.name(),
            Command::Status(_) => "Status",
            Command::Results(_) => "Results",
            Command::Other { name, .. } | Command::Unreadable { name, .. } => name,
        }
    }

    /// Length as XML in bytes, or that XML cannot carry it.
    pub(crate) fn encoded_len(&self) -> Result<usize, Error> {
        write::encode(&self.to_tree()).map(|bytes| bytes.len())
    }

    /// Fails only where there are too many.
    fn from_tree(element: &Element<'_>, notes: &mut Notes) -> Result<Command, Error> {
        notes.count()?;
        let name = element.name.as_ref();
        // What is within a group is looked at by itself.
        let Some(kind) = GroupKind::named(name) else {
            notes.look(element);
            return Ok(
                Command::leaf(element, notes).unwrap_or_else(|error| Command::unreadable(element, notes, &error))
            );
        };
        match cmd_id(element, kind.name()) {
            Ok(cmd_id) => Group::from_tree(kind, cmd_id, element, notes).map(Command::Group),
            Err(error) => Ok(Command::unreadable(element, notes, &error)),
        }
    }

    fn leaf(element: &Element<'_>, notes: &mut Notes) -> Result<Command, Error> {
        let command = match element.name.as_ref() {
            "Alert" => Command::Alert(Alert::from_tree(element, notes)?),
            "Status" => Command::Status(Status::from_tree(element, notes)?),
            "Results" => Command::Results(Results::from_tree(element, notes)?),
            name => match Verb::named(name) {
                Some(verb) => Command::Request(Request::from_tree(verb, element, notes)?),
                None => {
                    let cmd_id = need_text(element, "command", "CmdID")?;
                    Command::Other { name: short_name(element), cmd_id }
                }
            },
        };
        bounded(command.cmd_id())?;
        Ok(command)
    }

    fn unreadable(element: &Element<'_>, notes: &mut Notes, why: &Error) -> Command {
        notes.note(element, why);
        let cmd_id = cmd_id(element, "command").unwrap_or_default();
        Command::Unreadable { name: short_name(element), cmd_id }
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        match self {
            Command::Alert(alert) => alert.to_tree(),
            Command::Request(request) => request.to_tree(),
            Command::Group(group) => group.to_tree(),
            Command::Status(status) => status.to_tree(),
            Command::Results(results) => results.to_tree(),
            Command::Other { name, cmd_id } | Command::Unreadable { name, cmd_id } => Element {
                name: name.as_str().into(),
                children: vec![leaf("CmdID", cmd_id.as_str())],
                ..Element::default()
            },
        }
    }
}

/// As a Status can repeat it: the reader takes names with characters that XML does not.
fn short_name(element: &Element<'_>) -> String {
    xml::mended(&element.name).chars().take(40).collect()
}

/// The number of a command, by which it can be answered.
fn cmd_id(element: &Element<'_>, within: &'static str) -> Result<String, Error> {
    let id = need_text(element, within, "CmdID")?;
    bounded(&id).map(|()| id)
}

fn bounded(cmd_id: &str) -> Result<(), Error> {
    if cmd_id.len() > 64 { Err(Error::Limit { what: "bytes of CmdID", limit: 64 }) } else { Ok(()) }
}

/// All commands within a body or group, as many as a message may hold.
pub(super) fn all_from_tree(element: &Element<'_>, notes: &mut Notes) -> Result<Vec<Command>, Error> {
    const NOT_COMMANDS: [&str; 5] = ["Final", "CmdID", "NoResp", "Meta", "Correlator"];
    let commands = element.children.iter().filter(|child| !NOT_COMMANDS.contains(&child.name.as_ref()));
    commands.map(|child| Command::from_tree(child, notes)).collect()
}

/// How the commands of a group hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum GroupKind {
    /// All or none, in order.
    Atomic,
    /// In order.
    Sequence,
}

impl GroupKind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            GroupKind::Atomic => "Atomic",
            GroupKind::Sequence => "Sequence",
        }
    }

    fn named(name: &str) -> Option<GroupKind> {
        [GroupKind::Atomic, GroupKind::Sequence].into_iter().find(|kind| kind.name() == name)
    }
}

/// Commands that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// How.
    pub kind: GroupKind,
    /// Number of the group within its message.
    pub cmd_id: String,
    /// No Status is wanted for the group itself.
    pub no_resp: bool,
    /// What holds for all of them.
    pub meta: Meta,
    /// The commands in order.
    pub commands: Vec<Command>,
}

impl Group {
    /// Recursion is bounded by the depth that the reader allows.
    fn from_tree(kind: GroupKind, cmd_id: String, element: &Element<'_>, notes: &mut Notes) -> Result<Group, Error> {
        let (no_resp, meta) = (element.child("NoResp").is_some(), Meta::of(element, element, notes));
        Ok(Group { kind, cmd_id, no_resp, meta, commands: all_from_tree(element, notes)? })
    }

    fn to_tree(&self) -> Element<'_> {
        let mut children = vec![leaf("CmdID", self.cmd_id.as_str())];
        children.extend(self.no_resp.then(|| parent("NoResp", [])));
        children.extend(self.meta.to_tree());
        children.extend(self.commands.iter().map(Command::to_tree));
        parent(self.kind.name(), children)
    }
}
