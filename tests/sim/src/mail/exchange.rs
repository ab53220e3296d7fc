//! Requests of a mail app and how their answers are read: versions, headers, and the statuses that say "not like this". [MS-ASHTTP] 2.2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;

use super::{MailClient, VERSIONS, Version};
use crate::error::{Error, Result};
use crate::http::{Reading, Request, Response};
use crate::wbxml::tags::{air_sync, folder, ping, settings};
use crate::wbxml::{Element, Tag};

const WBXML: &str = "application/vnd.ms-sync.wbxml";
const PATH: &str = "/Microsoft-Server-ActiveSync";

/// An answer to a command other than Provision.
#[derive(Debug)]
pub(super) enum Answer {
    /// Its document; `None` where the body is empty.
    Document(Option<Element>),
    /// Provision first. `true`: a wipe waits.
    Provision { wipe: bool },
    /// No access: the EAS or HTTP status.
    Denied(u16),
}

impl MailClient {
    fn url(&self, command: Option<&str>) -> String {
        let base = format!("{}{PATH}", self.world.public_url);
        let f = &self.facts;
        match command {
            None => base,
            Some(command) => format!(
                "{base}?Cmd={command}&User={}&DeviceId={}&DeviceType={}",
                percent(&f.user),
                percent(&f.device_id),
                percent(&f.device_type)
            ),
        }
    }

    fn dressed(&self, request: Request) -> Request {
        let f = &self.facts;
        let login = STANDARD.encode(format!("{}:{}", f.user, f.password));
        request.header("Authorization", format!("Basic {login}")).header("User-Agent", f.user_agent.clone())
    }

    /// Asks which versions the server speaks, and takes the newest of ours.
    pub async fn options(&mut self) -> Result<Version> {
        let mut request = self.dressed(Request::get(self.url(None)));
        request.method = Method::OPTIONS;
        let answer = self.http.send(&request).await?.accepted("OPTIONS")?;
        let spoken = answer.header("ms-asprotocolversions").to_owned();
        if !answer.header("ms-asprotocolcommands").split(',').any(|c| c.trim() == "Provision") {
            return Err(Error::malformed("OPTIONS", "no Provision among MS-ASProtocolCommands"));
        }
        let offered = |v: &Version| spoken.split(',').any(|s| s.trim() == format!("{}.{}", v.0, v.1));
        let best = VERSIONS.iter().find(|v| **v <= self.facts.newest && offered(v));
        let best = *best.ok_or_else(|| Error::malformed("OPTIONS", format!("no version of ours in {spoken:?}")))?;
        self.version = Some(best);
        Ok(best)
    }

    /// Sends a command; any HTTP status is an answer. The policy key goes along except on Ping.
    pub(super) async fn post(&mut self, command: &'static str, body: Vec<u8>, reading: Reading) -> Result<Response> {
        let (major, minor) = self.version.ok_or(Error::Gone("OPTIONS comes first"))?;
        let request = Request { body: Bytes::from(body), ..Request::get(self.url(Some(command))) };
        let mut request = self.dressed(request).header("MS-ASProtocolVersion", format!("{major}.{minor}"));
        request.method = Method::POST;
        if !request.body.is_empty() {
            request = request.header("Content-Type", WBXML);
        }
        if command != "Ping" {
            request = request.header("X-MS-PolicyKey", self.key.to_string());
        }
        self.http.send_and(&request, reading).await
    }

    /// Sends a command that is neither Provision nor without a document, and sorts its answer.
    pub(super) async fn command(&mut self, command: &'static str, document: &Element) -> Result<Answer> {
        let answer = self.post(command, document.encode(), Reading::Read).await?;
        match answer.status {
            449 => return Ok(Answer::Provision { wipe: false }),
            403 => return Ok(Answer::Denied(403)),
            _ => {}
        }
        let answer = answer.accepted(command)?;
        if answer.body.is_empty() {
            return Ok(Answer::Document(None));
        }
        let root = document_of(command, &answer)?;
        Ok(match root.text_at(&[status_of(root.tag)]).parse::<u16>() {
            Ok(140) => Answer::Provision { wipe: true },
            Ok(142..=144) => Answer::Provision { wipe: false },
            Ok(status @ (126..=131 | 139 | 141 | 145 | 177)) => Answer::Denied(status),
            Ok(status @ 101..=199) => {
                return Err(Error::Refused { what: command, code: status.to_string(), text: "common status".into() });
            }
            _ => Answer::Document(Some(root)),
        })
    }
}

/// The document of an answer, which must say what it is and how long.
pub(super) fn document_of(what: &'static str, answer: &Response) -> Result<Element> {
    let kind = answer.header("content-type");
    if !kind.starts_with("application/vnd.ms-sync") {
        return Err(Error::malformed(what, format!("Content-Type {kind:?}")));
    }
    Element::decode(&answer.body)
}

/// Where a common status stands under each root.
fn status_of(root: Tag) -> Tag {
    match root {
        folder::FOLDER_SYNC => folder::STATUS,
        ping::PING => ping::STATUS,
        settings::SETTINGS => settings::STATUS,
        _ => air_sync::STATUS,
    }
}

/// A value in a query.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
