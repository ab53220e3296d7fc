//! What the server wants done at a device: an operation of the queue in the terms of the management tree.

use serde::{Deserialize, Serialize};

use crate::syncml::{GroupKind, Item, Location, Meta, Request, Verb};

/// How the value of a node is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text.
    Chr,
    /// A signed 32-bit number in decimal.
    Int,
    /// `true` or `false`.
    Bool,
    /// Bytes in base64.
    B64,
    /// Bytes, over XML in base64.
    Bin,
    /// A document as text.
    Xml,
    /// A decimal number.
    Float,
    /// An interior node.
    Node,
    /// No value.
    Null,
}

impl Format {
    const ALL: [Format; 9] = [
        Format::Chr,
        Format::Int,
        Format::Bool,
        Format::B64,
        Format::Bin,
        Format::Xml,
        Format::Float,
        Format::Node,
        Format::Null,
    ];

    /// As Meta/Format spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Chr => "chr",
            Format::Int => "int",
            Format::Bool => "bool",
            Format::B64 => "b64",
            Format::Bin => "bin",
            Format::Xml => "xml",
            Format::Float => "float",
            Format::Node => "node",
            Format::Null => "null",
        }
    }

    /// By its name, without regard to case.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str().eq_ignore_ascii_case(name))
    }
}

/// One node and, where the verb takes one, its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpItem {
    /// LocURI.
    pub uri: String,
    /// How the value is written.
    pub format: Option<Format>,
    /// The value.
    pub data: Option<String>,
}

/// One command at the device. `id` is the caller's and comes back with each answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The caller's name for it.
    pub id: String,
    /// What is done.
    pub verb: Verb,
    /// With which nodes. Windows takes several only for one scope (device or user).
    pub items: Vec<OpItem>,
    /// Exec only: repeated by the alert that tells of its end.
    pub correlator: Option<String>,
}

impl Op {
    /// Reads a node.
    pub fn get(id: impl Into<String>, uri: impl Into<String>) -> Op {
        Op::get_all(id, [uri])
    }

    /// Reads several nodes by one command.
    pub fn get_all<U: Into<String>>(id: impl Into<String>, uris: impl IntoIterator<Item = U>) -> Op {
        let items = uris.into_iter().map(|uri| OpItem { uri: uri.into(), format: None, data: None });
        Op { id: id.into(), verb: Verb::Get, items: items.collect(), correlator: None }
    }

    /// Sets a node.
    pub fn replace(id: impl Into<String>, uri: impl Into<String>, format: Format, data: impl Into<String>) -> Op {
        Op::with_value(id, Verb::Replace, uri, format, data)
    }

    /// Makes a node.
    pub fn add(id: impl Into<String>, uri: impl Into<String>, format: Format, data: impl Into<String>) -> Op {
        Op::with_value(id, Verb::Add, uri, format, data)
    }

    /// Removes a node.
    pub fn delete(id: impl Into<String>, uri: impl Into<String>) -> Op {
        Op { verb: Verb::Delete, ..Op::get(id, uri) }
    }

    /// Runs a node with an argument, `""` where it takes none.
    pub fn exec(id: impl Into<String>, uri: impl Into<String>, data: impl Into<String>) -> Op {
        Op::with_value(id, Verb::Exec, uri, Format::Chr, data)
    }

    fn with_value(
        id: impl Into<String>,
        verb: Verb,
        uri: impl Into<String>,
        format: Format,
        data: impl Into<String>,
    ) -> Op {
        let item = OpItem { uri: uri.into(), format: Some(format), data: Some(data.into()) };
        Op { id: id.into(), verb, items: vec![item], correlator: None }
    }

    pub(super) fn to_request(&self, cmd_id: u32) -> Request {
        let items = self.items.iter().map(|item| Item {
            target: Some(Location::of(item.uri.as_str())),
            source: None,
            meta: item.format.map(|format| Meta::of_format(format.as_str())).unwrap_or_default(),
            data: item.data.clone(),
            more_data: false,
        });
        Request {
            verb: self.verb,
            cmd_id: cmd_id.to_string(),
            no_resp: false,
            meta: Meta::default(),
            correlator: self.correlator.clone(),
            items: items.collect(),
        }
    }
}

/// What the queue hands out: an operation, or several that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Due {
    /// One operation by itself. Several of them have no order that a device must keep.
    One(Op),
    /// Operations all or none of which are done, or which are done in order.
    Group {
        /// The caller's name for the group: its own Status comes under it.
        id: String,
        /// Which of the two.
        kind: GroupKind,
        /// The operations.
        ops: Vec<Op>,
    },
}

impl Due {
    /// The caller's name for it.
    pub fn id(&self) -> &str {
        match self {
            Due::One(op) => &op.id,
            Due::Group { id, .. } => id,
        }
    }

    pub(super) fn ops(&self) -> &[Op] {
        match self {
            Due::One(op) => std::slice::from_ref(op),
            Due::Group { ops, .. } => ops,
        }
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &OpItem> {
        self.ops().iter().flat_map(|op| &op.items)
    }

    /// Whether a node of a user is concerned, which needs that user at the device.
    pub fn is_for_user(&self) -> bool {
        self.items().any(|item| is_user_uri(&item.uri))
    }
}

impl From<Op> for Due {
    fn from(op: Op) -> Due {
        Due::One(op)
    }
}

pub(super) fn is_user_uri(uri: &str) -> bool {
    let mut segments = uri.split('/').filter(|segment| !segment.is_empty() && *segment != ".");
    segments.next().is_some_and(|first| first.eq_ignore_ascii_case("User"))
}
