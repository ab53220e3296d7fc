//! Operations that were handed out: which MsgID and CmdID stand for which, and what of each is answered.

use serde::{Deserialize, Serialize};

use super::{Lost, Output};
use crate::syncml::Verb;

/// One command of ours that waits for its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InFlight {
    pub(super) op: String,
    pub(super) msg_id: u32,
    pub(super) cmd_id: u32,
    /// `None` for a group.
    pub(super) verb: Option<Verb>,
    /// One for each node; a single one without a name for a group.
    pub(super) nodes: Vec<Node>,
    /// CmdID of the group that it is in.
    #[serde(default)]
    pub(super) group: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) uri: String,
    pub(super) code: Option<u16>,
    pub(super) filed: bool,
}

impl Node {
    pub(super) fn of(uri: impl Into<String>) -> Node {
        Node { uri: uri.into(), code: None, filed: false }
    }
}

impl InFlight {
    pub(super) fn is(&self, msg_ref: u32, cmd_ref: &str) -> bool {
        self.msg_id == msg_ref && cmd_ref.parse() == Ok(self.cmd_id)
    }

    /// Each node has a Status.
    pub(super) fn is_answered(&self) -> bool {
        self.nodes.iter().all(|node| node.code.is_some())
    }

    /// Nothing more can come: each node has a Status, and a value where it was asked for and granted.
    pub(super) fn is_done(&self) -> bool {
        let waits = |node: &Node| node.code.is_some_and(is_good) && !node.filed;
        self.is_answered() && !(self.verb == Some(Verb::Get) && self.nodes.iter().any(waits))
    }

    /// Notes a Status; what was known before stays. Without references it is for all nodes.
    pub(super) fn status(&mut self, refs: &[&str], code: u16, outputs: &mut Vec<Output>) {
        let several = self.nodes.len() > 1;
        for node in &mut self.nodes {
            let meant = !several || refs.is_empty() || refs.iter().any(|uri| same(uri, &node.uri));
            if meant && node.code.is_none() {
                node.code = Some(code);
                let uri = several.then(|| node.uri.clone());
                outputs.push(Output::OpStatus { op: self.op.clone(), uri, code });
            }
        }
    }

    /// What its Status says, of a group: it has one node.
    fn code(&self) -> Option<u16> {
        self.nodes.first().and_then(|node| node.code)
    }

    fn is_child_of(&self, msg_id: u32, group: u32) -> bool {
        self.msg_id == msg_id && self.group == Some(group)
    }

    /// Files one value; one that came before, or was not asked for, is dropped. The children of an interior node that
    /// was asked for count as asked for while that node's own value is awaited.
    pub(super) fn file(&mut self, uri: Option<&str>, format: &str, data: &str, outputs: &mut Vec<Output>) {
        if self.verb != Some(Verb::Get) {
            return;
        }
        let single = self.nodes.len() == 1;
        let is_child = uri.is_some_and(|uri| self.nodes.iter().any(|node| below(uri, &node.uri)));
        let meant = self.nodes.iter_mut().find(|node| match uri {
            Some(uri) => same(uri, &node.uri),
            None => single,
        });
        let spelt = match (meant, uri) {
            (Some(node), _) if node.filed => return,
            (Some(node), _) => {
                node.filed = true;
                node.uri.clone()
            }
            (None, Some(uri)) if is_child => uri.to_owned(),
            (None, _) => return,
        };
        let (op, format, data) = (self.op.clone(), format.to_owned(), data.to_owned());
        outputs.push(Output::OpResult { op, uri: spelt, format, data });
    }

    /// The value of its one node came and cannot be read.
    pub(super) fn give_up_value(&mut self) {
        if let [node] = self.nodes.as_mut_slice() {
            node.filed = true;
        }
    }

    /// Nothing more will come: says so, where something was still to come.
    pub(super) fn lose(&self, why: Lost, outputs: &mut Vec<Output>) {
        if !self.is_done() {
            outputs.push(Output::OpLost { op: self.op.clone(), why });
        }
    }
}

/// The package has ended. Some clients answer what is in a group and not the group (libdmclient), others might answer the group alone:
/// what one of them says then stands for the other.
pub(super) fn settle_groups(in_flight: &mut [InFlight], outputs: &mut Vec<Output>) {
    let groups: Vec<_> =
        in_flight.iter().filter(|op| op.verb.is_none()).map(|op| (op.msg_id, op.cmd_id, op.code())).collect();
    for (msg_id, group, code) in groups {
        let mut children = in_flight.iter_mut().filter(|op| op.is_child_of(msg_id, group));
        match code {
            Some(code) => children.filter(|op| !op.is_answered()).for_each(|op| op.status(&[], code, outputs)),
            None if children.all(|op| op.is_answered()) => {
                let own = in_flight.iter_mut().find(|op| op.msg_id == msg_id && op.cmd_id == group);
                own.into_iter().flat_map(|op| &mut op.nodes).for_each(|node| node.code = Some(UNSAID));
            }
            None => {}
        }
    }
}

/// Drops what nothing more can come for. A group stays while something in it is unanswered.
pub(super) fn drop_done(in_flight: &mut Vec<InFlight>) {
    let waits = |op: &InFlight| !op.is_answered();
    let open: Vec<_> = in_flight.iter().filter(|op| waits(op)).filter_map(|op| Some((op.msg_id, op.group?))).collect();
    in_flight.retain(|op| !op.is_done() || op.verb.is_none() && open.contains(&(op.msg_id, op.cmd_id)));
}

/// Of a group whose commands are answered, in place of a Status.
const UNSAID: u16 = 0;

fn is_good(code: u16) -> bool {
    (200..300).contains(&code)
}

fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'))
}

fn below(uri: &str, node: &str) -> bool {
    let node = node.trim_end_matches('/');
    uri.get(..node.len()).is_some_and(|head| head.eq_ignore_ascii_case(node))
        && uri.get(node.len()..).is_some_and(|rest| rest.starts_with('/'))
}
