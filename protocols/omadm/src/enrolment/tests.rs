use proptest::prelude::*;

use super::*;
use crate::Error;
use crate::xml::{self, Element, Limits};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../fixtures/omadm/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn tree(text: &str) -> Element<'_> {
    xml::parse(text.as_bytes(), &Limits::SOAP).unwrap()
}

/// Compares with the golden file; with `LANYARD_BLESS` set writes it instead.
fn golden(name: &str, got: &str) {
    let path = format!("{}/../../fixtures/omadm/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("LANYARD_BLESS").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    assert_eq!(got, std::fs::read_to_string(&path).unwrap(), "{name}");
}

#[test]
fn discover_is_read() {
    let request = Request::parse(&fixture("discover.xml")).unwrap();
    assert_eq!(request.message_id, "urn:uuid:5c1de3a0-1f6f-4c3f-9a57-0d3c2b7f2a11");
    assert_eq!(request.credentials, None);
    let Body::Discover(discover) = request.body else { panic!() };
    assert_eq!(discover.email_address, "lucy@lamp.example");
    assert_eq!((discover.request_version, discover.os_edition), (Version::V5, Some(48)));
    assert_eq!(discover.auth_policies, [AuthPolicy::OnPremise, AuthPolicy::Federated]);
    assert!(discover.offers(AuthPolicy::OnPremise) && !discover.offers(AuthPolicy::Certificate));
}

#[test]
fn the_version_is_never_above_the_one_asked_for() {
    for (asked, want) in [("1.0", "1.0"), ("2.0", "2.0"), ("3.0", "3.0"), ("5.0", "3.0"), ("9.0", "3.0")] {
        assert_eq!(DiscoverResponse::version_for(asked.parse().unwrap()).to_string(), want);
    }
    for bad in ["", "3", "3.", "+3.0", "3.0.1", "300.0"] {
        assert!(bad.parse::<Version>().is_err(), "{bad}");
    }
}

#[test]
fn credentials_are_read_and_not_shown() {
    let request = Request::parse(&fixture("get-policies.xml")).unwrap();
    assert_eq!(request.body, Body::GetPolicies);
    let shown = format!("{request:?}");
    assert!(shown.contains("lucy") && !shown.contains("7K2M"), "{shown}");
    let Some(Credentials::Password { user, password }) = request.credentials else { panic!() };
    assert_eq!((user.as_str(), password.as_str()), ("lucy@lamp.example", "7K2M-Q9TR-4WXA-H3ZC"));
}

#[test]
fn a_federated_token_is_decoded() {
    let text = String::from_utf8(fixture("get-policies.xml")).unwrap();
    let (head, rest) = text.split_once("<wsse:UsernameToken>").unwrap();
    let (_, rest) = rest.split_once("</wsse:UsernameToken>").unwrap();
    let token = "<wsse:BinarySecurityToken ValueType=\"urn:x\">\n aGVs\n bG8= </wsse:BinarySecurityToken>";
    let request = Request::parse(format!("{head}{token}{rest}").as_bytes()).unwrap();
    let want = Credentials::Token { value_type: "urn:x".into(), token: b"hello".to_vec() };
    assert_eq!(request.credentials, Some(want));
}

#[test]
fn a_request_for_a_first_certificate_is_read() {
    let request = Request::parse(&fixture("rst-issue.xml")).unwrap();
    let Body::RequestSecurityToken(token) = request.body else { panic!() };
    assert_eq!(token.kind, TokenRequestKind::Issue);
    assert_eq!(token.identity, Identity::Pkcs10(vec![0x30, 3, 2, 1, 1]));
    let context = token.context;
    assert_eq!(context.device_id.as_deref(), Some("A0B1C2D3E4F5A6B7C8D9E0F1A2B3C4D5"));
    assert_eq!(context.manufacturer.as_deref(), Some("Lamp & Cord"));
    assert_eq!((context.enrolment_type, context.os_edition, context.macs.len()), (EnrolmentType::Full, Some(48), 2));
    assert_eq!((context.ux_initiated, context.not_in_oobe), (Some(true), Some(false)));
    assert_eq!(context.others["AttestationStatus"], ["Status=None", "twice"]);
}

#[test]
fn a_request_for_renewal_is_read() {
    let request = Request::parse(&fixture("rst-renew.xml")).unwrap();
    let Body::RequestSecurityToken(token) = request.body else { panic!() };
    assert_eq!(token.kind, TokenRequestKind::Renew);
    assert_eq!(token.identity, Identity::Pkcs7(vec![0x30, 3, 2, 1, 2]));
    assert_eq!(token.context.enrolment_type, EnrolmentType::Device);
    let Some(Credentials::Password { password, .. }) = request.credentials else { panic!() };
    assert_eq!(password, "");
}

#[test]
fn what_is_not_a_request_is_refused() {
    let change = |from: &str, to: &str| {
        let text = String::from_utf8(fixture("rst-issue.xml")).unwrap();
        assert!(text.contains(from));
        Request::parse(text.replace(from, to).as_bytes()).unwrap_err()
    };
    let value = |element, reason| Error::Value { element, reason };
    assert_eq!(change("200512/Issue", "200512/Cancel"), value("RequestType", "not Issue, Renew or Recovery"));
    assert_eq!(change("#PKCS10", "#PKCS11"), value("ValueType", "not PKCS10 or PKCS7"));
    assert_eq!(change("MAMC", "M*MC"), value("BinarySecurityToken", "not base64"));
    assert_eq!(change("MessageID>", "MessageIdentity>"), Error::Missing { within: "Header", element: "MessageID" });
    let other = Error::Unexpected { within: "Body", found: "Envelope".into() };
    assert_eq!(change("wst:RequestSecurityToken>", "s:Envelope>"), other);
    assert_eq!(message_id(&fixture("rst-renew.xml")).unwrap(), "urn:uuid:f7b5a1c2-3c68-4a35-9a7e-6c1f0f8f2d44");
    assert_eq!(message_id(b"<x/>"), None);
}

#[test]
fn answers_are_as_agreed() {
    let relates_to = "urn:uuid:5c1de3a0";
    let discover = DiscoverResponse {
        relates_to,
        auth_policy: AuthPolicy::OnPremise,
        version: Version::V3,
        policy_url: "https://mdm.lamp.example/EnrollmentServer/Policy.svc",
        enrolment_url: "https://mdm.lamp.example/EnrollmentServer/Enrollment.svc?a=1&b=2",
        authentication_url: None,
    };
    let policies = GetPoliciesResponse {
        relates_to,
        policy_id: "{0c5c8b8e-2f6f-4a77-9d0c-6d3f6b1c7a10}",
        validity_seconds: 63_072_000,
        renewal_seconds: 3_628_800,
    };
    let token = SecurityTokenResponse {
        relates_to,
        created: "2026-09-08T12:45:00Z",
        expires: "2026-09-08T12:50:00Z",
        document: "<wap-provisioningdoc version=\"1.1\"/>",
    };
    golden("discover-response.golden.xml", &discover.encode());
    golden("get-policies-response.golden.xml", &policies.encode());
    golden("rstr.golden.xml", &token.encode());

    let text = discover.encode();
    let root = tree(&text);
    assert_eq!(root.path(&["Header", "RelatesTo"]).unwrap().text, relates_to);
    let result = root.path(&["Body", "DiscoverResponse", "DiscoverResult"]).unwrap();
    assert_eq!(result.child_text("EnrollmentServiceUrl"), Some(discover.enrolment_url));
}

#[test]
fn each_fault_has_its_code_and_words() {
    for kind in FaultKind::ALL {
        let fault = Fault { relates_to: Some("urn:uuid:1"), kind, reason: "no <more>", trace_id: "t1" };
        let text = fault.encode();
        let root = tree(&text);
        let fault = root.path(&["Body", "Fault"]).unwrap();
        assert_eq!(fault.path(&["Code", "Value"]).unwrap().text, "s:Receiver");
        assert_eq!(fault.path(&["Reason", "Text"]).unwrap().text, "no <more>");
        let subcode = fault.path(&["Code", "Subcode", "Value"]).unwrap().text.to_string();
        let detail = fault.path(&["Detail", "DeviceEnrollmentServiceError", "ErrorType"]);
        let name = detail.map_or(&subcode[2..], |detail| detail.trimmed());
        assert_eq!(name, format!("{kind:?}"));
        assert_eq!(detail.is_some(), kind.hresult() > 0x8018_0007, "{kind:?}");
    }
    let fault = Fault { relates_to: None, kind: FaultKind::DeviceCapReached, reason: "too many", trace_id: "t1" };
    golden("fault.golden.xml", &fault.encode());
    assert!(!fault.encode().contains("RelatesTo"));
}

proptest! {
    #[test]
    fn no_damage_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), row in 0usize..4) {
        let names = ["discover.xml", "get-policies.xml", "rst-issue.xml", "rst-renew.xml"];
        let mut bytes = fixture(names[row]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Request::parse(&bytes);
        bytes.truncate(at);
        let _ = Request::parse(&bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(&bytes);
        let _ = message_id(&bytes);
    }

    /// Whatever a device calls its message comes back as it was.
    #[test]
    fn any_message_id_is_repeated(id in "[!-~é漢]{1,60}") {
        let fault = Fault { relates_to: Some(&id), kind: FaultKind::MessageFormat, reason: &id, trace_id: "" };
        let text = fault.encode();
        let root = tree(&text);
        prop_assert_eq!(root.path(&["Header", "RelatesTo"]).unwrap().text.as_ref(), id);
    }
}
