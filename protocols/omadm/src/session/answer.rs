//! The second half of a step: our answer to the client's message.

use serde::{Deserialize, Serialize};

use super::in_flight::{InFlight, Node};
use super::{
    Due, HeldStatus, LoginStatus, Lost, MAX_ANSWER_BYTES, MAX_NODES_IN_FLIGHT, MIN_CLIENT_LIMIT, NotSent, Output,
    Session, SyncType, validate,
};
use crate::syncml::{Alert, Command, ContentType, Group, Location, Message, Meta, SyncHdr};

/// Room that header, statuses and end of a message need besides an operation, in bytes.
const OVERHEAD: usize = 1_024;

/// Bytes to send, and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The form in which the client spoke.
    pub content_type: ContentType,
    /// The message.
    #[serde(with = "super::base64_bytes")]
    pub body: Vec<u8>,
}

/// Which operations may go out with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// None: take nothing from the queue.
    Nothing,
    /// Those on nodes of the device; no user is logged in, or the session is not for one.
    Device,
    /// Those on nodes of the user alone.
    User,
    /// Those on nodes of the user as well.
    DeviceAndUser,
}

/// How the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Operations may go out.
    Commands,
    /// An operation is unanswered though the package has ended: nothing new.
    Unanswered,
    /// The package has not ended, or a value is incomplete: ask for the next message.
    MoreWanted,
    /// The client broke off or leaves: statuses only.
    Ended,
    /// Too much: we break off.
    GiveUp,
    /// The header is refused with this code; nothing of the message counts.
    HeaderRefused(u16),
    /// The same answer again.
    Repeat,
    /// An older message: nothing of it counts.
    OutOfOrder,
}

impl Next {
    /// The first reason not to go on stands.
    pub(super) fn or(self, other: Next) -> Next {
        if self == Next::Commands { other } else { self }
    }
}

/// A message was taken and waits for its answer.
#[derive(Debug)]
pub struct Turn {
    session: Session,
    next: Next,
    /// The rest of a value did not come where it belongs.
    chunk_missing: bool,
    msg_id: u32,
    session_id: String,
    client: String,
    no_resp: bool,
    content_type: ContentType,
}

impl Turn {
    pub(super) fn new(session: Session, message: &Message, content_type: ContentType, next: Next) -> Turn {
        Turn {
            session,
            next,
            chunk_missing: false,
            msg_id: message.header.msg_id,
            session_id: message.header.session_id.clone(),
            client: message.header.source.uri.clone(),
            no_resp: message.header.no_resp,
            content_type,
        }
    }

    pub(super) fn with_chunk_missing(self, chunk_missing: bool) -> Turn {
        Turn { chunk_missing, ..self }
    }

    /// What may be handed to [`Turn::answer`]. Whatever else is handed in comes back as [`Output::OpNotSent`].
    pub fn accepts(&self) -> Accepts {
        if self.next != Next::Commands {
            return Accepts::Nothing;
        }
        match (self.session.sync, self.session.login) {
            (SyncType::User, LoginStatus::User) => Accepts::User,
            (SyncType::User, _) => Accepts::Nothing,
            (SyncType::Mixed, LoginStatus::User) => Accepts::DeviceAndUser,
            (SyncType::Mixed | SyncType::Device, _) => Accepts::Device,
        }
    }

    /// Makes the answer, with as much of `due` as fits, in order. `our_uri` is the address that the device was
    /// provisioned with. The session is to be stored, unless it is idle, before the bytes leave.
    pub fn answer(mut self, due: &[Due], our_uri: &str) -> (Session, Answer, Vec<Output>) {
        if let (Next::Repeat, Some(last)) = (self.next, &self.session.last) {
            let answer = last.clone();
            return (self.session, answer, not_now(due));
        }
        if self.next == Next::OutOfOrder {
            let answer = self.out_of_order(our_uri);
            return (self.session, answer, not_now(due));
        }
        self.session.said = self.session.said.saturating_add(1);
        let mut writer = Writer { commands: Vec::new(), last_id: 0 };
        let mut outputs = Vec::new();
        self.statuses(&mut writer);
        self.alerts(&mut writer);
        if self.next == Next::Commands {
            self.operations(&mut writer, due, our_uri, &mut outputs);
        } else {
            outputs.extend(not_now(due));
        }
        self.end(&mut writer, &mut outputs);
        let is_final = self.next != Next::MoreWanted;
        let answer = self.encode(writer.commands, is_final, our_uri);
        self.session.last = Some(answer.clone());
        (self.session, answer, outputs)
    }

    /// The header first, then in command order; all but chunks wait for the end of the package.
    fn statuses(&mut self, writer: &mut Writer) {
        let code = match self.next {
            Next::HeaderRefused(code) => code,
            _ => 200,
        };
        if !self.no_resp {
            writer.status(self.header_status(code));
        }
        let waits = |status: &HeldStatus| status.cmd != "Results";
        let held = std::mem::take(&mut self.session.held);
        let (kept, now) = match self.next {
            Next::MoreWanted => held.into_iter().partition(waits),
            _ => (Vec::new(), held),
        };
        self.session.held = kept;
        now.into_iter().for_each(|status| writer.status(status));
    }

    fn header_status(&self, code: u16) -> HeldStatus {
        HeldStatus { msg_ref: self.msg_id, cmd_ref: "0".into(), cmd: "SyncHdr".into(), code }
    }

    fn alerts(&self, writer: &mut Writer) {
        if self.chunk_missing {
            writer.alert(Alert::NO_END_OF_DATA);
        }
        match self.next {
            Next::MoreWanted => writer.alert(Alert::NEXT_MESSAGE),
            Next::GiveUp => writer.alert(Alert::ABORT),
            _ => {}
        }
    }

    fn operations(&mut self, writer: &mut Writer, due: &[Due], our_uri: &str, outputs: &mut Vec<Output>) {
        let limit = self.limit();
        // Measured once, without the operations; each then adds its own length.
        let mut used = match due {
            [] => 0,
            _ => self
                .message(writer.commands.clone(), true, our_uri)
                .encode(ContentType::DmXml)
                .map_or(limit, |b| b.len()),
        };
        let mut nodes: usize = 0;
        for due in due {
            let sent = validate::check(due, self.session.login, self.session.sync).and_then(|()| {
                let (command, flight, last_id) = writer.command(due, self.session.said);
                let length = length(&command)?;
                let more: usize = flight.iter().map(|op| op.nodes.len()).sum();
                if length + OVERHEAD > limit || more > MAX_NODES_IN_FLIGHT {
                    return Err(NotSent::TooLarge);
                }
                // The first goes even where the Statuses take the client's room: without it the session ends here, and the next one
                // begins with the same.
                let room = if nodes == 0 { MAX_ANSWER_BYTES } else { limit };
                if used + length > room || nodes + more > MAX_NODES_IN_FLIGHT {
                    return Err(NotSent::NoRoom);
                }
                used += length;
                nodes += more;
                writer.commands.push(command);
                writer.last_id = last_id;
                self.session.in_flight.extend(flight);
                Ok(())
            });
            if let Err(why) = sent {
                outputs.push(Output::OpNotSent { op: due.id().to_owned(), why });
            }
        }
    }

    /// What the client says is a claim, and none that keeps every operation away is taken.
    fn limit(&self) -> usize {
        let client = self.session.client_limit.and_then(|limit| usize::try_from(limit).ok());
        client.unwrap_or(MAX_ANSWER_BYTES).clamp(MIN_CLIENT_LIMIT, MAX_ANSWER_BYTES)
    }

    /// A message of ours without a command or question ends the session, and what is then open stays open.
    fn end(&mut self, writer: &mut Writer, outputs: &mut Vec<Output>) {
        let asks = writer.commands.iter().any(|command| !matches!(command, Command::Status(_)));
        if asks && self.next != Next::GiveUp {
            return;
        }
        for op in &self.session.in_flight {
            let why = if op.is_answered() { Lost::NoResult } else { Lost::NoStatus };
            op.lose(why, outputs);
        }
        self.session.in_flight.clear();
        self.session.chunk = None;
        outputs.push(Output::SessionEnded);
    }

    fn message(&self, body: Vec<Command>, is_final: bool, our_uri: &str) -> Message {
        let header = SyncHdr {
            ver_dtd: "1.2".into(),
            ver_proto: "DM/1.2".into(),
            session_id: self.session_id.clone(),
            msg_id: self.session.said.max(1),
            target: Location::of(self.client.as_str()),
            source: Location::of(our_uri),
            resp_uri: None,
            no_resp: false,
            cred: None,
            // No MaxMsgSize: Windows drops results that would not fit instead of cutting them.
            meta: Meta::default(),
        };
        Message { header, body, is_final, spoilt: Vec::new() }
    }

    fn encode(&self, body: Vec<Command>, is_final: bool, our_uri: &str) -> Answer {
        let message = self.message(body, is_final, our_uri);
        // All that is in it came out of a parser or through `length`; were it not so, an empty body is still an answer.
        let body = message.encode(self.content_type).unwrap_or_default();
        Answer { content_type: self.content_type, body }
    }

    /// Does not touch the session, nor what it would repeat.
    fn out_of_order(&self, our_uri: &str) -> Answer {
        let mut writer = Writer { commands: Vec::new(), last_id: 0 };
        writer.status(self.header_status(400));
        self.encode(writer.commands, true, our_uri)
    }
}

fn not_now(due: &[Due]) -> Vec<Output> {
    due.iter().map(|due| Output::OpNotSent { op: due.id().to_owned(), why: NotSent::NotNow }).collect()
}

/// As XML, which is never shorter than WBXML.
fn length(command: &Command) -> Result<usize, NotSent> {
    command.encoded_len().map_err(|_| NotSent::Unencodable)
}

/// Numbers the commands of one message.
struct Writer {
    commands: Vec<Command>,
    last_id: u32,
}

impl Writer {
    fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    fn status(&mut self, status: HeldStatus) {
        let id = self.next_id();
        self.commands.push(Command::Status(status.into_status(id)));
    }

    fn alert(&mut self, code: u32) {
        let id = self.next_id();
        self.commands.push(Command::Alert(Alert::of(id.to_string(), code)));
    }

    /// The command for what is due, what to remember of it, and the last CmdID it uses.
    fn command(&self, due: &Due, msg_id: u32) -> (Command, Vec<InFlight>, u32) {
        let mut id = self.last_id + 1;
        let flight = |op: &super::Op, cmd_id, group| InFlight {
            op: op.id.clone(),
            msg_id,
            cmd_id,
            verb: Some(op.verb),
            nodes: op.items.iter().map(|item| Node::of(item.uri.as_str())).collect(),
            group,
        };
        match due {
            Due::One(op) => (Command::Request(op.to_request(id)), vec![flight(op, id, None)], id),
            Due::Group { id: name, kind, ops } => {
                let (own, cmd_id, nodes) = (id, id.to_string(), vec![Node::of("")]);
                let mut flights =
                    vec![InFlight { op: name.clone(), msg_id, cmd_id: own, verb: None, nodes, group: None }];
                let mut commands = Vec::new();
                for op in ops {
                    id += 1;
                    commands.push(Command::Request(op.to_request(id)));
                    flights.push(flight(op, id, Some(own)));
                }
                let meta = Meta::default();
                (Command::Group(Group { kind: *kind, cmd_id, no_resp: false, meta, commands }), flights, id)
            }
        }
    }
}
