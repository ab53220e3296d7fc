//! One OMA-DM session after the other: package 1, then answers until the server has nothing more. OMA-TS-DM_Protocol 8.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use openssl::hash::{MessageDigest, hash};

use super::perform::Done;
use super::syncml::{Header, Incoming, Part, write};
use super::{State, WindowsDevice};
use crate::conduct::Conduct;
use crate::error::{Error, Result};
use crate::http::{Reading, Request};

/// More messages than any honest session has.
const MAX_MESSAGES: u32 = 500;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server had nothing more.
    Finished,
    /// Told to unenrol: broken off without a word; the next session says goodbye.
    Unenrolling,
    /// Goodbye was said, and everything forgotten.
    Unenrolled,
    /// Told to wipe, said so, and reset.
    Wiped,
    /// One side broke it off by Alert 1223.
    Aborted,
}

/// What a session came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// How it ended.
    pub end: End,
    /// Messages sent.
    pub messages: u32,
    /// Commands received, alerts apart.
    pub commands: usize,
}

/// A session under way.
struct Course {
    id: u32,
    msg: u32,
    url: String,
    /// Scheme and digest once challenged.
    cred: Option<(String, String)>,
    commands: usize,
    /// The next message is Alert 1223 and nothing else: a result was larger than the server's MaxMsgSize.
    abort: bool,
}

impl WindowsDevice {
    /// Holds one whole session. After an error the session is over; what was done stays done, and the next call begins a new one.
    pub async fn sync(&mut self) -> Result<Session> {
        match self.state {
            State::Enrolled | State::Leaving => {}
            State::New => return Err(Error::Gone("not enrolled")),
            State::Unenrolled => return Err(Error::Gone("unenrolled")),
            State::Wiped => return Err(Error::Gone("wiped")),
        }
        self.sessions += 1;
        let addr = self.the_account()?.addr.clone();
        let join = if addr.contains('?') { '&' } else { '?' };
        let url = format!("{addr}{join}mode=Maintenance&Platform=WoA");
        let mut course = Course { id: self.sessions, msg: 0, url, cred: None, commands: 0, abort: false };
        let result = self.hold(&mut course).await;
        if !self.http.settings().keep_alive {
            self.http.close();
        }
        result.map(|end| Session { end, messages: course.msg, commands: course.commands })
    }

    async fn hold(&mut self, course: &mut Course) -> Result<End> {
        let leaving = self.state == State::Leaving;
        let package1 = self.package1(leaving);
        // CmdID 1 is left for the Status that a repeat after a challenge begins with.
        let mut incoming = self.exchange(course, 2, &package1).await?;
        if let Some((scheme, nonce)) = challenge(&incoming) {
            course.cred = Some((scheme.clone(), self.digest(&scheme, &nonce)?));
            let mut parts = vec![status_of_header(incoming.msg_id)];
            parts.extend(package1);
            incoming = self.exchange(course, 1, &parts).await?;
            if challenge(&incoming).is_some() {
                return Err(Error::Refused { what: "DM session", code: "401".into(), text: "challenged again".into() });
            }
        }
        if leaving {
            self.forget(State::Unenrolled);
            return Ok(End::Unenrolled);
        }
        loop {
            if course.abort {
                let parts = [status_of_header(incoming.msg_id), Part::Alert(1223)];
                self.exchange(course, 1, &parts).await?;
                return Ok(End::Aborted);
            }
            if incoming.commands.is_empty() {
                return Ok(End::Finished);
            }
            tokio::time::sleep(self.conduct.think).await;
            let mut done = self.perform_all(course.id, incoming.msg_id, &incoming.commands);
            course.commands += done.commands;
            if done.unenrol {
                self.state = State::Leaving;
                self.http.close();
                return Ok(End::Unenrolling);
            }
            let parts = answer(course, &incoming, &mut done);
            let sent = self.exchange(course, 1, &parts).await;
            if done.wipe && (sent.is_ok() || self.conduct.erase_unheard) {
                self.heard(&done);
                self.forget(State::Wiped);
                return sent.map(|_| End::Wiped);
            }
            incoming = sent?;
            self.heard(&done);
            if done.aborted {
                return Ok(End::Aborted);
            }
        }
    }

    fn heard(&self, done: &Done) {
        for id in &done.acts {
            self.world.ledger.heard(&self.facts.device_id, id);
        }
    }

    fn package1(&self, leaving: bool) -> Vec<Part> {
        let event = |code, kind: &str, data: &str| Part::Event {
            code,
            kind: kind.into(),
            format: None,
            mark: None,
            data: data.into(),
        };
        let mut parts = vec![Part::Alert(1201), event(1224, "com.microsoft/MDM/LoginStatus", &self.login_status)];
        if leaving {
            parts.push(Part::Event {
                code: 1226,
                kind: "com.microsoft:mdm.unenrollment.userrequest".into(),
                format: Some("int"),
                mark: Some("critical"),
                data: "1".into(),
            });
        }
        let node =
            |name: &'static str| (name, self.tree.value(&format!("./DevInfo/{name}")).unwrap_or_default().to_owned());
        parts.push(Part::DevInfo(["DevId", "Man", "Mod", "DmV", "Lang"].into_iter().map(node).collect()));
        parts
    }

    /// Sends one message and reads the answer, which must have a Status for all that wants one.
    async fn exchange(&mut self, course: &mut Course, first_id: u32, parts: &[Part]) -> Result<Incoming> {
        course.msg += 1;
        if course.msg > MAX_MESSAGES {
            return Err(Error::malformed("DM session", "no end of it"));
        }
        let account = self.the_account()?;
        let cred =
            course.cred.as_ref().map(|(scheme, digest)| (account.login.0.as_str(), scheme.as_str(), digest.as_str()));
        let source = self.facts.device_id.clone();
        let header = Header { session: course.id, msg_id: course.msg, target: &account.addr, source: &source, cred };
        let (xml, expected) = write(&header, first_id, parts);
        let body = self.post(&course.url, xml).await?;
        let incoming = Incoming::read(&body, course.id, &source)?;
        if let Some(url) = &incoming.resp_uri {
            course.url.clone_from(url);
        }
        let about = |id: &u32| incoming.statuses.iter().any(|s| s.msg_ref == course.msg && s.cmd_ref == *id);
        let refused = challenge(&incoming).is_some();
        match std::iter::once(0).chain(expected).find(|id| !(about(id) || (refused && *id > 0))) {
            Some(id) => {
                Err(Error::malformed("DM session", format!("no Status for message {}, CmdID {id}", course.msg)))
            }
            None => Ok(incoming),
        }
    }

    async fn post(&mut self, url: &str, xml: String) -> Result<bytes::Bytes> {
        let request = Request::with_body(Method::POST, url, "application/vnd.syncml.dm+xml", xml)
            .header(
                "Accept",
                "application/vnd.syncml.dm+xml, application/vnd.syncml.dm+wbxml, application/octet-stream",
            )
            .header("Accept-Charset", "UTF-8")
            .header("User-Agent", "MSFT OMA DM Client/1.2.0.1");
        let mut left = self.retries;
        let answer = loop {
            let reading = repeat_or(&mut self.conduct);
            if reading.1 {
                self.http.send_and(&request, Reading::Read).await?;
            }
            match self.http.send_and(&request, reading.0).await {
                Err(e) if e.is_transport() && left > 0 => {
                    left -= 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => break other?,
            }
        };
        let answer = answer.accepted("DM session")?;
        if !answer.header("content-type").starts_with("application/vnd.syncml.dm+xml") {
            return Err(Error::malformed("DM session", format!("Content-Type {:?}", answer.header("content-type"))));
        }
        if answer.headers.contains_key("transfer-encoding") || !answer.headers.contains_key("content-length") {
            return Err(Error::malformed("DM session", "no Content-Length: Windows takes none without"));
        }
        Ok(answer.body)
    }

    fn digest(&self, scheme: &str, nonce: &str) -> Result<String> {
        let (name, secret, _) = &self.the_account()?.login;
        if scheme == "syncml:auth-basic" {
            return Ok(STANDARD.encode(format!("{name}:{secret}")));
        }
        let nonce = STANDARD.decode(nonce).map_err(|e| Error::malformed("NextNonce", e))?;
        md5_digest(name, secret, &nonce)
    }
}

/// B64(H(B64(H(user:password)):nonce)). OMA-TS-DM_Security 5.3.
fn md5_digest(name: &str, secret: &str, nonce: &[u8]) -> Result<String> {
    let inner = STANDARD.encode(hash(MessageDigest::md5(), format!("{name}:{secret}").as_bytes())?);
    Ok(STANDARD.encode(hash(MessageDigest::md5(), &[inner.as_bytes(), b":", nonce].concat())?))
}

/// How the answer is read, and whether the message goes out twice.
fn repeat_or(conduct: &mut Conduct) -> (Reading, bool) {
    (conduct.next_reading(), conduct.next_repeat())
}

fn status_of_header(msg_ref: u32) -> Part {
    Part::Status { msg_ref, cmd_ref: 0, verb: "SyncHdr".into(), target: None, code: 200 }
}

/// Scheme and nonce, where the server wants to know who asks.
fn challenge(incoming: &Incoming) -> Option<(String, String)> {
    let status = incoming.statuses.iter().find(|s| s.cmd_ref == 0 && matches!(s.code, 401 | 407))?;
    Some(status.challenge.clone().unwrap_or_default())
}

/// Statuses and results; where a result is larger than the server takes, none of it and an abort to follow, as Windows does.
fn answer(course: &mut Course, incoming: &Incoming, done: &mut Done) -> Vec<Part> {
    let mut parts = vec![status_of_header(incoming.msg_id)];
    let limit = incoming.max_msg_size.unwrap_or(usize::MAX);
    for part in done.parts.drain(..) {
        let size = match &part {
            Part::Results { items, .. } => items.iter().map(|(_, _, data)| data.len()).sum(),
            _ => 0,
        };
        if size > limit {
            course.abort = true;
        } else {
            parts.push(part);
        }
    }
    if !incoming.last {
        parts.push(Part::Alert(1222));
    }
    parts
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_the_specifications() {
        // The user, password and nonce of OMA-TS-DM_Security's example: Bruce2, OhBehave, Nonce.
        assert_eq!(super::md5_digest("Bruce2", "OhBehave", b"Nonce").unwrap(), "Zz6EivR3yeaaENcRN6lpAQ==");
    }
}
