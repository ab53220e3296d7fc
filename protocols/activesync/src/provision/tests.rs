use super::*;
use crate::pages::PAGES;
use lanyard_wbxml::Limits;
use proptest::prelude::*;

fn key(key: u32) -> PolicyKey {
    PolicyKey::new(key).unwrap()
}

fn phase_1(kind: PolicyType) -> Request {
    let device_information = Some(DeviceInformation { model: Some("iPhone3C1".into()), ..Default::default() });
    Request { device_information, body: Body::Policy(kind) }
}

/// Tags and texts on one line, so that a mismatch reads at a glance.
fn line(element: &Element) -> String {
    let inner: Vec<String> = element
        .children
        .iter()
        .map(|node| match node {
            lanyard_wbxml::Node::Element(child) => line(child),
            lanyard_wbxml::Node::Text(text) => text.clone(),
            lanyard_wbxml::Node::Opaque(bytes) => format!("{bytes:?}"),
        })
        .collect();
    if inner.is_empty() { element.tag.to_string() } else { format!("{}{{{}}}", element.tag, inner.join(" ")) }
}

fn answered(reply: Reply, request: &Request, version: Version) -> String {
    let answer = reply.answer(request, version, &ProvisionDoc::default());
    assert_eq!(answer.http, 200);
    line(&lanyard_wbxml::decode(&answer.body, &PAGES, &Limits::SMALL).unwrap().root)
}

#[test]
fn phase_1_is_answered_in_the_order_of_the_schema() {
    let line = answered(Reply::Policy(key(7)), &phase_1(PolicyType::Wbxml), Version::V14_1);
    let start = "Provision{DeviceInformation{Status{1}} Status{1} Policies{Policy{PolicyType{MS-EAS-Provisioning-WBXML} \
                 Status{1} PolicyKey{7} Data{EASProvisionDoc{DevicePasswordEnabled{0} ";
    assert!(line.starts_with(start), "{line}");
    assert!(line.ends_with("UnapprovedInROMApplicationList ApprovedApplicationList}}}}}"), "{line}");
}

#[test]
fn the_oldest_version_gets_text() {
    let request = Request { device_information: None, body: Body::Policy(PolicyType::Xml) };
    let line = answered(Reply::Policy(key(7)), &request, Version::V2_5);
    assert!(line.contains("Data{<wap-provisioningdoc>"), "{line}");
}

#[test]
fn a_wipe_stands_beside_a_whole_policy_where_one_was_asked_for() {
    let reply = Reply::WipeBesidePolicy(WipeScope::Device, key(7));
    let line = answered(reply, &phase_1(PolicyType::Wbxml), Version::V14_1);
    let start = "Provision{DeviceInformation{Status{1}} Status{1} Policies{Policy{PolicyType{MS-EAS-Provisioning-WBXML} \
                 Status{1} PolicyKey{7} Data{EASProvisionDoc{";
    assert!(line.starts_with(start) && line.ends_with("ApprovedApplicationList}}}} RemoteWipe}"), "{line}");
}

#[test]
fn all_other_replies_are_short() {
    let ack = Request {
        device_information: None,
        body: Body::Ack { kind: PolicyType::Wbxml, key: 7, outcome: Some(PolicyOutcome::Applied) },
    };
    let empty = Request { device_information: None, body: Body::Empty };
    let policy = "Status{1} Policies{Policy{PolicyType{MS-EAS-Provisioning-WBXML}";
    for (reply, request, want) in [
        (Reply::Key(key(9)), &ack, format!("Provision{{{policy} Status{{1}} PolicyKey{{9}}}}}}}}")),
        (Reply::WrongKey, &ack, format!("Provision{{{policy} Status{{5}}}}}}}}")),
        (
            Reply::UnknownType,
            &phase_1(PolicyType::Unknown("x".into())),
            "Provision{DeviceInformation{Status{1}} Status{1} Policies{Policy{PolicyType{x} Status{3}}}}".into(),
        ),
        (Reply::Ok, &empty, "Provision{Status{1}}".into()),
        (Reply::ProtocolError, &empty, "Provision{Status{2}}".into()),
        (Reply::Wipe(WipeScope::Device), &phase_1(PolicyType::Wbxml), "Provision{Status{1} RemoteWipe}".into()),
        (Reply::Wipe(WipeScope::Account), &empty, "Provision{Status{1} AccountOnlyRemoteWipe}".into()),
        (Reply::WipeFailed(WipeScope::Device), &empty, "Provision{Status{2} RemoteWipe}".into()),
        (Reply::Refuse(Status::DEVICE_BLOCKED), &empty, "Provision{Status{129}}".into()),
    ] {
        assert_eq!(answered(reply, request, Version::V14_1), want, "{reply:?}");
    }
    let refused = Reply::Refuse(Status::DEVICE_BLOCKED).answer(&empty, Version::V12_1, &ProvisionDoc::default());
    assert_eq!((refused.http, refused.body.len()), (403, 0));
}

#[test]
fn children_may_stand_in_any_order() {
    let text = |tag, text: &str| Element::text_of(tag, text);
    let parts = [text(tag::STATUS, "2"), text(tag::POLICY_KEY, "77"), text(tag::POLICY_TYPE, WBXML_TYPE)];
    let want = Body::Ack { kind: PolicyType::Wbxml, key: 77, outcome: Some(PolicyOutcome::Partly) };
    for turn in 0..3 {
        let mut parts = parts.clone().to_vec();
        parts.rotate_left(turn);
        parts.push(Element::empty(Tag { page: 14, token: 0x3F, name: None })); // unknown: passed over
        let policies = Element::of(tag::POLICIES, [Element::of(tag::POLICY, parts)]);
        let body = encode(&Element::of(tag::PROVISION, [policies]));
        assert_eq!(Request::parse(&body).unwrap().body, want, "{turn}");
    }
}

#[test]
fn a_wipe_acknowledgement_needs_its_status() {
    for (row, children, ok) in [
        ("1", vec![Element::text_of(tag::STATUS, "1")], true),
        ("2", vec![Element::text_of(tag::STATUS, "2")], false),
        ("none", vec![], false),
    ] {
        let body = encode(&Element::of(tag::PROVISION, [Element::of(tag::REMOTE_WIPE, children)]));
        let want = Body::WipeAck { scope: WipeScope::Device, ok };
        assert_eq!(Request::parse(&body).unwrap().body, want, "{row}");
    }
}

#[test]
fn other_documents_are_refused() {
    let sync = encode(&Element::empty(Tag::new(0, 5, "Sync")));
    assert_eq!(Request::parse(&sync), Err(Error::Root { want: "Provision", got: "Sync".into() }));
    assert_eq!(Request::parse(&[3, 1]).unwrap_err().status(), Status::INVALID_WBXML);
    assert_eq!(Request::parse(&[]).unwrap().body, Body::Empty);
}

#[test]
fn a_policy_outside_its_place_is_no_empty_request() {
    let policy = Element::of(tag::POLICY, [Element::text_of(tag::POLICY_TYPE, "MS-EAS-Provisioning-WBXML")]);
    let stray = encode(&Element::of(tag::PROVISION, [policy]));
    assert_eq!(Request::parse(&stray).unwrap().body, Body::Policy(PolicyType::Absent));
}

fn kinds() -> impl Strategy<Value = PolicyType> {
    prop_oneof![
        Just(PolicyType::Wbxml),
        Just(PolicyType::Xml),
        Just(PolicyType::Absent),
        "[a-z]{1,20}".prop_map(PolicyType::Unknown),
    ]
}

fn bodies() -> impl Strategy<Value = Body> {
    let outcome = prop::option::of(prop::sample::select(vec![
        PolicyOutcome::Applied,
        PolicyOutcome::Partly,
        PolicyOutcome::NotApplied,
        PolicyOutcome::ManagedElsewhere,
    ]));
    let scope = prop::sample::select(vec![WipeScope::Device, WipeScope::Account]);
    prop_oneof![
        Just(Body::Empty),
        kinds().prop_map(Body::Policy),
        (kinds(), any::<u32>(), outcome).prop_map(|(kind, key, outcome)| Body::Ack { kind, key, outcome }),
        (scope, any::<bool>()).prop_map(|(scope, ok)| Body::WipeAck { scope, ok }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_parses_to_the_same(body in bodies(), model in prop::option::of("[a-z0-9]{1,9}")) {
        let device_information = model.map(|model| DeviceInformation { model: Some(model), ..Default::default() });
        let request = Request { device_information, body };
        prop_assert_eq!(Request::parse(&request.encode()), Ok(request));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Request::parse(&bytes);
    }
}
