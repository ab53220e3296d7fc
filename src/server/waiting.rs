//! What the person hears whose mail client waits to be let in: why no mail comes, and what to do.

use super::Server;
use crate::{
    fleet::{
        enrol::waiting::Waiting,
        life::{Device, MAIL_AGENT, MAIL_TYPE},
    },
    ids::{DeviceId, EnrolmentId},
};

/// Where people claim their clients, before a device's id.
pub const CLAIM: &str = "/claim";

/// One line, in any language's letters that a header takes.
pub const SUBJECT: &str = "Your device waits to be let in";

/// A client that waits, and whose it is.
pub struct Facts {
    /// Its device.
    pub device: DeviceId,
    /// As they sign in to their mail.
    pub user: String,
    /// The client's DeviceType.
    pub kind: Option<String>,
    /// Its User-Agent.
    pub agent: Option<String>,
    /// The time of waiting.
    pub waiting: Waiting,
}

impl Facts {
    /// Of an enrolment that waits.
    pub fn of(device: &Device, enrolment: EnrolmentId) -> Option<Self> {
        let waiting = Waiting::of(device, enrolment).filter(|waiting| !waiting.over)?;
        let said = |name| device.enrolment(enrolment)?.channel_state.get(name).cloned();
        let (kind, agent) = (said(MAIL_TYPE), said(MAIL_AGENT));
        Some(Self { device: device.id, user: device.user.clone(), kind, agent, waiting })
    }

    /// The message, in plain text.
    pub fn text(&self, server: &Server) -> String {
        let named: Vec<&str> = [&self.kind, &self.agent].into_iter().flatten().map(String::as_str).collect();
        let named = if named.is_empty() { "a mail program".into() } else { printable(&named.join(", ")) };
        // Where the mail server believes us, certificates are the only way in: whoever made this one knows whose it is.
        let claim = [
            "To say that the device is yours, open this page, sign in as for your mail, and type the code:".into(),
            String::new(),
            format!("{}{CLAIM}/{}", server.enrol_url, self.device),
            format!("Code: {}", self.waiting.code),
            String::new(),
        ];
        let claim = if server.eas_signon.is_none() { &claim[..] } else { &[] };
        let lines = [
            format!("Mail was set up for {} on {named}.", printable(&self.user)),
            "Your organisation decides which devices may read mail; until it has decided about this one, no mail comes to it.".into(),
            String::new(),
        ];
        let ends = [
            "Those who run the mail are told, and let the device in or not. When they have, your mail comes by itself."
                .into(),
            "If you did not set this up yourself, somebody knows your password: change it, and tell them.".into(),
            String::new(),
        ];
        [&lines[..], claim, &ends[..]].concat().join("\r\n")
    }
}

/// A client names itself as it likes, in one line here.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
