//! SOAP 1.2 as the enrolment client writes it, and what it checks in an answer. [MS-MDE2] 3.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use uuid::Uuid;

use super::WindowsDevice;
use crate::error::{Error, Result};
use crate::http::Request;
use crate::xml::{Element, escape};

pub(super) const ENROLMENT: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment";
pub(super) const POLICY: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy";
pub(super) const DISCOVERY: &str = "http://schemas.microsoft.com/windows/management/2012/01/enrollment";
pub(super) const CM: &str = "http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment/";
pub(super) const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
pub(super) const WST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
pub(super) const AC: &str = "http://schemas.xmlsoap.org/ws/2006/12/authorization";

/// One request: where to, what for, who asks, what.
pub(super) struct Call<'a> {
    pub(super) what: &'static str,
    pub(super) url: &'a str,
    pub(super) action: &'a str,
    /// The action that the answer must name.
    pub(super) answer: &'a str,
    /// User and password; discovery has none.
    pub(super) login: Option<(&'a str, &'a str)>,
    pub(super) body: &'a str,
}

fn envelope(call: &Call<'_>, message_id: &str) -> String {
    let mut out = format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://www.w3.org/2005/08/addressing\" \
         xmlns:u=\"{WSU}\" xmlns:wsse=\"{WSSE}\" xmlns:wst=\"{WST}\" xmlns:ac=\"{AC}\"><s:Header>\
         <a:Action s:mustUnderstand=\"1\">{}</a:Action><a:MessageID>{message_id}</a:MessageID>\
         <a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo>\
         <a:To s:mustUnderstand=\"1\">{}</a:To>",
        call.action,
        escape(call.url)
    );
    if let Some((user, password)) = call.login {
        out += &format!(
            "<wsse:Security s:mustUnderstand=\"1\"><wsse:UsernameToken u:Id=\"uuid-{}\"><wsse:Username>{}</wsse:Username>\
             <wsse:Password Type=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText\">{}\
             </wsse:Password></wsse:UsernameToken></wsse:Security>",
            Uuid::new_v4(),
            escape(user),
            escape(password)
        );
    }
    out + "</s:Header><s:Body xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
        + call.body
        + "</s:Body></s:Envelope>"
}

impl WindowsDevice {
    /// Sends, and gives the answer's Body. A fault is [`Error::Refused`] with its subcode.
    pub(super) async fn call(&mut self, call: Call<'_>) -> Result<Element> {
        let message_id = format!("urn:uuid:{}", Uuid::new_v4());
        let xml = envelope(&call, &message_id);
        let kind = "application/soap+xml; charset=utf-8";
        let request = Request::with_body(Method::POST, call.url, kind, xml).header("User-Agent", "ENROLLClient");
        let answer = self.http.send(&request).await?;
        let bad = |detail: String| Error::Malformed { what: call.what, detail };
        let soap = answer.header("content-type").starts_with("application/soap+xml");
        if !soap {
            let answer = answer.accepted(call.what)?;
            return Err(bad(format!("Content-Type {:?}", answer.header("content-type"))));
        }
        if answer.headers.contains_key("transfer-encoding") || !answer.headers.contains_key("content-length") {
            return Err(bad("no Content-Length: Windows takes none without".into()));
        }
        let root = Element::parse(&answer.body)?;
        let body = root.child("Body").ok_or_else(|| bad("no Body".into()))?;
        if let Some(fault) = body.child("Fault") {
            let code = fault.text_at(&["Code", "Subcode", "Value"]).to_owned();
            return Err(Error::Refused { what: call.what, code, text: fault.text_at(&["Reason", "Text"]).to_owned() });
        }
        let (status, action) = (answer.status, root.text_at(&["Header", "Action"]));
        if status != 200 || action != call.answer {
            return Err(bad(format!("HTTP {status}, Action {action:?}")));
        }
        if root.text_at(&["Header", "RelatesTo"]) != message_id {
            return Err(bad("RelatesTo is not the MessageID".into()));
        }
        Ok(body.clone())
    }
}

/// Base64 in lines of 64, as Windows writes its tokens.
pub(super) fn base64_lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines = text.as_bytes().chunks(64).map(|c| String::from_utf8_lossy(c).into_owned());
    lines.collect::<Vec<_>>().join("\r\n")
}

/// Base64 with any white space in it.
pub(super) fn from_base64(what: &'static str, text: &str) -> Result<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|e| Error::malformed(what, e))
}
