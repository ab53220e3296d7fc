//! What a client that waits is answered in the mail server's stead: folders with nothing in them, and in its inbox one message of ours.
//! [MS-ASCMD] 2.2.1.21 (Sync), 2.2.1.9 (GetItemEstimate), 2.2.1.10 (ItemOperations), [MS-ASEMAIL].
//!
//! Nothing is kept between two requests: all that is to be known of a collection stands in the SyncKey that we give. Keys begin as no mail
//! server's do, so that they are known again, and refused, once the client is let in ([`of_ours`]): then it begins anew, and the message
//! goes with all else that it had of us.

use lanyard_wbxml::{Element, Tag};

use crate::pages::{air_sync as tag, base, email, estimate, folders, item_operations as operations};
use crate::status::Answer;
use crate::{Command, Error, Version, decode};

/// How our keys and ids begin.
const OURS: &str = "lanyard:";

/// What is shown to a client that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which notice this is, in letters and digits, at most 32: a key of another one counts for nothing.
    pub id: String,
    /// The collection that the message goes to.
    pub inbox: Option<String>,
    /// `None`: the person is told on another way, and the inbox is empty.
    pub message: Option<Message>,
}

/// A message of plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `"Name" <address>`.
    pub from: String,
    /// The same.
    pub to: String,
    /// A line.
    pub subject: String,
    /// When it came, such as `2026-11-30T20:00:00.000Z`.
    pub received: String,
    /// Lines that end with CR LF.
    pub text: String,
}

/// An answer to Sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The answer.
    pub answer: Answer,
    /// There is nothing new in it: it may be held back for so many seconds, as far as the client asks for that.
    pub held_seconds: Option<u32>,
}

/// What a list of folders says of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbox {
    /// Its id.
    Is(String),
    /// There is none among those that it lists, or it cannot be read.
    None,
    /// It is a refusal.
    Untold,
}

/// How far a collection has come, as its key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    /// It has the message.
    told: bool,
    /// How often the client has changed something since: each time it gets another key.
    changes: u32,
}

enum Key {
    Start,
    Ours(Reached),
    Unknown,
}

impl Notice {
    fn key(&self, text: &str) -> Key {
        if text == "0" {
            return Key::Start;
        }
        let rest = text.strip_prefix(OURS).and_then(|rest| rest.strip_prefix(&*self.id)?.strip_prefix(':'));
        let reached = rest.and_then(|rest| rest.split_once(':')).and_then(|(told, changes)| {
            Some(Reached { told: told.parse::<u8>().ok()? != 0, changes: changes.parse().ok()? })
        });
        reached.map_or(Key::Unknown, Key::Ours)
    }

    fn text(&self, reached: Reached) -> String {
        format!("{OURS}{}:{}:{}", self.id, u8::from(reached.told), reached.changes)
    }

    /// The message's own id.
    fn item(&self) -> String {
        format!("{OURS}{}", self.id)
    }

    /// Answers a Sync.
    pub fn sync(&self, body: &[u8], version: Version) -> Result<Synced, Error> {
        let at_once = |status: u16| Synced { answer: sync_status(status), held_seconds: None };
        // What a client sent before is not kept: it is to say all of it.
        if body.is_empty() {
            return Ok(at_once(INCOMPLETE));
        }
        let root = decode(body, tag::SYNC)?;
        let asked = collections(&root, tag::COLLECTIONS, tag::COLLECTION);
        if asked.is_empty() || root.child(tag::PARTIAL).is_some() {
            return Ok(at_once(if version >= Version::V12_1 { INCOMPLETE } else { SYNTAX }));
        }
        let answered: Vec<(Element, bool)> =
            asked.into_iter().map(|collection| self.collection(collection, version)).collect();
        let news = answered.iter().any(|(_, news)| *news);
        let answer = sync_of(answered.into_iter().map(|(collection, _)| collection));
        let held_seconds = crate::sync::held_seconds(body).filter(|seconds| !news && *seconds > 0);
        Ok(Synced { answer, held_seconds })
    }

    /// One collection's answer, and whether there is anything new in it.
    fn collection(&self, asked: &Element, version: Version) -> (Element, bool) {
        let reached = match self.key(asked.child_text(tag::SYNC_KEY).unwrap_or_default().trim()) {
            Key::Start => return (answer(asked, &self.text(Reached { told: false, changes: 0 }), OK), true),
            Key::Unknown => return (answer(asked, "0", INVALID_KEY), true),
            Key::Ours(reached) => reached,
        };
        let commands: Vec<&Element> = asked.child(tag::COMMANDS).into_iter().flat_map(Element::elements).collect();
        let responses: Vec<Element> = commands.iter().filter_map(|command| self.response(command, version)).collect();
        let message = self.message.as_ref().filter(|_| {
            let is_inbox = self.inbox.is_some() && asked.child_text(tag::COLLECTION_ID) == self.inbox.as_deref();
            is_inbox && !reached.told && asked.child_text(tag::GET_CHANGES).map(str::trim) != Some("0")
        });
        let next = Reached {
            told: reached.told || message.is_some(),
            changes: reached.changes.saturating_add(u32::from(!commands.is_empty())),
        };
        let mut collection = answer(asked, &self.text(next), OK);
        if !responses.is_empty() {
            collection = collection.with(Element::of(tag::RESPONSES, responses));
        }
        if let Some(message) = message {
            let id = Element::text_of(tag::SERVER_ID, self.item());
            let add = Element::of(tag::ADD, [id, Element::of(tag::APPLICATION_DATA, message.properties(version))]);
            collection = collection.with(Element::of(tag::COMMANDS, [add]));
        }
        (collection, next != reached)
    }

    /// What a client's own change is answered with; `None`: it is taken in silence, as all that succeeds. Nothing is kept of it.
    fn response(&self, command: &Element, version: Version) -> Option<Element> {
        let status = |status: u16| Element::text_of(tag::STATUS, status.to_string());
        let mine = command.child_text(tag::SERVER_ID) == Some(&self.item());
        let id = command.child(tag::SERVER_ID).cloned();
        match command.tag {
            // What it wants to bring along is not taken, and not lost: it may try again.
            add if add == tag::ADD => {
                let named = command.child(tag::CLIENT_ID).cloned();
                Some(Element::of(tag::ADD, named.into_iter().chain([status(SERVER_ERROR)])))
            }
            fetch if fetch == tag::FETCH => {
                let properties = self.message.as_ref().filter(|_| mine).map(|message| message.properties(version));
                let found = if properties.is_some() { OK } else { NOT_FOUND };
                let data = properties.map(|properties| Element::of(tag::APPLICATION_DATA, properties));
                Some(Element::of(tag::FETCH, id.into_iter().chain([status(found)]).chain(data)))
            }
            change if change == tag::CHANGE && !mine => {
                Some(Element::of(tag::CHANGE, id.into_iter().chain([status(NOT_FOUND)])))
            }
            _ => None,
        }
    }

    /// Answers a GetItemEstimate.
    pub fn estimate(&self, body: &[u8]) -> Result<Answer, Error> {
        let root = decode(body, estimate::GET_ITEM_ESTIMATE)?;
        let asked = collections(&root, estimate::COLLECTIONS, estimate::COLLECTION);
        Ok(estimates(asked.into_iter().map(|asked| {
            let inbox = self.message.is_some() && self.inbox.as_deref() == asked.child_text(estimate::COLLECTION_ID);
            match self.key(asked.child_text(tag::SYNC_KEY).unwrap_or_default().trim()) {
                Key::Start => estimated(asked, ESTIMATE_NOT_PRIMED, None),
                Key::Unknown => estimated(asked, ESTIMATE_INVALID_KEY, None),
                Key::Ours(reached) => estimated(asked, OK, Some(u8::from(inbox && !reached.told))),
            }
        })))
    }

    /// Answers an ItemOperations that fetches; `None` where it asks for something else, which is to be refused.
    pub fn operations(&self, body: &[u8], version: Version) -> Result<Option<Answer>, Error> {
        let root = decode(body, operations::ITEM_OPERATIONS)?;
        if root.elements().next().is_none() || root.elements().any(|element| element.tag != operations::FETCH) {
            return Ok(None);
        }
        let status = |status: u16| Element::text_of(operations::STATUS, status.to_string());
        let fetched = root.elements().map(|fetch| {
            let mine = fetch.child_text(tag::SERVER_ID) == Some(&self.item());
            let named = [tag::COLLECTION_ID, tag::SERVER_ID].into_iter().filter_map(|tag| fetch.child(tag).cloned());
            match self.message.as_ref().filter(|_| mine) {
                Some(message) => {
                    let properties = Element::of(operations::PROPERTIES, message.properties(version));
                    let class = Element::text_of(tag::CLASS, "Email");
                    let parts = [status(OK)].into_iter().chain(named).chain([class, properties]);
                    Element::of(operations::FETCH, parts)
                }
                None => Element::of(operations::FETCH, [status(FETCH_NOT_FOUND)].into_iter().chain(named)),
            }
        });
        let response = Element::of(operations::RESPONSE, fetched);
        Ok(Some(Answer::document(&Element::of(operations::ITEM_OPERATIONS, [status(OK), response]))))
    }
}

impl Message {
    fn properties(&self, version: Version) -> Vec<Element> {
        let text = |tag, text: &str| Element::text_of(tag, text);
        let size = self.text.len().to_string();
        let mut properties = vec![
            text(email::TO, &self.to),
            text(email::FROM, &self.from),
            text(email::SUBJECT, &self.subject),
            text(email::DATE_RECEIVED, &self.received),
            text(email::DISPLAY_TO, &self.to),
            text(email::THREAD_TOPIC, &self.subject),
            text(email::IMPORTANCE, "1"),
            text(email::READ, "0"),
        ];
        let body = match version {
            Version::V2_5 => vec![
                text(email::BODY_SIZE, &size),
                text(email::BODY_TRUNCATED, "0"),
                text(email::BODY, &self.text),
                text(email::MESSAGE_CLASS, "IPM.Note"),
                text(email::INTERNET_CPID, "65001"),
            ],
            _ => {
                let plain = "1";
                let parts = [
                    text(base::TYPE, plain),
                    text(base::ESTIMATED_DATA_SIZE, &size),
                    text(base::TRUNCATED, "0"),
                    text(base::DATA, &self.text),
                ];
                vec![
                    Element::of(base::BODY, parts),
                    text(email::MESSAGE_CLASS, "IPM.Note"),
                    text(email::INTERNET_CPID, "65001"),
                    text(email::CONTENT_CLASS, "urn:content-classes:message"),
                    text(base::NATIVE_BODY_TYPE, plain),
                ]
            }
        };
        properties.extend(body);
        properties
    }
}

const OK: u16 = 1;
/// Of a collection: begin anew.
const INVALID_KEY: u16 = 3;
const SYNTAX: u16 = 4;
const SERVER_ERROR: u16 = 5;
const NOT_FOUND: u16 = 8;
/// Of a whole Sync: FolderSync first.
const FOLDERS_FIRST: u16 = 12;
/// Of a whole Sync: say all of it.
const INCOMPLETE: u16 = 13;
/// Of a collection: the same once more.
const RETRY: u16 = 16;
const ESTIMATE_NOT_PRIMED: u16 = 3;
const ESTIMATE_INVALID_KEY: u16 = 4;
const FETCH_NOT_FOUND: u16 = 6;
/// Of FolderSync: begin anew.
const FOLDERS_INVALID_KEY: u16 = 9;
/// What [MS-ASCMD] 2.2.3.186.3 calls the default Inbox.
const DEFAULT_INBOX: &str = "2";
/// The longest id of a folder.
const LONGEST_ID: usize = 64;

fn collections(root: &Element, all: Tag, one: Tag) -> Vec<&Element> {
    root.child(all).map(|all| all.children_with(one).collect()).unwrap_or_default()
}

/// A collection's answer. Old versions name its class.
fn answer(asked: &Element, key: &str, status: u16) -> Element {
    let parts = [
        asked.child(tag::CLASS).cloned(),
        Some(Element::text_of(tag::SYNC_KEY, key)),
        asked.child(tag::COLLECTION_ID).cloned(),
        Some(Element::text_of(tag::STATUS, status.to_string())),
    ];
    Element::of(tag::COLLECTION, parts.into_iter().flatten())
}

fn sync_of(collections: impl IntoIterator<Item = Element>) -> Answer {
    Answer::document(&Element::of(tag::SYNC, [Element::of(tag::COLLECTIONS, collections)]))
}

fn sync_status(status: u16) -> Answer {
    Answer::document(&Element::of(tag::SYNC, [Element::text_of(tag::STATUS, status.to_string())]))
}

fn estimated(asked: &Element, status: u16, estimate: Option<u8>) -> Element {
    let number = |tag, number: u16| Element::text_of(tag, number.to_string());
    let named = [estimate::CLASS, estimate::COLLECTION_ID].into_iter().filter_map(|tag| asked.child(tag).cloned());
    let estimate = estimate.map(|estimate| number(estimate::ESTIMATE, estimate.into()));
    let collection = Element::of(estimate::COLLECTION, named.chain(estimate));
    Element::of(estimate::RESPONSE, [number(estimate::STATUS, status), collection])
}

fn estimates(responses: impl IntoIterator<Item = Element>) -> Answer {
    Answer::document(&Element::of(estimate::GET_ITEM_ESTIMATE, responses))
}

/// The answer to a Sync of a client whose folders we do not know: it is to ask for them first.
pub fn folders_first() -> Answer {
    sync_status(FOLDERS_FIRST)
}

/// The answer to a FolderSync of such a client that asks for no more than what has changed: it is to begin anew.
pub fn all_folders() -> Answer {
    let status = Element::text_of(folders::STATUS, FOLDERS_INVALID_KEY.to_string());
    Answer::document(&Element::of(folders::FOLDER_SYNC, [status]))
}

/// Whether a FolderSync asks for all folders.
pub fn asks_for_all(body: &[u8]) -> bool {
    let root = decode(body, folders::FOLDER_SYNC);
    root.is_ok_and(|root| root.child_text(folders::SYNC_KEY).is_some_and(|key| key.trim() == "0"))
}

/// Which folder is the inbox, by the mail server's answer to a FolderSync.
pub fn inbox(answer: &[u8]) -> Inbox {
    let Ok(root) = decode(answer, folders::FOLDER_SYNC) else { return Inbox::None };
    if root.child_text(folders::STATUS) != Some("1") {
        return Inbox::Untold;
    }
    let added = root.child(folders::CHANGES).into_iter().flat_map(|changes| changes.children_with(folders::ADD));
    let found = added.into_iter().find(|folder| folder.child_text(folders::TYPE).map(str::trim) == Some(DEFAULT_INBOX));
    match found.and_then(|folder| folder.child_text(folders::SERVER_ID)) {
        Some(id) if !id.is_empty() && id.len() <= LONGEST_ID => Inbox::Is(id.to_owned()),
        _ => Inbox::None,
    }
}

/// Whether a client that is let in still goes by a key of ours: then the answer that has it begin anew, which is not left to the mail
/// server. What else such a request says is left for the next one.
pub fn of_ours(command: Command, body: &[u8]) -> Option<Answer> {
    // Most bodies are told by this alone.
    if !body.windows(OURS.len()).any(|piece| piece == OURS.as_bytes()) {
        return None;
    }
    let ours = |asked: &Element| asked.child_text(tag::SYNC_KEY).is_some_and(|key| key.trim().starts_with(OURS));
    match command {
        Command::Sync => {
            let root = decode(body, tag::SYNC).ok()?;
            let asked = collections(&root, tag::COLLECTIONS, tag::COLLECTION);
            asked.iter().any(|asked| ours(asked)).then(|| {
                // Those of which nothing is said have no news; but what the client changes there was not heard.
                let left = |asked: &Element| asked.child(tag::COMMANDS).is_some();
                sync_of(asked.into_iter().filter_map(|asked| match ours(asked) {
                    true => Some(answer(asked, "0", INVALID_KEY)),
                    false if left(asked) => {
                        let key = asked.child_text(tag::SYNC_KEY).unwrap_or_default();
                        Some(answer(asked, key, RETRY))
                    }
                    false => None,
                }))
            })
        }
        Command::GetItemEstimate => {
            let root = decode(body, estimate::GET_ITEM_ESTIMATE).ok()?;
            let asked = collections(&root, estimate::COLLECTIONS, estimate::COLLECTION);
            let of_ours: Vec<Element> = asked
                .into_iter()
                .filter(|asked| ours(asked))
                .map(|asked| estimated(asked, ESTIMATE_INVALID_KEY, None))
                .collect();
            (!of_ours.is_empty()).then(|| estimates(of_ours))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
