//! What a mail server answers to a Provision of the gateway's own. [MS-ASPROV] 3.2.5.1.

use lanyard_wbxml::Element;

use super::WipeScope;
use crate::pages::provision as tag;
use crate::policy::ProvisionDoc;
use crate::{Error, PolicyKey, decode};

/// An answer to Provision, as far as a gateway reads it. Children may stand in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The root's status; `None` where it says none, which clients let pass.
    pub status: Option<u16>,
    /// The directive to erase.
    pub wipe: Option<WipeScope>,
    /// What it says of the policy.
    pub policy: Told,
}

/// What an answer says of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// Policy Status 1.
    Taken {
        /// The key: the temporary one in phase 1, then the final one.
        key: Option<PolicyKey>,
        /// The document, in phase 1.
        document: Option<ProvisionDoc>,
    },
    /// Policy Status 2: there is none.
    None,
    /// Another status, or none.
    Refused,
}

impl Answered {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Answered, Error> {
        let root = decode(body, tag::PROVISION)?;
        let wipe = [WipeScope::Device, WipeScope::Account].into_iter().find(|scope| root.child(scope.tag()).is_some());
        let policy = root.path(&[tag::POLICIES, tag::POLICY]).map_or(Told::Nothing, policy);
        let status = root.child_text(tag::STATUS).and_then(|text| text.trim().parse().ok());
        Ok(Answered { status, wipe, policy })
    }

    /// Whether the root says that all is well, or nothing.
    pub fn is_ok(&self) -> bool {
        matches!(self.status, None | Some(1))
    }
}

fn policy(policy: &Element) -> Told {
    match policy.child_text(tag::STATUS).map(str::trim) {
        Some("1") => {
            let key = policy.child_text(tag::POLICY_KEY).and_then(|key| key.trim().parse().ok());
            Told::Taken { key: key.and_then(PolicyKey::new), document: policy.child(tag::DATA).map(document) }
        }
        Some("2") => Told::None,
        _ => Told::Refused,
    }
}

fn document(data: &Element) -> ProvisionDoc {
    match data.child(tag::EAS_PROVISION_DOC) {
        Some(document) => ProvisionDoc::heard(document),
        None => ProvisionDoc::heard_wap(data.text().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, PolicyOutcome, PolicyType, Reply, Request};
    use super::*;
    use crate::{Version, policy::Rule};
    use proptest::prelude::*;

    #[test]
    fn our_own_answers_are_read() {
        let key = PolicyKey::new(7).unwrap();
        let mut document = ProvisionDoc::default();
        document.set(Rule::DevicePasswordEnabled, Some(1)).unwrap();
        document.set(Rule::MinDevicePasswordLength, Some(6)).unwrap();
        let taken = |document: Option<&ProvisionDoc>| Told::Taken { key: Some(key), document: document.cloned() };
        let device = Some(WipeScope::Device);
        for (reply, wipe, want) in [
            (Reply::Policy(key), None, taken(Some(&document))),
            (Reply::Key(key), None, taken(None)),
            (Reply::WrongKey, None, Told::Refused),
            (Reply::Ok, None, Told::Nothing),
            (Reply::Wipe(WipeScope::Account), Some(WipeScope::Account), Told::Nothing),
            (Reply::WipeBesidePolicy(WipeScope::Device, key), device, taken(Some(&document))),
        ] {
            for (kind, version) in [(PolicyType::Xml, Version::V2_5), (PolicyType::Wbxml, Version::V14_1)] {
                let asked = Request { device_information: None, body: Body::Policy(kind) };
                let answered = Answered::parse(&reply.answer(&asked, version, &document).body).unwrap();
                let policy = want.clone();
                assert_eq!(answered, Answered { status: Some(1), wipe, policy }, "{reply:?} {version}");
            }
        }
        let ack = Body::Ack { kind: PolicyType::Wbxml, key: 7, outcome: Some(PolicyOutcome::Applied) };
        let failed = Reply::WipeFailed(WipeScope::Device).answer(
            &Request { device_information: None, body: ack },
            Version::V14_1,
            &document,
        );
        let failed = Answered::parse(&failed.body).unwrap();
        assert_eq!((failed.is_ok(), failed.wipe), (false, device));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Answered::parse(&bytes);
        }
    }
}
