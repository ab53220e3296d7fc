//! Provision: the command by which a client takes a policy and hears of a wipe. [MS-ASPROV] 3, [MS-ASCMD] 2.2.1.15.
//!
//! Bodies to messages and replies to bodies; what follows on what is [`crate::state`].

mod heard;

pub use heard::{Answered, Told};

use lanyard_wbxml::{Element, Tag};

use crate::pages::{provision as tag, settings};
use crate::policy::ProvisionDoc;
use crate::settings::DeviceInformation;
use crate::status::{Answer, Status, refusal};
use crate::{Command, Error, PolicyKey, Version, decode, encode};

/// The type of the policy of version 2.5.
pub const XML_TYPE: &str = "MS-WAP-Provisioning-XML";
/// The type of all later policies.
pub const WBXML_TYPE: &str = "MS-EAS-Provisioning-WBXML";

/// How much is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WipeScope {
    /// RemoteWipe: the whole device (on apps that are not device administrator, the account).
    Device,
    /// AccountOnlyRemoteWipe: what came through this account. From 16.1.
    Account,
}

impl WipeScope {
    fn tag(self) -> Tag {
        match self {
            WipeScope::Device => tag::REMOTE_WIPE,
            WipeScope::Account => tag::ACCOUNT_ONLY_REMOTE_WIPE,
        }
    }
}

/// A Provision body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What the device says of itself; due in phase 1 from 14.1.
    pub device_information: Option<DeviceInformation>,
    /// The rest.
    pub body: Body,
}

/// What a Provision body asks for or reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `Provision{}`, or nothing at all: is there a directive?
    Empty,
    /// Phase 1: the policy, please.
    Policy(PolicyType),
    /// Phase 2: what became of the policy.
    Ack {
        /// The type, given back in the answer.
        kind: PolicyType,
        /// The key in the body, 0 where absent or not a number.
        key: u32,
        /// What became of it; `None` for a number that means nothing.
        outcome: Option<PolicyOutcome>,
    },
    /// What becomes of a wipe. Sent before anything is erased.
    WipeAck {
        /// Which wipe.
        scope: WipeScope,
        /// Status 1. Anything else, or nothing, is a failure.
        ok: bool,
    },
}

/// The form of the policy that a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyType {
    /// [`WBXML_TYPE`].
    Wbxml,
    /// [`XML_TYPE`].
    Xml,
    /// Another; at most 64 characters of it.
    Unknown(String),
    /// No PolicyType.
    Absent,
}

impl PolicyType {
    fn parse(text: Option<&str>) -> PolicyType {
        match text.map(str::trim) {
            None => PolicyType::Absent,
            Some(WBXML_TYPE) => PolicyType::Wbxml,
            Some(XML_TYPE) => PolicyType::Xml,
            Some(other) => PolicyType::Unknown(other.chars().take(64).collect()),
        }
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            PolicyType::Wbxml => Some(WBXML_TYPE),
            PolicyType::Xml => Some(XML_TYPE),
            PolicyType::Unknown(other) => Some(other),
            PolicyType::Absent => None,
        }
    }
}

/// What a client says became of its policy. [MS-ASPROV] 2.2.2.54.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyOutcome {
    /// 1. Proves no single rule: what a client cannot do counts as done.
    Applied,
    /// 2: in part, at least a PIN.
    Partly,
    /// 3.
    NotApplied,
    /// 4: somebody else manages the device.
    ManagedElsewhere,
}

impl PolicyOutcome {
    fn parse(text: &str) -> Option<PolicyOutcome> {
        match text.trim() {
            "1" => Some(PolicyOutcome::Applied),
            "2" => Some(PolicyOutcome::Partly),
            "3" => Some(PolicyOutcome::NotApplied),
            "4" => Some(PolicyOutcome::ManagedElsewhere),
            _ => None,
        }
    }

    fn number(self) -> &'static str {
        match self {
            PolicyOutcome::Applied => "1",
            PolicyOutcome::Partly => "2",
            PolicyOutcome::NotApplied => "3",
            PolicyOutcome::ManagedElsewhere => "4",
        }
    }
}

impl Request {
    /// Reads a body. Children may stand in any order: the specification itself prints two.
    pub fn parse(bytes: &[u8]) -> Result<Request, Error> {
        if bytes.is_empty() {
            return Ok(Request { device_information: None, body: Body::Empty });
        }
        let root = decode(bytes, tag::PROVISION)?;
        let device_information = root.child(settings::DEVICE_INFORMATION).and_then(DeviceInformation::parse);
        Ok(Request { device_information, body: Body::parse(&root) })
    }

    /// Writes a body, in the order of the schema.
    pub fn encode(&self) -> Vec<u8> {
        let information = self.device_information.iter().map(DeviceInformation::element);
        encode(&Element::of(tag::PROVISION, information.chain(self.body.element())))
    }
}

impl Body {
    fn parse(root: &Element) -> Body {
        // A wipe goes before all else.
        for scope in [WipeScope::Device, WipeScope::Account] {
            if let Some(wipe) = root.child(scope.tag()) {
                return Body::WipeAck {
                    scope,
                    ok: wipe.child_text(tag::STATUS).is_some_and(|text| text.trim() == "1"),
                };
            }
        }
        // What stands where the schema has no place for it is no empty request.
        let Some(policies) = root.child(tag::POLICIES) else {
            return if root.child(tag::POLICY).is_some() { Body::Policy(PolicyType::Absent) } else { Body::Empty };
        };
        let Some(policy) = policies.child(tag::POLICY) else { return Body::Policy(PolicyType::Absent) };
        let kind = PolicyType::parse(policy.child_text(tag::POLICY_TYPE));
        match policy.child_text(tag::STATUS) {
            None => Body::Policy(kind),
            Some(status) => {
                let key = policy.child_text(tag::POLICY_KEY).and_then(|key| key.trim().parse().ok()).unwrap_or(0);
                Body::Ack { kind, key, outcome: PolicyOutcome::parse(status) }
            }
        }
    }

    fn element(&self) -> Option<Element> {
        match self {
            Body::Empty => None,
            Body::Policy(kind) => Some(policies(kind, [])),
            Body::Ack { kind, key, outcome } => {
                let status = outcome.map_or("0", PolicyOutcome::number);
                let key = Element::text_of(tag::POLICY_KEY, key.to_string());
                Some(policies(kind, [key, Element::text_of(tag::STATUS, status)]))
            }
            Body::WipeAck { scope, ok } => {
                Some(Element::of(scope.tag(), [Element::text_of(tag::STATUS, if *ok { "1" } else { "2" })]))
            }
        }
    }
}

fn policies(kind: &PolicyType, rest: impl IntoIterator<Item = Element>) -> Element {
    let kind = kind.as_str().map(|text| Element::text_of(tag::POLICY_TYPE, text));
    Element::of(tag::POLICIES, [Element::of(tag::POLICY, kind.into_iter().chain(rest))])
}

/// What is answered to a Provision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Phase 1: the policy, and the temporary key to acknowledge it with.
    Policy(PolicyKey),
    /// Phase 2: the key for all other commands.
    Key(PolicyKey),
    /// Policy Status 3.
    UnknownType,
    /// Policy Status 5: the acknowledgement is not for the policy that was sent last.
    WrongKey,
    /// Root Status 2: the body makes no sense.
    ProtocolError,
    /// Root Status 1 and nothing else.
    Ok,
    /// Erase. With root Status 1.
    Wipe(WipeScope),
    /// The same in answer to phase 1: beside the policy and its temporary key.
    WipeBesidePolicy(WipeScope, PolicyKey),
    /// The client could not erase: Status 2, and the directive stands.
    WipeFailed(WipeScope),
    /// A common status, or its HTTP code.
    Refuse(Status),
}

impl Reply {
    /// The answer in the form of the request's version. `document` is sent with [`Reply::Policy`] and [`Reply::WipeBesidePolicy`] only.
    pub fn answer(self, request: &Request, version: Version, document: &ProvisionDoc) -> Answer {
        let kind = match &request.body {
            Body::Policy(kind) | Body::Ack { kind, .. } => kind,
            Body::Empty | Body::WipeAck { .. } => &PolicyType::Absent,
        };
        let status = |n: &str| Element::text_of(tag::STATUS, n);
        let key = |key: PolicyKey| Element::text_of(tag::POLICY_KEY, key.get().to_string());
        let whole = |sent: PolicyKey| {
            let data = Element { tag: tag::DATA, children: vec![data(kind, version, document)] };
            policies(kind, [status("1"), key(sent), data])
        };
        let children = match self {
            Reply::Refuse(refused) => return refusal(version, Command::Provision, refused),
            Reply::Policy(sent) => vec![status("1"), whole(sent)],
            Reply::Key(sent) => vec![status("1"), policies(kind, [status("1"), key(sent)])],
            Reply::UnknownType => vec![status("1"), policies(kind, [status("3")])],
            Reply::WrongKey => vec![status("1"), policies(kind, [status("5")])],
            Reply::ProtocolError => vec![status("2")],
            Reply::Ok => vec![status("1")],
            Reply::Wipe(scope) => vec![status("1"), Element::empty(scope.tag())],
            Reply::WipeBesidePolicy(scope, sent) => vec![status("1"), whole(sent), Element::empty(scope.tag())],
            Reply::WipeFailed(scope) => vec![status("2"), Element::empty(scope.tag())],
        };
        let information = self.takes_device_information(request).then(device_information_taken);
        Answer::document(&Element::of(tag::PROVISION, information.into_iter().chain(children)))
    }

    /// Said once, in the answer to phase 1, where the client sent any.
    fn takes_device_information(self, request: &Request) -> bool {
        let answered = matches!(self, Reply::Policy(_) | Reply::WipeBesidePolicy(..) | Reply::UnknownType);
        answered && request.device_information.is_some()
    }
}

fn device_information_taken() -> Element {
    Element::of(settings::DEVICE_INFORMATION, [Element::text_of(settings::STATUS, "1")])
}

fn data(kind: &PolicyType, version: Version, document: &ProvisionDoc) -> lanyard_wbxml::Node {
    match kind {
        PolicyType::Xml => lanyard_wbxml::Node::Text(document.wap_xml()),
        _ => lanyard_wbxml::Node::Element(document.element(version)),
    }
}

#[cfg(test)]
mod tests;
