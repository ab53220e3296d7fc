//! Refusals: a status in the root of the document from 14.0, an HTTP code before. [MS-ASCMD] 2.2.2.

use lanyard_wbxml::{Element, Tag};

use crate::{Command, Version, encode};

/// The content type of all documents.
pub const CONTENT_TYPE: &str = "application/vnd.ms-sync.wbxml";

/// What goes back over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP code.
    pub http: u16,
    /// May be empty.
    pub body: Vec<u8>,
    /// `None` where the body is empty.
    pub content_type: Option<&'static str>,
}

impl Answer {
    /// 200 with a document.
    pub fn document(root: &Element) -> Answer {
        Answer { http: 200, body: encode(root), content_type: Some(CONTENT_TYPE) }
    }

    /// A code alone.
    pub fn http(code: u16) -> Answer {
        Answer { http: code, body: Vec::new(), content_type: None }
    }
}

/// A status common to all commands. [MS-ASCMD] 2.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// The body is not what the command asks for.
    pub const INVALID_CONTENT: Status = Status(101);
    /// The body is not WBXML.
    pub const INVALID_WBXML: Status = Status(102);
    /// The body is another document.
    pub const INVALID_XML: Status = Status(103);
    /// DeviceId missing or not valid.
    pub const DEVICE_ID: Status = Status(108);
    /// DeviceType missing or not valid.
    pub const DEVICE_TYPE: Status = Status(109);
    /// Our fault.
    pub const SERVER_ERROR: Status = Status(110);
    /// The mail server is away: retry later.
    pub const RETRY_LATER: Status = Status(111);
    /// This device is blocked for this user, or was wiped.
    pub const DEVICE_BLOCKED: Status = Status(129);
    /// No such command.
    pub const COMMAND_NOT_SUPPORTED: Status = Status(137);
    /// No such version.
    pub const VERSION_NOT_SUPPORTED: Status = Status(138);
    /// The client cannot comply with the whole policy.
    pub const NOT_FULLY_PROVISIONABLE: Status = Status(139);
    /// A wipe is waiting: provision to hear of it.
    pub const WIPE_REQUESTED: Status = Status(140);
    /// No policy key yet.
    pub const NOT_PROVISIONED: Status = Status(142);
    /// The policy has changed.
    pub const REFRESH: Status = Status(143);
    /// A key that is not the current one.
    pub const INVALID_KEY: Status = Status(144);
    /// Managed by somebody else, which is not accepted.
    pub const EXTERNALLY_MANAGED: Status = Status(145);
    /// DeviceInformation is missing in phase 1 of Provision; from 14.1.
    pub const DEVICE_INFORMATION: Status = Status(165);
    /// Too many devices for this user.
    pub const DEVICE_LIMIT: Status = Status(177);

    /// The HTTP code that says the same up to 12.1.
    pub fn http(self) -> u16 {
        match self.0 {
            101..=109 | 138 | 165 => 400,
            111 => 503,
            126 | 127 | 129..=131 | 139 | 145 | 177 => 403,
            137 => 501,
            140 | 142..=144 => 449,
            _ => 500,
        }
    }
}

/// Refuses a command in the form of the version: the status in the command's own document, or the HTTP code where
/// the version or the command has no such document.
pub fn refusal(version: Version, command: Command, status: Status) -> Answer {
    if version.has_common_status()
        && let Some(root) = root_status(command, status)
    {
        return Answer::document(&root);
    }
    Answer::http(status.http())
}

/// The longest document that says no more than that a command is refused.
pub const LONGEST_REFUSAL: usize = 512;

/// The common status by which a mail server refuses a command until its client has provisioned: 140 to 144 in the root of whatever
/// command, or in the one Result of a MeetingResponse.
pub fn wants_provision(body: &[u8]) -> Option<Status> {
    let short = Some(body).filter(|body| body.len() <= LONGEST_REFUSAL)?;
    let root = lanyard_wbxml::decode(short, &crate::pages::PAGES, &crate::LIMITS).ok()?.root;
    let at = |element: &Element| Some(element.child_named("Status")?.text()?.trim().parse::<u16>().ok());
    let status = at(&root).or_else(|| at(root.child_named("Result")?))?;
    status.filter(|status| (140..=144).contains(status)).map(Status)
}

/// Whether what has come of a body may still turn out to be such a refusal: what is held open and is none must not wait to its end.
pub fn may_want_provision(begun: &[u8]) -> bool {
    // The head; then, perhaps on another page, a root with content, and after the switch that may stand there an element of it.
    let head = [0x03, 0x01, 0x6A, 0x00];
    if begun.len() <= head.len() {
        return head.starts_with(begun);
    }
    let Some(rest) = begun.strip_prefix(&head) else { return false };
    begun.len() <= LONGEST_REFUSAL && !opens_more(rest)
}

/// The names of elements that a refusal has.
fn opens_more(mut rest: &[u8]) -> bool {
    let (mut page, mut depth) = (0, 0);
    loop {
        rest = match rest {
            [] | [0x00] => return false,
            [0x00, switched, more @ ..] => {
                page = *switched;
                more
            }
            [token, more @ ..] if depth == 0 && token & 0x40 != 0 => {
                depth = 1;
                more
            }
            [token, ..] => {
                let name = crate::pages::PAGES.tag(page, token & 0x3F).name;
                return !matches!(name, Some("Status" | "Result"));
            }
        };
    }
}

/// `Root{Status}` of a command; `None` for GetAttachment and the obsolete commands, which have no document.
fn root_status(command: Command, status: Status) -> Option<Element> {
    let (page, root, token) = match command {
        Command::Sync => (0, 0x05, 0x0E),
        Command::MoveItems => (5, 0x05, 0x0B),
        Command::GetItemEstimate => (6, 0x05, 0x0E),
        Command::FolderSync => (7, 0x16, 0x0C),
        Command::FolderCreate => (7, 0x13, 0x0C),
        Command::FolderDelete => (7, 0x14, 0x0C),
        Command::FolderUpdate => (7, 0x15, 0x0C),
        Command::MeetingResponse => (8, 0x07, 0x0B),
        Command::ResolveRecipients => (10, 0x05, 0x07),
        Command::ValidateCert => (11, 0x05, 0x0A),
        Command::Ping => (13, 0x05, 0x07),
        Command::Provision => (14, 0x05, 0x0B),
        Command::Search => (15, 0x05, 0x0C),
        Command::Settings => (18, 0x05, 0x06),
        Command::ItemOperations => (20, 0x05, 0x0D),
        Command::SendMail => (21, 0x05, 0x12),
        Command::SmartForward => (21, 0x06, 0x12),
        Command::SmartReply => (21, 0x07, 0x12),
        Command::Find => (25, 0x05, 0x0A),
        Command::GetAttachment
        | Command::GetHierarchy
        | Command::CreateCollection
        | Command::DeleteCollection
        | Command::MoveCollection => return None,
    };
    let tag = |token| Tag { page, token, name: None };
    let status = Element::text_of(tag(token), status.0.to_string());
    Some(match command {
        // The only one whose root has no Status of its own.
        Command::MeetingResponse => Element::of(tag(root), [Element::of(tag(0x0A), [status])]),
        _ => Element::of(tag(root), [status]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PAGES;
    use crate::ping::End;
    use lanyard_wbxml::{Limits, decode};

    #[test]
    fn a_sync_is_told_to_provision() {
        let answer = refusal(Version::V14_1, Command::Sync, Status::NOT_PROVISIONED);
        let want = [0x03, 0x01, 0x6A, 0x00, 0x45, 0x4E, 0x03, 0x31, 0x34, 0x32, 0x00, 0x01, 0x01];
        assert_eq!((answer.http, answer.body.as_slice()), (200, &want[..]));
        let answer = refusal(Version::V12_1, Command::Sync, Status::NOT_PROVISIONED);
        assert_eq!(answer, Answer { http: 449, body: vec![], content_type: None });
    }

    #[test]
    fn every_document_names_command_and_status() {
        for command in Command::ALL {
            let answer = refusal(Version::V16_1, *command, Status::DEVICE_BLOCKED);
            if answer.body.is_empty() {
                assert_eq!(answer.http, 403, "{command}");
                continue;
            }
            let root = decode(&answer.body, &PAGES, &Limits::SMALL).unwrap().root;
            assert_eq!(root.name(), Some(command.name()), "{command}");
            let at = root.child_named("Result").unwrap_or(&root);
            assert_eq!(at.child_named("Status").and_then(Element::text), Some("129"), "{command}");
        }
    }

    #[test]
    fn a_mail_servers_refusal_is_recognised_in_every_command() {
        for command in Command::ALL {
            for status in 135..150 {
                let answer = refusal(Version::V16_1, *command, Status(status));
                if answer.body.is_empty() {
                    continue;
                }
                let want = (140..=144).contains(&status).then_some(Status(status));
                assert_eq!(wants_provision(&answer.body), want, "{command} {status}");
                for end in 0..=answer.body.len() {
                    assert!(may_want_provision(&answer.body[..end]), "{command} to byte {end}");
                }
            }
        }
        // Beside its status a server may say more (FolderSync with an empty SyncKey).
        let more = [0x03, 0x01, 0x6A, 0, 0, 7, 0x56, 0x4C, 3, b'1', b'4', b'3', 0, 1, 0x52, 3, b'0', 0, 1, 1];
        assert_eq!(wants_provision(&more), Some(Status::REFRESH));
        // A Sync that goes on, something that is no document, and nothing.
        for (row, begun, may) in [
            ("collections", &[3, 1, 0x6A, 0, 0x45, 0x5C, 0x4F][..], false),
            ("text", b"piece", false),
            ("nothing yet", b"", true),
            ("its head", &[3, 1, 0x6A, 0, 0x45], true),
        ] {
            assert_eq!(may_want_provision(begun), may, "{row}");
        }
        assert_eq!(wants_provision(&End::Elapsed.answer().body), None);
    }

    #[test]
    fn old_versions_get_the_code_of_the_table() {
        for (status, http) in [
            (101, 400),
            (108, 400),
            (110, 500),
            (111, 503),
            (126, 403),
            (129, 403),
            (137, 501),
            (138, 400),
            (139, 403),
            (140, 449),
            (142, 449),
            (143, 449),
            (144, 449),
            (145, 403),
            (177, 403),
        ] {
            assert_eq!(Status(status).http(), http, "{status}");
        }
    }
}
