//! A small mail server that speaks ActiveSync over plain HTTP with basic authentication: a stand-in for the organisation's own.
//!
//! It has no policies until it is given one: then it wants a key of its own, and may be told to wipe.

mod own_policy;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use tokio::sync::watch;

use crate::error::Result;
use crate::serve::{Answer, Asked, Listener, Manner, reply};
use crate::wbxml::tags::{SUBJECT, air_sync, folder, ping, settings};
use crate::wbxml::{Element, leaf, node};

const PATH: &str = "/Microsoft-Server-ActiveSync";
const WBXML: &str = "application/vnd.ms-sync.wbxml";
const INBOX: &str = "5";
const COMMANDS: &str = "Sync,SendMail,FolderSync,GetItemEstimate,Settings,Ping,ItemOperations,Provision";

/// One request that reached the server, let in or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The login's name; empty where there was none.
    pub user: String,
    /// From the query; empty on OPTIONS.
    pub device: String,
    /// `Cmd`, or `OPTIONS`.
    pub command: String,
    /// The answer's HTTP status.
    pub status: u16,
    /// `X-MS-PolicyKey`, where there was one: a gateway keeps its own to itself.
    pub policy_key: Option<String>,
    /// `MS-ASProtocolVersion`.
    pub version: String,
}

/// A running server. Dropping it closes its port and connections.
pub struct MailServer {
    listener: Listener,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    accounts: Mutex<BTreeMap<String, Account>>,
    visits: Mutex<Vec<Visit>>,
    versions: Mutex<String>,
    own: Mutex<Option<own_policy::Own>>,
}

struct Account {
    password: String,
    mail: watch::Sender<Vec<String>>,
    /// How many mails each device has been told of.
    told: BTreeMap<String, usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MailServer {
    /// Opens a port of loopback, any if 0.
    pub async fn start(port: u16) -> Result<MailServer> {
        let shared = Arc::new(Shared::default());
        *lock(&shared.versions) = "2.5,12.0,12.1,14.0,14.1,16.0,16.1".into();
        let serving = shared.clone();
        let handler = move |asked| {
            let shared = serving.clone();
            async move { shared.serve(asked).await }
        };
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = Listener::start(addr, Manner::default(), handler).await?;
        Ok(MailServer { listener, shared })
    }

    /// Its address for a gateway.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.listener.addr)
    }

    /// Adds a user, or changes the password of one. A new one finds a mail of welcome.
    pub fn set_user(&self, user: &str, password: &str) {
        let mut accounts = lock(&self.shared.accounts);
        let account = accounts.entry(user.to_lowercase()).or_insert_with(|| Account {
            password: String::new(),
            mail: watch::Sender::new(vec!["Welcome".into()]),
            told: BTreeMap::new(),
        });
        account.password = password.to_owned();
    }

    /// The versions it says it speaks, as the header has them.
    pub fn set_versions(&self, versions: &str) {
        *lock(&self.shared.versions) = versions.to_owned();
    }

    /// Asks for this from now on: elements of EASProvisionDoc by their tokens on page 14.
    pub fn set_policy(&self, rules: &[(u8, &str)]) {
        let rules = rules.iter().map(|(token, value)| (*token, (*value).to_owned())).collect();
        lock(&self.shared.own).get_or_insert_default().rules = rules;
    }

    /// Somebody orders a wipe here.
    pub fn order_wipe(&self, device: &str) {
        lock(&self.shared.own).get_or_insert_default().wiping.insert(device.to_owned());
    }

    /// What the device itself said of it.
    pub fn wiped(&self, device: &str) -> Option<String> {
        lock(&self.shared.own).as_ref()?.wiped.get(device).cloned()
    }

    /// What the device said of the policy, each time.
    pub fn acknowledged(&self, device: &str) -> Vec<String> {
        lock(&self.shared.own).as_ref().and_then(|own| own.acknowledged.get(device).cloned()).unwrap_or_default()
    }

    /// Puts a mail into a user's inbox, which answers the Pings held for it.
    pub fn deliver(&self, user: &str, subject: &str) {
        if let Some(account) = lock(&self.shared.accounts).get(&user.to_lowercase()) {
            account.mail.send_modify(|mail| mail.push(subject.to_owned()));
        }
    }

    /// All that reached it, oldest first. A Ping counts when it is answered.
    pub fn visits(&self) -> Vec<Visit> {
        lock(&self.shared.visits).clone()
    }

    /// How many commands of each device reached it, OPTIONS apart.
    pub fn devices(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for visit in lock(&self.shared.visits).iter().filter(|v| !v.device.is_empty()) {
            *counts.entry(visit.device.clone()).or_insert(0) += 1;
        }
        counts
    }
}

impl Shared {
    async fn serve(&self, asked: Asked) -> Answer {
        let query = query(asked.uri.query().unwrap_or_default());
        let text = |key: &str| query.get(key).cloned().unwrap_or_default();
        let login = login(asked.header("authorization"));
        let command = if asked.method == Method::OPTIONS { "OPTIONS".into() } else { text("Cmd") };
        let (user, device) = (login.as_ref().map(|(u, _)| u.clone()).unwrap_or_default(), text("DeviceId"));
        let answer = match login.filter(|login| self.knows(login)) {
            _ if asked.uri.path() != PATH => reply(404, &[], ""),
            None => reply(401, &[("WWW-Authenticate", "Basic realm=\"mail\"")], ""),
            Some((user, _)) if command == "OPTIONS" => self.options(&user),
            Some((user, _)) => self.command(&command, &user.to_lowercase(), &device, &asked).await,
        };
        let visit = Visit {
            user,
            device,
            command,
            status: answer.status().as_u16(),
            policy_key: Some(asked.header("x-ms-policykey").to_owned()).filter(|k| !k.is_empty()),
            version: asked.header("ms-asprotocolversion").to_owned(),
        };
        lock(&self.visits).push(visit);
        answer
    }

    fn knows(&self, (user, password): &(String, String)) -> bool {
        lock(&self.accounts).get(&user.to_lowercase()).is_some_and(|a| a.password == *password)
    }

    fn options(&self, _user: &str) -> Answer {
        let versions = lock(&self.versions).clone();
        reply(200, &[("MS-ASProtocolVersions", &versions), ("MS-ASProtocolCommands", COMMANDS)], "")
    }

    async fn command(&self, command: &str, user: &str, device: &str, asked: &Asked) -> Answer {
        let document = match asked.body.is_empty() {
            true => None,
            false => match Element::decode(&asked.body) {
                Ok(document) => Some(document),
                Err(_) => return reply(400, &[], ""),
            },
        };
        let key = asked.header("x-ms-policykey");
        let own = lock(&self.own).as_mut().and_then(|own| own.answer(command, device, key, document.as_ref()));
        if let Some(answer) = own.filter(|_| command != "Ping") {
            return answer;
        }
        match (command, document) {
            ("FolderSync", Some(document)) => wbxml(&folders(document.text_at(&[folder::SYNC_KEY]))),
            ("Sync", Some(document)) => self.sync(user, device, &document),
            ("Ping", document) => self.ping(user, device, document.as_ref()).await,
            ("Settings", Some(_)) => {
                let information = node(settings::DEVICE_INFORMATION, [leaf(settings::STATUS, 1)]);
                wbxml(&node(settings::SETTINGS, [leaf(settings::STATUS, 1), information]))
            }
            ("SendMail", _) => reply(200, &[], ""),
            _ => reply(501, &[], ""),
        }
    }

    /// SyncKey 0 gets a key; the key is the number of mails told plus one.
    fn sync(&self, user: &str, device: &str, document: &Element) -> Answer {
        let asked = document.at(&[air_sync::COLLECTIONS, air_sync::COLLECTION]);
        let key: Option<usize> = asked.and_then(|c| c.text_at(&[air_sync::SYNC_KEY]).parse().ok());
        let mut accounts = lock(&self.accounts);
        let (Some(key), Some(account)) = (key, accounts.get_mut(user)) else { return reply(400, &[], "") };
        let mail = account.mail.borrow().clone();
        let from = key.saturating_sub(1);
        let mut parts = Vec::new();
        let next = if key == 0 { 1 } else { mail.len() + 1 };
        if key > 0 {
            if from >= mail.len() {
                return reply(200, &[], "");
            }
            let adds = mail.iter().enumerate().skip(from).map(|(n, subject)| {
                let data = node(air_sync::APPLICATION_DATA, [leaf(SUBJECT, subject)]);
                node(air_sync::ADD, [leaf(air_sync::SERVER_ID, format!("{INBOX}:{}", n + 1)), data])
            });
            parts.push(node(air_sync::COMMANDS, adds));
            account.told.insert(device.to_owned(), mail.len());
        }
        let head = [leaf(air_sync::SYNC_KEY, next), leaf(air_sync::COLLECTION_ID, INBOX), leaf(air_sync::STATUS, 1)];
        let collection = node(air_sync::COLLECTION, head.into_iter().chain(parts));
        wbxml(&node(air_sync::SYNC, [node(air_sync::COLLECTIONS, [collection])]))
    }

    /// Held until there is mail that this device was not told of, or the heartbeat is over.
    async fn ping(&self, user: &str, device: &str, document: Option<&Element>) -> Answer {
        let seconds = document.and_then(|d| d.text_at(&[ping::HEARTBEAT]).parse::<u64>().ok()).unwrap_or(480);
        if !(60..=3540).contains(&seconds) {
            let limit = if seconds < 60 { 60 } else { 3540 };
            return wbxml(&node(ping::PING, [leaf(ping::STATUS, 5), leaf(ping::HEARTBEAT, limit)]));
        }
        let (mut mail, told) = {
            let accounts = lock(&self.accounts);
            let Some(account) = accounts.get(user) else { return reply(401, &[], "") };
            (account.mail.subscribe(), account.told.get(device).copied().unwrap_or(0))
        };
        let news = tokio::time::timeout(Duration::from_secs(seconds), mail.wait_for(|mail| mail.len() > told));
        let changed = matches!(news.await, Ok(Ok(_)));
        let mut parts = vec![leaf(ping::STATUS, if changed { 2 } else { 1 })];
        if changed {
            parts.push(node(ping::FOLDERS, [leaf(ping::FOLDER, INBOX)]));
        }
        wbxml(&node(ping::PING, parts))
    }
}

fn wbxml(document: &Element) -> Answer {
    reply(200, &[("Content-Type", WBXML), ("MS-Server-ActiveSync", "16.1")], document.encode())
}

fn folders(key: &str) -> Element {
    let known = [(INBOX, "Inbox", "2"), ("4", "Sent", "5"), ("3", "Calendar", "8")];
    let adds = known.map(|(id, name, kind)| {
        node(
            folder::ADD,
            [
                leaf(folder::SERVER_ID, id),
                leaf(folder::PARENT_ID, 0),
                leaf(folder::DISPLAY_NAME, name),
                leaf(folder::TYPE, kind),
            ],
        )
    });
    let adds = adds.into_iter().filter(|_| key == "0");
    let count = leaf(folder::COUNT, if key == "0" { known.len() } else { 0 });
    let changes = node(folder::CHANGES, std::iter::once(count).chain(adds));
    node(folder::FOLDER_SYNC, [leaf(folder::STATUS, 1), leaf(folder::SYNC_KEY, 1), changes])
}

fn login(header: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), unescape(value))).collect()
}

fn unescape(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        let pair = (byte == b'%').then(|| bytes.next().zip(bytes.next())).flatten();
        match pair.and_then(|(a, b)| Some((char::from(a).to_digit(16)?, char::from(b).to_digit(16)?))) {
            Some((a, b)) => out.push(u8::try_from(a * 16 + b).unwrap_or(b'?')),
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
