//! The envelope around each answer, and the writing of what is in it.

use crate::xml;

const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";

/// Writes elements one after the other; the caller keeps them balanced.
#[derive(Default)]
pub(super) struct Writer(String);

impl Writer {
    /// Opens an element; `head` is its name with attributes, written as it is.
    pub(super) fn open(&mut self, head: &str) -> &mut Writer {
        self.0.push('<');
        self.0.push_str(head);
        self.0.push('>');
        self
    }

    pub(super) fn close(&mut self, name: &str) -> &mut Writer {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        self
    }

    /// A whole element with text, which is escaped.
    pub(super) fn leaf(&mut self, head: &str, text: &str) -> &mut Writer {
        self.open(head);
        self.0.push_str(&xml::escaped(text));
        let name = head.split(' ').next().unwrap_or(head);
        self.close(name)
    }

    /// An element that says it has no value.
    pub(super) fn nil(&mut self, name: &str) -> &mut Writer {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push_str(" xsi:nil=\"true\"/>");
        self
    }
}

/// An envelope: action, the request's MessageID, more header, body.
pub(super) fn envelope(
    action: &str,
    relates_to: Option<&str>,
    header: impl FnOnce(&mut Writer),
    body: impl FnOnce(&mut Writer),
) -> String {
    let mut out = Writer::default();
    out.open(&format!("s:Envelope xmlns:s=\"{SOAP}\" xmlns:a=\"{ADDRESSING}\""));
    out.open("s:Header").leaf("a:Action s:mustUnderstand=\"1\"", action);
    if let Some(relates_to) = relates_to {
        out.leaf("a:RelatesTo", relates_to);
    }
    header(&mut out);
    out.close("s:Header").open(
        "s:Body xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"",
    );
    body(&mut out);
    out.close("s:Body").close("s:Envelope");
    out.0
}
