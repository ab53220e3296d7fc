//! SyncML 1.2 as Windows writes it, and the server's messages read into commands. OMA-TS-SyncML_RepPro, OMA-TS-DM_Protocol.

use std::fmt::Write;

use crate::error::{Error, Result};
use crate::xml::{Element, escape};

const WHAT: &str = "SyncML";

/// One message of the server.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) msg_id: u32,
    pub(super) max_msg_size: Option<usize>,
    pub(super) resp_uri: Option<String>,
    pub(super) statuses: Vec<Status>,
    pub(super) commands: Vec<Command>,
    pub(super) last: bool,
}

/// The server's word on something we sent.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) msg_ref: u32,
    pub(super) cmd_ref: u32,
    pub(super) code: u16,
    /// Scheme and next nonce of a challenge.
    pub(super) challenge: Option<(String, String)>,
}

/// A command of the server; Atomic and Sequence hold others.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) id: u32,
    pub(super) verb: String,
    pub(super) items: Vec<Item>,
    pub(super) children: Vec<Command>,
    pub(super) alert: Option<u16>,
}

/// One item of a command.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) target: String,
    pub(super) format: String,
    pub(super) data: String,
}

fn number(e: &Element, path: &[&str]) -> Result<u32> {
    let text = e.text_at(path);
    text.parse().map_err(|_| Error::malformed(WHAT, format!("{path:?} is {text:?}")))
}

impl Incoming {
    /// Reads one; it must be of this session and to this device.
    pub(super) fn read(bytes: &[u8], session: u32, device: &str) -> Result<Incoming> {
        let root = Element::parse(bytes)?;
        let bad = |detail: String| Error::Malformed { what: WHAT, detail };
        let header = root.child("SyncHdr").ok_or_else(|| bad("no SyncHdr".into()))?;
        let body = root.child("SyncBody").ok_or_else(|| bad("no SyncBody".into()))?;
        if (header.text_at(&["VerDTD"]), header.text_at(&["VerProto"])) != ("1.2", "DM/1.2") {
            return Err(bad("not DM 1.2".into()));
        }
        if header.text_at(&["SessionID"]) != session.to_string() {
            return Err(bad(format!("SessionID {:?} in session {session}", header.text_at(&["SessionID"]))));
        }
        if header.text_at(&["Target", "LocURI"]) != device {
            return Err(bad(format!("Target {:?}", header.text_at(&["Target", "LocURI"]))));
        }
        let mut incoming = Incoming {
            msg_id: number(header, &["MsgID"])?,
            max_msg_size: header.text_at(&["Meta", "MaxMsgSize"]).parse().ok(),
            resp_uri: header.child("RespURI").map(|e| e.text.clone()),
            statuses: Vec::new(),
            commands: Vec::new(),
            last: body.child("Final").is_some(),
        };
        let mut ids = Vec::new();
        for element in &body.children {
            match element.name.as_str() {
                "Final" => {}
                "Status" => incoming.statuses.push(status(element, &mut ids)?),
                "Results" => return Err(bad("Results from a server".into())),
                _ => incoming.commands.push(command(element, &mut ids)?),
            }
        }
        ids.sort_unstable();
        if ids.windows(2).any(|w| w.first() == w.last()) || ids.first() == Some(&0) {
            return Err(bad(format!("CmdIDs {ids:?}")));
        }
        Ok(incoming)
    }
}

fn status(e: &Element, ids: &mut Vec<u32>) -> Result<Status> {
    ids.push(number(e, &["CmdID"])?);
    let challenge = e.at(&["Chal", "Meta"]);
    let challenge = challenge.map(|m| (m.text_at(&["Type"]).to_owned(), m.text_at(&["NextNonce"]).to_owned()));
    let code = number(e, &["Data"])?;
    Ok(Status {
        msg_ref: number(e, &["MsgRef"])?,
        cmd_ref: number(e, &["CmdRef"])?,
        code: u16::try_from(code).map_err(|_| Error::malformed(WHAT, format!("status {code}")))?,
        challenge,
    })
}

fn command(e: &Element, ids: &mut Vec<u32>) -> Result<Command> {
    let id = number(e, &["CmdID"])?;
    ids.push(id);
    let default_format = e.text_at(&["Meta", "Format"]);
    let items = e.all("Item").map(|item| {
        let own = item.text_at(&["Meta", "Format"]);
        let format = [own, default_format, "chr"].into_iter().find(|f| !f.is_empty()).unwrap_or_default();
        let data = item.child("Data").map(|d| d.text.clone()).unwrap_or_default();
        Item { target: item.text_at(&["Target", "LocURI"]).to_owned(), format: format.to_owned(), data }
    });
    let items = items.collect();
    let inner =
        |c: &&Element| matches!(c.name.as_str(), "Get" | "Add" | "Replace" | "Delete" | "Exec" | "Atomic" | "Sequence");
    let children = e.children.iter().filter(inner).map(|c| command(c, ids)).collect::<Result<Vec<_>>>()?;
    Ok(Command { id, verb: e.name.clone(), items, children, alert: e.text_at(&["Data"]).parse().ok() })
}

/// What goes into our messages.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Code for a command of theirs; TargetRef where a command had several items.
    Status { msg_ref: u32, cmd_ref: u32, verb: String, target: Option<String>, code: u16 },
    /// Nodes read for one Get: path, format, data.
    Results { msg_ref: u32, cmd_ref: u32, items: Vec<(String, String, String)> },
    /// A plain alert.
    Alert(u16),
    /// A generic alert (code, type, format, mark, data).
    Event { code: u16, kind: String, format: Option<&'static str>, mark: Option<&'static str>, data: String },
    /// The DevInfo that opens a session.
    DevInfo(Vec<(&'static str, String)>),
}

/// The header of our messages.
pub(super) struct Header<'a> {
    pub(super) session: u32,
    pub(super) msg_id: u32,
    pub(super) target: &'a str,
    pub(super) source: &'a str,
    /// User name, scheme and digest.
    pub(super) cred: Option<(&'a str, &'a str, &'a str)>,
}

/// A whole message. Command ids count from `first_id`: Windows starts its first message with 2. Returns the ids of what wants a Status.
pub(super) fn write(header: &Header<'_>, first_id: u32, parts: &[Part]) -> (String, Vec<u32>) {
    let mut out = format!(
        "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>{}</SessionID>\
         <MsgID>{}</MsgID><Target><LocURI>{}</LocURI></Target><Source><LocURI>{}</LocURI>",
        header.session,
        header.msg_id,
        escape(header.target),
        escape(header.source)
    );
    if let Some((name, scheme, digest)) = header.cred {
        out += &format!(
            "<LocName>{}</LocName></Source><Cred><Meta><Format xmlns=\"syncml:metinf\">b64</Format>\
             <Type xmlns=\"syncml:metinf\">{scheme}</Type></Meta><Data>{digest}</Data></Cred></SyncHdr><SyncBody>",
            escape(name)
        );
    } else {
        out += "</Source></SyncHdr><SyncBody>";
    }
    let mut expected = Vec::new();
    for (id, part) in (first_id..).zip(parts) {
        if !matches!(part, Part::Status { .. } | Part::Results { .. }) {
            expected.push(id);
        }
        // Writing to a String cannot fail.
        let _ = part.write(id, &mut out);
    }
    (out + "<Final/></SyncBody></SyncML>", expected)
}

impl Part {
    fn write(&self, id: u32, out: &mut String) -> std::fmt::Result {
        match self {
            Part::Status { msg_ref, cmd_ref, verb, target, code } => {
                write!(
                    out,
                    "<Status><CmdID>{id}</CmdID><MsgRef>{msg_ref}</MsgRef><CmdRef>{cmd_ref}</CmdRef><Cmd>{verb}</Cmd>"
                )?;
                if let Some(target) = target {
                    write!(out, "<TargetRef>{}</TargetRef>", escape(target))?;
                }
                write!(out, "<Data>{code}</Data></Status>")
            }
            Part::Results { msg_ref, cmd_ref, items } => {
                write!(out, "<Results><CmdID>{id}</CmdID><MsgRef>{msg_ref}</MsgRef><CmdRef>{cmd_ref}</CmdRef>")?;
                for (path, format, data) in items {
                    write!(out, "<Item><Source><LocURI>{}</LocURI></Source>", escape(path))?;
                    if format != "chr" {
                        write!(out, "<Meta><Format xmlns=\"syncml:metinf\">{format}</Format></Meta>")?;
                    }
                    write!(out, "<Data>{}</Data></Item>", escape(data))?;
                }
                write!(out, "</Results>")
            }
            Part::Alert(code) => write!(out, "<Alert><CmdID>{id}</CmdID><Data>{code}</Data></Alert>"),
            Part::Event { code, kind, format, mark, data } => {
                write!(out, "<Alert><CmdID>{id}</CmdID><Data>{code}</Data><Item><Meta>")?;
                write!(out, "<Type xmlns=\"syncml:metinf\">{kind}</Type>")?;
                if let Some(format) = format {
                    write!(out, "<Format xmlns=\"syncml:metinf\">{format}</Format>")?;
                }
                if let Some(mark) = mark {
                    write!(out, "<Mark xmlns=\"syncml:metinf\">{mark}</Mark>")?;
                }
                write!(out, "</Meta><Data>{}</Data></Item></Alert>", escape(data))
            }
            Part::DevInfo(nodes) => {
                write!(out, "<Replace><CmdID>{id}</CmdID>")?;
                for (name, data) in nodes {
                    write!(
                        out,
                        "<Item><Source><LocURI>./DevInfo/{name}</LocURI></Source><Data>{}</Data></Item>",
                        escape(data)
                    )?;
                }
                write!(out, "</Replace>")
            }
        }
    }
}
