//! The first half of a step: what the client's message says.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use super::answer::{Next, Turn};
use super::chunk::{Chunk, Refused, Whole};
use super::in_flight::{drop_done, settle_groups};
use super::{
    Answer, ClientEvent, Due, HeldStatus, LoginStatus, Lost, MAX_HELD, MAX_MESSAGES, Output, Session, SyncType,
};
use crate::syncml::{Alert, Command, ContentType, Item, Message, Request, Results, Spoilt, Status, Verb};

const LOGIN_STATUS: &str = "com.microsoft/MDM/LoginStatus";
const SYNC_TYPE: &str = "com.microsoft.mdm.synctype";
/// Before the types of alerts of Windows' own, sometimes.
const REVERSED: &str = "Reversed-Domain-Name:";
const UNENROLMENT: &str = "com.microsoft:mdm.unenrollment.userrequest";

impl Session {
    /// Takes the client's next message. The outputs are to be acted on (and stored) before the answer goes out.
    pub fn receive(mut self, message: &Message, content_type: ContentType) -> (Turn, Vec<Output>) {
        let mut outputs = Vec::new();
        let digest = digest(message);
        let msg_id = message.header.msg_id;
        if self.is_restarted_by(message, digest) {
            self.lose_all(Lost::Restarted, &mut outputs);
            outputs.push(Output::Restarted);
            self = Session::new();
        }
        if msg_id == self.heard && self.last.is_some() {
            return (Turn::new(self, message, content_type, Next::Repeat), vec![Output::RepeatOfLast]);
        }
        if msg_id <= self.heard {
            return (Turn::new(self, message, content_type, Next::OutOfOrder), vec![Output::OutOfOrder]);
        }
        // A session that was not worth storing goes on: our numbers keep pace with the client's.
        if self.heard == 0 {
            self.said = msg_id - 1;
        }
        self.heard = msg_id;
        self.heard_digest = digest;
        self.session_id.clone_from(&message.header.session_id);
        self.taken = self.taken.saturating_add(1);
        self.client_limit = message.header.meta.max_msg_size.or(self.client_limit);
        let (next, chunk_missing) = match version(message) {
            Some(code) => (Next::HeaderRefused(code), false),
            None => Reading { session: &mut self, message, outputs: &mut outputs, next: Next::Commands }.read(),
        };
        (Turn::new(self, message, content_type, next).with_chunk_missing(chunk_missing), outputs)
    }

    /// Both halves at once, where it is known beforehand what is due.
    pub fn step(
        self,
        message: &Message,
        content_type: ContentType,
        due: &[Due],
        our_uri: &str,
    ) -> (Session, Answer, Vec<Output>) {
        let (turn, mut outputs) = self.receive(message, content_type);
        let (session, answer, more) = turn.answer(due, our_uri);
        outputs.extend(more);
        (session, answer, outputs)
    }

    /// A first message where one was had is a new session of a client that reuses the id, unless it is the very same
    /// message: then our answer was lost.
    fn is_restarted_by(&self, message: &Message, digest: u64) -> bool {
        let other = !self.session_id.is_empty() && self.session_id != message.header.session_id;
        other || message.header.msg_id == 1 && self.heard >= 1 && (self.heard > 1 || self.heard_digest != digest)
    }

    pub(super) fn lose_all(&mut self, why: Lost, outputs: &mut Vec<Output>) {
        for op in self.in_flight.drain(..) {
            op.lose(why, outputs);
        }
    }
}

/// 505 and 513: document type or protocol are not ours.
fn version(message: &Message) -> Option<u16> {
    match (message.header.ver_dtd.as_str(), message.header.ver_proto.as_str()) {
        ("1.2", "DM/1.2") => None,
        ("1.2", _) => Some(513),
        _ => Some(505),
    }
}

struct Reading<'s> {
    session: &'s mut Session,
    message: &'s Message,
    outputs: &'s mut Vec<Output>,
    next: Next,
}

impl Reading<'_> {
    /// How to go on, and whether the rest of a value is missing.
    fn read(mut self) -> (Next, bool) {
        let had_chunk = self.session.chunk.is_some();
        let mut chunk_went_on = false;
        for command in &self.message.body {
            match command {
                Command::Results(results) => chunk_went_on |= self.results(results),
                other => self.command(other),
            }
        }
        self.message.spoilt.iter().for_each(|spoilt| self.spoilt(spoilt));
        // Another command, or nothing, came where the rest of the value belongs.
        let chunk_missing = had_chunk && !chunk_went_on && self.next == Next::Commands;
        if chunk_missing {
            self.session.chunk = None;
        }
        if self.message.is_final && self.session.chunk.is_none() {
            settle_groups(&mut self.session.in_flight, self.outputs);
        }
        drop_done(&mut self.session.in_flight);
        if self.session.chunk.is_some() || !self.message.is_final {
            self.next = self.next.or(Next::MoreWanted);
        } else if self.session.in_flight.iter().any(|op| !op.is_answered()) {
            self.next = self.next.or(Next::Unanswered);
        }
        if self.session.held.len() > MAX_HELD || self.session.taken > MAX_MESSAGES {
            self.session.held.clear();
            self.next = Next::GiveUp;
        }
        (self.next, chunk_missing)
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Status(status) => self.status(status),
            Command::Alert(alert) => {
                self.alert(alert);
                self.hold(command, alert.no_resp, 200);
            }
            Command::Request(request) if request.verb == Verb::Replace => {
                let code = self.replace(request);
                self.hold(command, request.no_resp, code);
            }
            // A client reports; it does not command.
            Command::Request(request) => self.hold(command, request.no_resp, 405),
            Command::Group(group) => {
                self.hold(command, group.no_resp, 405);
                group.commands.iter().for_each(|child| self.refuse(child));
            }
            Command::Other { .. } => self.hold(command, false, 406),
            Command::Unreadable { name, cmd_id } => {
                if !cmd_id.is_empty() && !matches!(name.as_str(), "Status" | "Results") {
                    self.hold(command, false, 400);
                }
            }
            Command::Results(_) => {}
        }
    }

    /// The children of a group that is not taken.
    fn refuse(&mut self, command: &Command) {
        match command {
            Command::Status(_) | Command::Results(_) => {}
            Command::Unreadable { .. } => self.command(command),
            Command::Group(group) => {
                self.hold(command, group.no_resp, 405);
                group.commands.iter().for_each(|child| self.refuse(child));
            }
            other => self.hold(other, false, 405),
        }
    }

    fn hold(&mut self, command: &Command, no_resp: bool, code: u16) {
        if no_resp || self.message.header.no_resp {
            return;
        }
        self.session.held.push(HeldStatus {
            msg_ref: self.message.header.msg_id,
            cmd_ref: command.cmd_id().to_owned(),
            cmd: command.name().to_owned(),
            code,
        });
    }

    fn status(&mut self, status: &Status) {
        let msg_ref = self.msg_ref(status.msg_ref);
        if status.cmd_ref == "0" {
            // The client took nothing of that message.
            if status.code >= 400 {
                let (refused, kept) =
                    std::mem::take(&mut self.session.in_flight).into_iter().partition(|op| op.msg_id == msg_ref);
                self.session.in_flight = kept;
                let refused: Vec<_> = refused;
                refused.iter().for_each(|op| op.lose(Lost::HeaderRefused(status.code), self.outputs));
            }
            return;
        }
        let refs: Vec<&str> = status.target_refs.iter().chain(&status.source_refs).map(String::as_str).collect();
        let found = self.session.in_flight.iter_mut().find(|op| op.is(msg_ref, &status.cmd_ref));
        if let Some(op) = found {
            op.status(&refs, status.code, self.outputs);
        }
    }

    /// Which message of ours an answer is about: where that cannot be read, the last one, which it answers.
    fn msg_ref(&self, said: u32) -> u32 {
        if said == 0 { self.session.said } else { said }
    }

    /// What could not be read is told; where it was a value that we asked for, none comes any more.
    fn spoilt(&mut self, spoilt: &Spoilt) {
        let msg_ref = self.msg_ref(spoilt.msg_ref.unwrap_or(if spoilt.command == "Results" { 1 } else { 0 }));
        let op = spoilt.cmd_ref.as_deref().and_then(|cmd_ref| {
            let op = self.session.in_flight.iter_mut().find(|op| op.is(msg_ref, cmd_ref))?;
            if spoilt.command == "Results" {
                op.give_up_value();
            }
            Some(op.op.clone())
        });
        self.outputs.push(Output::Unreadable { op, spoilt: spoilt.clone() });
    }

    fn alert(&mut self, alert: &Alert) {
        match alert.code {
            Alert::ABORT => {
                self.session.lose_all(Lost::Aborted, self.outputs);
                self.session.chunk = None;
                self.outputs.push(Output::Aborted);
                self.next = Next::Ended;
            }
            Alert::CLIENT_EVENT | Alert::GENERIC => {
                for item in &alert.items {
                    self.event(alert, item);
                }
                if alert.items.is_empty() {
                    self.event(alert, &Item::default());
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, alert: &Alert, item: &Item) {
        let kind = item.meta.kind.as_deref().unwrap_or_default();
        let plain = kind.get(..REVERSED.len()).filter(|head| head.eq_ignore_ascii_case(REVERSED));
        let plain = plain.and_then(|head| kind.get(head.len()..)).unwrap_or(kind);
        if plain.eq_ignore_ascii_case(SYNC_TYPE) {
            self.session.sync = item.data.as_deref().and_then(SyncType::named).unwrap_or_default();
        } else if kind.eq_ignore_ascii_case(LOGIN_STATUS) {
            self.session.login = item.data.as_deref().and_then(LoginStatus::named).unwrap_or_default();
            self.outputs.push(Output::Login(self.session.login));
        } else if kind.eq_ignore_ascii_case(UNENROLMENT) && alert.code == Alert::GENERIC {
            self.outputs.push(Output::Unenrolled);
            // The management client is going: it gets its answers and nothing to do.
            self.next = Next::Ended;
        } else {
            self.outputs.push(Output::Event(ClientEvent {
                code: alert.code,
                kind: item.meta.kind.clone(),
                mark: item.meta.mark.clone(),
                source: item.source.as_ref().map(|source| source.uri.clone()),
                correlator: alert.correlator.clone(),
                data: item.data.clone(),
            }));
        }
    }

    /// Package 1 sets ./DevInfo in our copy of the tree; nothing else is the client's to set.
    fn replace(&mut self, request: &Request) -> u16 {
        let mut values = BTreeMap::new();
        for item in &request.items {
            let Some(path) = item.uri().and_then(below_dev_info) else { return 405 };
            if item.more_data {
                return 406;
            }
            let is_node = item.meta.format.as_deref() == Some("node");
            if let Some(data) = item.data.as_deref().filter(|_| !is_node && !path.is_empty()) {
                values.insert(path.to_owned(), data.to_owned());
            }
        }
        if !values.is_empty() {
            self.outputs.push(Output::DeviceInfo(values));
        }
        200
    }

    /// Files values; says whether the value that was coming in chunks went on.
    fn results(&mut self, results: &Results) -> bool {
        let msg_ref = self.msg_ref(results.msg_ref.unwrap_or(1));
        let mut went_on = false;
        for item in &results.items {
            let uri = item.uri().or(results.source_ref.as_deref()).or(results.target_ref.as_deref());
            let format = item.meta.format.as_deref().or(results.meta.format.as_deref()).unwrap_or("chr");
            let data = item.data.as_deref().unwrap_or_default();
            let chunk = self.session.chunk.take_if(|chunk| chunk.is(msg_ref, &results.cmd_ref, uri));
            let whole = match (chunk, item.more_data) {
                (None, false) => {
                    self.file(results, msg_ref, uri, format, data);
                    continue;
                }
                (chunk, more) => {
                    went_on = true;
                    let size = item.meta.size.or(results.meta.size);
                    let chunk = chunk.map_or_else(|| Chunk::begin(msg_ref, &results.cmd_ref, uri, format, size), Ok);
                    self.chunk(chunk, data, more)
                }
            };
            match whole {
                Ok(Some(Whole { uri, format, data })) => self.file(results, msg_ref, uri.as_deref(), &format, &data),
                Ok(None) => self.hold_results(results, 213),
                Err(refused) => self.hold_results(results, refused.code()),
            }
        }
        went_on
    }

    /// Takes one piece; the whole value where it was the last.
    fn chunk(&mut self, chunk: Result<Chunk, Refused>, data: &str, more: bool) -> Result<Option<Whole>, Refused> {
        let mut chunk = chunk?;
        chunk.push(data)?;
        if more {
            self.session.chunk = Some(chunk);
            return Ok(None);
        }
        chunk.finish().map(Some)
    }

    fn file(&mut self, results: &Results, msg_ref: u32, uri: Option<&str>, format: &str, data: &str) {
        let found = self.session.in_flight.iter_mut().find(|op| op.is(msg_ref, &results.cmd_ref));
        if let Some(op) = found {
            op.file(uri, format, data, self.outputs);
        }
    }

    /// Results get no Status, save chunks and what is wrong with them.
    fn hold_results(&mut self, results: &Results, code: u16) {
        self.hold(&Command::Results(results.clone()), false, code);
    }
}

/// `DevId` of `./DevInfo/DevId`; some clients leave the dot out.
fn below_dev_info(uri: &str) -> Option<&str> {
    let path = uri.strip_prefix("./").unwrap_or(uri);
    let head = path.get(.."DevInfo".len()).filter(|head| head.eq_ignore_ascii_case("DevInfo"))?;
    let rest = path.get(head.len()..)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// FNV-1a: enough to tell two messages of one authenticated client apart.
fn digest(message: &Message) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
    }
    let mut hasher = Fnv(0xCBF2_9CE4_8422_2325);
    message.hash(&mut hasher);
    hasher.finish()
}
