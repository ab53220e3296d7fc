//! An idle PC says the same at the beginning of each session, but for the SessionID: the second time it is answered without being read.
//!
//! The answer to such a message depends on nothing but the message, as long as [`Idle`] stands; `the_answer_is_the_same` holds that.

use crate::{
    channel::span,
    fleet::{
        life::Channel,
        registry::presence::{Idle, KnownAnswer},
    },
    ids::Fingerprint,
    server::Server,
};
use lanyard_omadm::{session::Answer, syncml::ContentType};
use std::ops::Range;

const OPEN: &[u8] = b"<SessionID>";
const CLOSE: &[u8] = b"</SessionID>";
/// Longer ones are read: they are no package 1 of an idle PC.
const LONGEST: usize = 8 * 1024;

/// The answer to a message that is known but for its SessionID; `None`: it must be read.
pub(super) fn answer(server: &Server, shown: &Fingerprint, form: ContentType, body: &[u8]) -> Option<Vec<u8>> {
    let known = server.presence.idle(shown, None, server.now())?;
    let kept = known.known_answer.read().ok()?;
    let answer = again(kept.as_ref().filter(|_| known.channel == Channel::Omadm)?, form, body)?;
    span::whose(known.enrolment, Some(known.device));
    Some(answer)
}

fn again(kept: &KnownAnswer, form: ContentType, body: &[u8]) -> Option<Vec<u8>> {
    let place = session_id(body)?;
    let id = body.get(place.clone())?;
    (kept.question == digest(form, body, &place)?).then(|| [&kept.head, id, &kept.tail].concat())
}

/// Remembers a message of an idle device and what it was answered.
pub(super) fn remember(known: &Idle, form: ContentType, body: &[u8], answer: &Answer) {
    if let (Some(kept), Ok(mut place)) = (kept(form, body, answer), known.known_answer.write()) {
        *place = Some(kept);
    }
}

fn kept(form: ContentType, body: &[u8], answer: &Answer) -> Option<KnownAnswer> {
    let (asked, answered) = (session_id(body)?, session_id(&answer.body)?);
    if answer.content_type != form || body.get(asked.clone()) != answer.body.get(answered.clone()) {
        return None;
    }
    let (head, tail) = (answer.body.get(..answered.start)?.into(), answer.body.get(answered.end..)?.into());
    Some(KnownAnswer { question: digest(form, body, &asked)?, head, tail })
}

/// Where the one SessionID's text is; letters and digits only, so that it stands for itself in the answer as well.
fn session_id(body: &[u8]) -> Option<Range<usize>> {
    if body.len() > LONGEST {
        return None;
    }
    let start = find(body, OPEN)? + OPEN.len();
    let rest = body.get(start..)?;
    let length = find(rest, CLOSE)?;
    let plain = (1..=32).contains(&length) && rest.get(..length)?.iter().all(u8::is_ascii_alphanumeric);
    (plain && find(rest, OPEN).is_none()).then_some(start..start + length)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn digest(form: ContentType, body: &[u8], without: &Range<usize>) -> Option<[u8; 32]> {
    let mut sha = openssl::sha::Sha256::new();
    sha.update(form.as_str().as_bytes());
    sha.update(body.get(..without.start)?);
    // What stands on either side must not run together.
    sha.update(&[0]);
    sha.update(body.get(without.end..)?);
    Some(sha.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanyard_omadm::{session::Session, syncml::Message};

    const FORM: &str = "application/vnd.syncml.dm+xml";

    fn message(session: &str, rest: &str) -> Vec<u8> {
        format!(
            "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
             <SessionID>{session}</SessionID><MsgID>1</MsgID><Target><LocURI>https://mdm/omadm</LocURI></Target>\
             <Source><LocURI>DEVICE</LocURI></Source></SyncHdr><SyncBody><Alert><CmdID>2</CmdID><Data>1201</Data></Alert>\
             {rest}<Final/></SyncBody></SyncML>"
        )
        .into_bytes()
    }

    fn computed(body: &[u8]) -> Answer {
        let form = ContentType::parse(FORM).unwrap();
        let (turn, _) = Session::new().receive(&Message::parse(body, form).unwrap(), form);
        turn.answer(&[], "https://mdm/omadm").1
    }

    #[test]
    fn the_answer_is_the_same() {
        let form = ContentType::parse(FORM).unwrap();
        let first = message("1A", "");
        let kept = kept(form, &first, &computed(&first)).unwrap();
        for session in ["1A", "1B", "7", "FFFF0123"] {
            let next = message(session, "");
            assert_eq!(again(&kept, form, &next), Some(computed(&next).body), "{session}");
        }
    }

    #[test]
    fn what_differs_is_read() {
        let form = ContentType::parse(FORM).unwrap();
        let first = message("1A", "");
        let kept = kept(form, &first, &computed(&first)).unwrap();
        let more = "<Alert><CmdID>3</CmdID><Data>1226</Data></Alert>";
        for (row, body) in [
            ("another command", message("1B", more)),
            ("a SessionID that is none", message("<x/>", "")),
            ("an empty one", message("", "")),
            ("two of them", message("1B", "<SessionID>1</SessionID>")),
            (
                "another message",
                String::from_utf8(message("1B", "")).unwrap().replace("<MsgID>1", "<MsgID>2").into_bytes(),
            ),
        ] {
            assert_eq!(again(&kept, form, &body), None, "{row}");
        }
    }
}
