//! A PC for the tests: OpenSSL for TLS, HTTP by hand, messages as text. It shares no code with the server.

use openssl::{
    cms::{CMSOptions, CmsContentInfo},
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    ssl::{SslConnector, SslMethod, SslVerifyMode},
    x509::{X509, X509NameBuilder, X509ReqBuilder},
};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const TRUST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
const ENROLMENT: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment";
pub const SOAP: &str = "application/soap+xml; charset=utf-8";
pub const DM: &str = "application/vnd.syncml.dm+xml";

pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[derive(Clone)]
pub struct Identity {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// Where requests go, under which name.
#[derive(Clone, Copy)]
pub struct To<'a> {
    pub address: SocketAddr,
    pub name: &'a str,
}

/// The status of the answer to a POST of which the head alone is sent, which says that so many bytes follow.
pub fn begin(to: To<'_>, who: &Identity, path: &str, kind: &str, length: usize) -> u16 {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_certificate(&who.certificate).unwrap();
    builder.set_private_key(&who.key).unwrap();
    let stream = TcpStream::connect(to.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut stream = builder.build().connect(to.name, stream).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n",
        to.name
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    std::str::from_utf8(&line[9..]).unwrap().parse().unwrap()
}

/// One POST on a connection of its own. Each answer must be whole by its Content-Length.
pub fn post(to: To<'_>, who: Option<&Identity>, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    if let Some(who) = who {
        builder.set_certificate(&who.certificate).unwrap();
        builder.set_private_key(&who.key).unwrap();
    }
    let mut config = builder.build().configure().unwrap();
    config.set_verify_hostname(false);
    let stream = TcpStream::connect(to.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut stream = config.connect(to.name, stream).unwrap();
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", to.name);
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).unwrap();
    // Refused unread, the server may have closed already.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
    let body = answer[end + 4..].to_vec();
    assert_eq!(headers.get("content-length"), Some(&body.len().to_string()), "{head}");
    Reply { status, headers, body }
}

/// What stands between the first such pair of tags, prefixes and attributes aside.
pub fn within<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let open = text.match_indices(tag).find(|(at, _)| {
        let before = text[..*at].chars().next_back();
        let after = text[at + tag.len()..].chars().next();
        matches!(before, Some('<' | ':')) && matches!(after, Some('>' | ' '))
    })?;
    let rest = &text[open.0..];
    let rest = &rest[rest.find('>')? + 1..];
    Some(&rest[..rest.find("</")?])
}

pub fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

pub fn csr(key: &PKey<Private>) -> Vec<u8> {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "not to be trusted").unwrap();
    let mut request = X509ReqBuilder::new().unwrap();
    request.set_subject_name(&name.build()).unwrap();
    request.set_pubkey(key).unwrap();
    request.sign(key, MessageDigest::sha256()).unwrap();
    request.build().to_der().unwrap()
}

/// A renewal: the new key's request, signed by the old one.
pub fn renewal(old: &Identity, key: &PKey<Private>) -> Vec<u8> {
    let options = CMSOptions::BINARY | CMSOptions::NOSMIMECAP;
    let signed = CmsContentInfo::sign(Some(&old.certificate), Some(&old.key), None, Some(&csr(key)), options);
    signed.unwrap().to_der().unwrap()
}

/// RequestSecurityToken. `kind`: Issue with `PKCS10`, Renew with `PKCS7`.
pub fn token_request(user: &str, code: &str, (kind, form): (&str, &str), request: &[u8], device: &str) -> String {
    let request = openssl::base64::encode_block(request);
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://www.w3.org/2005/08/addressing\">\
         <s:Header><a:Action>{ENROLMENT}/RST/wstep</a:Action><a:MessageID>urn:uuid:1</a:MessageID><Security><UsernameToken>\
         <Username>{user}</Username><Password>{code}</Password></UsernameToken></Security></s:Header><s:Body>\
         <RequestSecurityToken xmlns=\"{TRUST}\"><RequestType>{TRUST}/{kind}</RequestType><BinarySecurityToken \
         ValueType=\"{ENROLMENT}#{form}\">{request}</BinarySecurityToken><AdditionalContext><ContextItem Name=\"DeviceID\">\
         <Value>{device}</Value></ContextItem><ContextItem Name=\"HWDevID\"><Value>HW{device}</Value></ContextItem>\
         <ContextItem Name=\"DeviceName\"><Value>DESK</Value></ContextItem></AdditionalContext></RequestSecurityToken>\
         </s:Body></s:Envelope>"
    )
}

/// The provisioning document of an answer.
pub fn document(reply: &Reply) -> String {
    let text = reply.text();
    let token = within(&text, "BinarySecurityToken").unwrap_or_else(|| panic!("{} {text}", reply.status));
    String::from_utf8(openssl::base64::decode_block(token).unwrap()).unwrap()
}

/// The device's own certificate in a provisioning document.
pub fn own_certificate(document: &str) -> X509 {
    let from = document.find("type=\"My\"").unwrap();
    let marker = "name=\"EncodedCertificate\" value=\"";
    let rest = &document[from..];
    let rest = &rest[rest.find(marker).unwrap() + marker.len()..];
    X509::from_der(&openssl::base64::decode_block(&rest[..rest.find('"').unwrap()]).unwrap()).unwrap()
}

/// A SyncML message of the device.
pub fn message(device: &str, session: u32, number: u32, body: &str) -> String {
    format!(
        "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>{session}\
         </SessionID><MsgID>{number}</MsgID><Target><LocURI>https://localhost/omadm</LocURI></Target><Source><LocURI>{device}\
         </LocURI></Source></SyncHdr><SyncBody>{body}<Final/></SyncBody></SyncML>"
    )
}

pub const FIRST: &str = "<Alert><CmdID>2</CmdID><Data>1201</Data></Alert><Replace><CmdID>3</CmdID><Item><Source><LocURI>\
    ./DevInfo/Mod</LocURI></Source><Data>Book 3</Data></Item></Replace>";

pub const LEAVING: &str = "<Alert><CmdID>2</CmdID><Data>1226</Data><Item><Meta>\
    <Type xmlns=\"syncml:metinf\">com.microsoft:mdm.unenrollment.userrequest</Type></Meta><Data>1</Data></Item></Alert>";

/// The commands of an answer: verb, CmdID, node.
pub fn commands(answer: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for verb in ["Get", "Exec", "Replace", "Add", "Delete"] {
        for part in answer.split(&format!("<{verb}>")).skip(1) {
            let part = part.split(&format!("</{verb}>")).next().unwrap();
            let node = within(part, "LocURI").unwrap_or_default().to_owned();
            found.push((verb.to_owned(), within(part, "CmdID").unwrap().to_owned(), node));
        }
    }
    found
}

/// A good Status for the header and for each command.
pub fn statuses(answer: &str, code: u16) -> String {
    let message = within(answer, "MsgID").unwrap();
    let status = |cmd: &str, reference: &str, code: u16| {
        format!(
            "<Status><CmdID>9{reference}</CmdID><MsgRef>{message}</MsgRef><CmdRef>{reference}</CmdRef><Cmd>{cmd}</Cmd>\
             <Data>{code}</Data></Status>"
        )
    };
    let commands = commands(answer);
    let rows = commands.iter().map(|(verb, id, _)| status(verb, id, code));
    status("SyncHdr", "0", 200) + &rows.collect::<String>()
}
