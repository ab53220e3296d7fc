//! Mail to people whose client waits to be let in, through a server that takes it. Nobody waits for that: a letter lies in the store until it was taken.

use super::{
    Server, host,
    mail_server::MailServer,
    waiting::{Facts, SUBJECT},
};
use crate::{
    error::Result,
    fleet::enrol::waiting::{self, Letter},
    http::server_certificate::certificates,
    ids::unhex,
};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::{net::IpAddr, time::Duration};

/// For each step of the dialog. All of it is over before the letter is due again.
const STEP: Duration = Duration::from_secs(15);
/// For the whole dialog.
const PATIENCE: Duration = Duration::from_secs(90);
/// Letters taken at once.
const BATCH: usize = 10;

/// Or why not, in words.
type Said<T> = std::result::Result<T, String>;

/// See the module. It holds a password, and has no Debug.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What the last letter met with.
    pub trouble: MailServer,
}

/// Whether a user's name is an address that mail can be sent to.
pub fn is_address(name: &str) -> bool {
    name.parse::<Address>().is_ok()
}

impl Smtp {
    /// From the flags; `extra` are roots (PEM) to be trusted besides the system's, `name` is ours. No error repeats the URL, which may hold a
    /// password.
    pub fn of(url: Option<&str>, from: Option<&str>, extra: &[u8], name: &str) -> Said<Option<Self>> {
        let (url, from) = match (url, from) {
            (Some(url), Some(from)) => (url, from),
            (None, None) => return Ok(None),
            _ => return Err("--smtp and --smtp-from go together".into()),
        };
        let wrong = || "--smtp (or LANYARD_SMTP) is smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…".to_string();
        let from: Mailbox = from.parse().map_err(|e| format!("--smtp-from: {e}"))?;
        let (wrapped, rest) = match url.split_once("://").ok_or_else(wrong)? {
            ("smtp", rest) => (false, rest),
            ("smtps", rest) => (true, rest),
            _ => return Err(wrong()),
        };
        let (login, at) = match rest.trim_end_matches('/').rsplit_once('@') {
            Some((login, at)) => (Some(login.split_once(':').ok_or_else(wrong)?), at),
            None => (None, rest.trim_end_matches('/')),
        };
        let at: http::uri::Authority = at.parse().map_err(|_| wrong())?;
        let machine = host(at.as_str()).to_string();
        let says_port = at.as_str().rsplit(']').next().is_some_and(|end| end.contains(':'));
        if machine.is_empty() || says_port && at.port_u16().is_none() {
            return Err(wrong());
        }
        let mut tls = TlsParameters::builder(machine.clone());
        for root in certificates(extra, "trusted roots").unwrap_or_default() {
            tls = tls.add_root_certificate(Certificate::from_der(root.to_vec()).map_err(|e| format!("--trust: {e}"))?);
        }
        let tls = tls.build().map_err(|e| format!("--smtp: {e}"))?;
        let near = machine == "localhost" || machine.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (port, tls) = match (wrapped, &login) {
            (true, _) => (465, Tls::Wrapper(tls)),
            (false, Some(_)) if !near => (25, Tls::Required(tls)),
            (false, _) => (25, Tls::Opportunistic(tls)),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(machine)
            .port(at.port_u16().unwrap_or(port))
            .tls(tls)
            .timeout(Some(STEP))
            .hello_name(ClientId::Domain(if name.is_empty() { "localhost".into() } else { name.into() }));
        if let Some((user, password)) = login {
            transport = transport
                .credentials(Credentials::new(decoded(user).ok_or_else(wrong)?, decoded(password).ok_or_else(wrong)?));
        }
        Ok(Some(Self { transport: transport.build(), from, trouble: MailServer::default() }))
    }

    /// One letter.
    async fn post(&self, server: &Server, facts: &Facts) -> Said<()> {
        let to: Address = facts.user.parse().map_err(|_| "its user's name is no address".to_string())?;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(SUBJECT)
            // The same letter, should it go twice.
            .message_id(Some(format!("<{}@{}>", facts.waiting.id, server.public_host())))
            .raw_header(HeaderValue::new(automatic, "auto-generated".into()))
            .header(ContentType::TEXT_PLAIN)
            .body(facts.text(server))
            .map_err(|e| e.to_string())?;
        match tokio::time::timeout(PATIENCE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err("no answer in time".into()),
        }
    }
}

/// Text in which `%40` stands for `@`.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        plain.extend(unhex(digits)?);
        plain.extend(rest.as_bytes());
    }
    String::from_utf8(plain).ok()
}

/// An error with what is below it: the words of the server among it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = error.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

/// Sends what is due, one at a time: where one is not taken for the server's sake the others need not be tried.
pub(super) async fn send(server: &Server) -> Result<()> {
    let Some(smtp) = &server.smtp else { return Ok(()) };
    let due = server.store.run(|tx| waiting::take_letters(tx, BATCH)).await?;
    for (letter, device, enrolment) in due {
        let Some(facts) = Facts::of(&device, enrolment) else { continue };
        let sent = smtp.post(server, &facts).await;
        smtp.trouble.note(sent.as_ref().err().cloned(), server.now());
        match sent {
            Ok(()) => file(server, letter).await?,
            Err(error) => {
                tracing::warn!(device = %device.id, %enrolment, error, "a notice to who waits was not taken by --smtp");
            }
        }
    }
    Ok(())
}

async fn file(server: &Server, letter: Letter) -> Result<()> {
    server.store.run(move |tx| waiting::posted(tx, &letter)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_server_port_and_login() {
        lanyard_certs::providers::init().unwrap();
        for (url, good) in [
            ("smtp://mail.example.org", true),
            ("smtp://mail.example.org:587/", true),
            ("smtps://lanyard%40example.org:p%3Aw@mail.example.org", true),
            ("smtp://[::1]:2525", true),
            ("smtp://u:a@b@mail.example.org", true),
            ("smtp://secret@mail.example.org", false),
            ("smtp://", false),
            ("smtp://mail.example.org:", false),
            ("smtp://mail.example.org:port", false),
            ("smtp://secret path", false),
            ("http://mail.example.org", false),
            ("mail.example.org", false),
        ] {
            match Smtp::of(Some(url), Some("Mail <no-reply@example.org>"), &[], "mdm.example.org") {
                Ok(smtp) => assert!(good && smtp.is_some(), "{url}"),
                Err(error) => assert!(!good && !error.contains("secret"), "{url}: {error}"),
            }
        }
        assert!(Smtp::of(None, Some("a@b.c"), &[], "").is_err());
        for (text, want) in
            [("p%3Aw%25", Some("p:w%")), ("plain", Some("plain")), ("%4", None), ("%zz", None), ("%ff", None)]
        {
            assert_eq!(decoded(text).as_deref(), want, "{text}");
        }
        assert!(is_address("ann@example.org") && !is_address("ann") && !is_address("EX\\ann"));
    }
}
