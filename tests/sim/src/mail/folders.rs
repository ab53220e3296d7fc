//! Reading mail: FolderSync, Sync of the inbox, and the Ping that is held open until something happens. [MS-ASCMD] 2.2.1.5, 2.2.1.13, 2.2.1.21.

use std::time::Duration;

use super::exchange::Answer;
use super::provision::Provisioned;
use super::{MailClient, Verdict};
use crate::error::{Error, Result};
use crate::wbxml::tags::{SUBJECT, air_sync, folder, ping};
use crate::wbxml::{Element, leaf, node};

/// Rounds of "provision first" before a client gives up for now.
const ROUNDS: usize = 4;
/// The one message of who waits to be let in.
const NOTICE: &str = "Your device waits to be let in";
/// FolderSync's Type of the inbox.
const INBOX: &str = "2";

/// How a Ping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingEnd {
    /// Its time ran out and nothing happened (Status 1).
    Elapsed,
    /// There is mail (2).
    Changes,
    /// FolderSync first (7): the way a server calls its client.
    Folders,
    /// Another status.
    Other(u16),
    /// No access.
    Denied(u16),
}

impl MailClient {
    /// Sends a command until it is neither refused for want of a policy nor answered with a wipe.
    async fn persist(
        &mut self,
        name: &'static str,
        document: &Element,
    ) -> Result<std::result::Result<Option<Element>, Verdict>> {
        for _ in 0..ROUNDS {
            let done = match self.command(name, document).await? {
                Answer::Document(document) => return Ok(Ok(document)),
                Answer::Denied(status) => return Ok(Err(Verdict::Denied(status))),
                Answer::Provision { wipe: true } => self.ask_for_directive().await?,
                Answer::Provision { wipe: false } => self.provision().await?,
            };
            match done {
                Provisioned::Wiped => return Ok(Err(Verdict::Gone)),
                Provisioned::Denied(status) => return Ok(Err(Verdict::Denied(status))),
                Provisioned::Key | Provisioned::NoPolicy => {}
            }
        }
        Err(Error::Refused { what: name, code: "142".into(), text: "whatever is provisioned".into() })
    }

    /// The folders, or what changed among them.
    pub async fn folder_sync(&mut self) -> Result<Verdict> {
        let request = node(folder::FOLDER_SYNC, [leaf(folder::SYNC_KEY, &self.folder_key)]);
        let root = match self.persist("FolderSync", &request).await? {
            Ok(Some(root)) => root,
            Ok(None) => return Err(Error::malformed("FolderSync", "an empty answer")),
            Err(verdict) => return Ok(verdict),
        };
        match root.text_at(&[folder::STATUS]) {
            "1" => {}
            // The server forgot us: from the beginning, next time.
            "9" => {
                self.folder_key = "0".into();
                return Ok(Verdict::Taken);
            }
            other => {
                return Err(Error::Refused { what: "FolderSync", code: other.into(), text: "Status".into() });
            }
        }
        self.folder_key = root.text_at(&[folder::SYNC_KEY]).to_owned();
        for add in root.child(folder::CHANGES).into_iter().flat_map(|c| c.all(folder::ADD)) {
            if add.text_at(&[folder::TYPE]) == INBOX {
                self.sync_keys.entry(add.text_at(&[folder::SERVER_ID]).to_owned()).or_insert_with(|| "0".into());
            }
            let (id, name) = (add.text_at(&[folder::SERVER_ID]), add.text_at(&[folder::DISPLAY_NAME]));
            self.folders.insert(id.to_owned(), name.to_owned());
        }
        Ok(Verdict::Taken)
    }

    /// New mail of all folders that are synchronised. The first Sync of a folder gets its key, the second the mail.
    pub async fn read_mail(&mut self) -> Result<Verdict> {
        for (id, mut key) in self.sync_keys.clone() {
            for _ in 0..2 {
                let first = key == "0";
                match self.sync(&id, &key).await? {
                    Ok(next) => key = next,
                    Err(verdict) => return Ok(verdict),
                }
                self.sync_keys.insert(id.clone(), key.clone());
                if !first {
                    break;
                }
            }
        }
        let waits = self.mail.iter().any(|subject| subject == NOTICE);
        Ok(if waits { Verdict::Waits } else { Verdict::Taken })
    }

    async fn sync(&mut self, id: &str, key: &str) -> Result<std::result::Result<String, Verdict>> {
        let mut parts = vec![leaf(air_sync::SYNC_KEY, key), leaf(air_sync::COLLECTION_ID, id)];
        if key != "0" {
            parts.push(node(air_sync::GET_CHANGES, []));
        }
        let collections = node(air_sync::COLLECTIONS, [node(air_sync::COLLECTION, parts)]);
        let root = match self.persist("Sync", &node(air_sync::SYNC, [collections])).await? {
            // Nothing new: an empty answer, the key stays.
            Ok(None) => return Ok(Ok(key.to_owned())),
            Ok(Some(root)) => root,
            Err(verdict) => return Ok(Err(verdict)),
        };
        // The folders first: they are asked for with the next check.
        if root.text_at(&[air_sync::STATUS]) == "12" {
            return Ok(Ok(key.to_owned()));
        }
        let collection = root.at(&[air_sync::COLLECTIONS, air_sync::COLLECTION]);
        let collection = collection.ok_or_else(|| Error::malformed("Sync", "no Collection"))?;
        match collection.text_at(&[air_sync::STATUS]) {
            "1" => {}
            // From the beginning: what came of this folder is gone.
            "3" => {
                self.mail.retain(|subject| subject != NOTICE);
                return Ok(Ok("0".to_owned()));
            }
            other => return Err(Error::Refused { what: "Sync", code: other.into(), text: "Status".into() }),
        }
        for add in collection.child(air_sync::COMMANDS).into_iter().flat_map(|c| c.all(air_sync::ADD)) {
            self.mail.push(add.text_at(&[air_sync::APPLICATION_DATA, SUBJECT]).to_owned());
        }
        Ok(Ok(collection.text_at(&[air_sync::SYNC_KEY]).to_owned()))
    }

    /// Holds a Ping open until the server answers it.
    pub async fn ping(&mut self) -> Result<PingEnd> {
        let watched = self.sync_keys.keys().map(|id| {
            node(ping::FOLDER, [leaf(ping::ID, id), leaf(ping::CLASS, "Email")]) //
        });
        let folders = node(ping::FOLDERS, watched);
        let request = node(ping::PING, [leaf(ping::HEARTBEAT, self.heartbeat.as_secs()), folders]);
        let usual = self.http.settings();
        let patient = crate::http::Settings { timeout: self.heartbeat + Duration::from_secs(60), ..usual };
        self.http.set_settings(patient);
        let answer = self.command("Ping", &request).await;
        self.http.set_settings(usual);
        Ok(match answer? {
            Answer::Denied(status) => PingEnd::Denied(status),
            // Not by the protocol's book, but the cure is the same.
            Answer::Provision { .. } => PingEnd::Folders,
            Answer::Document(root) => match root.map(|r| r.text_at(&[ping::STATUS]).to_owned()).as_deref() {
                Some("1") => PingEnd::Elapsed,
                Some("2") => PingEnd::Changes,
                Some("7") => PingEnd::Folders,
                Some(other) => PingEnd::Other(other.parse().unwrap_or(0)),
                None => return Err(Error::malformed("Ping", "an empty answer")),
            },
        })
    }
}
