//! SyncML messages as OMA-DM uses them: typed, from and to XML and WBXML. [OMA RepPro 1.2.2], [OMA DM Protocol 1.2.1].
//!
//! Reading is lenient in what does not matter (prefixes, namespaces, order, unknown children), and goes on past what it
//! cannot read: one bad child does not spoil the message ([`Spoilt`]). Writing keeps the order of the document type,
//! which clients insist on.

mod alert;
mod command;
mod content_type;
mod header;
mod item;
mod meta;
mod request;
mod results;
mod spoilt;
mod status;
mod wbxml;
mod write;

pub use alert::Alert;
pub use command::{Command, Group, GroupKind};
pub use content_type::ContentType;
pub use header::{Cred, Location, SyncHdr};
pub use item::Item;
pub use meta::Meta;
pub use request::{Request, Verb};
pub use results::Results;
pub use spoilt::Spoilt;
pub use status::{Chal, Status};

use crate::Error;
use crate::xml::{self, Element, Limits};
use spoilt::Notes;

/// Commands in one message, those within Atomic and Sequence included: each costs a Status in our answer.
pub const MAX_COMMANDS: usize = 2_000;

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who speaks to whom, and where in the session.
    pub header: SyncHdr,
    /// The commands in order.
    pub body: Vec<Command>,
    /// Whether this is the last message of its package.
    pub is_final: bool,
    /// What of it could not be read, the first of it; of ours nothing.
    pub spoilt: Vec<Spoilt>,
}

impl Message {
    /// Reads a message in the form that its content type says, within [`Limits::SYNCML`]. Fails where it has no tree, no
    /// header that can be read, or no end; what else cannot be read is told by [`Message::spoilt`], and the rest counts.
    pub fn parse(bytes: &[u8], content_type: ContentType) -> Result<Message, Error> {
        if content_type.is_wbxml() {
            return Message::from_tree(&wbxml::parse(bytes, &Limits::SYNCML)?);
        }
        match xml::parse(bytes, &Limits::SYNCML) {
            Err(error @ Error::Xml { .. }) => {
                let text = String::from_utf8_lossy(bytes);
                let tree = xml::parse_spoilt(&text, &Limits::SYNCML).map_err(|_| error)?;
                Message::from_tree(&tree)
            }
            tree => Message::from_tree(&tree?),
        }
    }

    /// Writes the message. Fails only on text that XML cannot carry, or on a command read from a client that WBXML has
    /// no token for.
    pub fn encode(&self, content_type: ContentType) -> Result<Vec<u8>, Error> {
        let tree = self.to_tree();
        if content_type.is_wbxml() { wbxml::encode(&tree) } else { write::encode(&tree) }
    }

    fn from_tree(root: &Element<'_>) -> Result<Message, Error> {
        if root.name != "SyncML" {
            return Err(Error::unexpected("message", &root.name));
        }
        let mut notes = Notes::new(MAX_COMMANDS);
        let header = SyncHdr::from_tree(need(root, "SyncML", "SyncHdr")?, &mut notes)?;
        let body = need(root, "SyncML", "SyncBody")?;
        let commands = command::all_from_tree(body, &mut notes)?;
        Ok(Message { header, body: commands, is_final: body.child("Final").is_some(), spoilt: notes.found })
    }

    fn to_tree(&self) -> Element<'_> {
        let mut body: Vec<_> = self.body.iter().map(Command::to_tree).collect();
        if self.is_final {
            body.push(parent("Final", []));
        }
        parent("SyncML", [self.header.to_tree(), parent("SyncBody", body)])
    }
}

fn need<'t, 'a>(element: &'t Element<'a>, within: &'static str, name: &'static str) -> Result<&'t Element<'a>, Error> {
    element.child(name).ok_or(Error::Missing { within, element: name })
}

fn need_text(element: &Element<'_>, within: &'static str, name: &'static str) -> Result<String, Error> {
    element.child_text(name).map(str::to_owned).ok_or(Error::Missing { within, element: name })
}

/// A number, as CmdRef of a header or MsgID: decimal digits only, no sign.
fn number<N: std::str::FromStr>(text: &str, element: &'static str) -> Result<N, Error> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Value { element, reason: "not a number" });
    }
    text.parse().map_err(|_| Error::Value { element, reason: "not a number in range" })
}

fn parent<'a>(name: &'static str, children: impl IntoIterator<Item = Element<'a>>) -> Element<'a> {
    Element { name: name.into(), children: children.into_iter().collect(), ..Element::default() }
}

fn leaf<'a>(name: &'static str, text: impl Into<std::borrow::Cow<'a, str>>) -> Element<'a> {
    Element { name: name.into(), text: text.into(), ..Element::default() }
}

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;
