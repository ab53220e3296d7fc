use super::*;
use proptest::prelude::*;

fn document(pairs: &[(&str, &str)]) -> Result<ProvisionDoc, Error> {
    let mut document = ProvisionDoc::default();
    pairs.iter().try_for_each(|(name, value)| document.apply(name, value))?;
    Ok(document)
}

#[test]
fn the_document_is_always_whole() {
    let document = ProvisionDoc::default().element(Version::V14_1);
    assert_eq!(document.elements().count(), Rule::ALL.len() + 2);
    let mut tokens: Vec<u8> = document.elements().map(|element| element.tag.token).collect();
    tokens.dedup();
    assert!(tokens.is_sorted(), "{tokens:?}");
    let old = ProvisionDoc::default().element(Version::V12_0);
    assert!(old.child_named("AllowCamera").is_none() && old.child_named("DevicePasswordHistory").is_some());
}

#[test]
fn every_rule_has_its_name_in_the_tables() {
    for rule in Rule::ALL {
        assert_eq!(crate::pages::PAGES.tag(14, rule.tag().token).name, Some(rule.name()));
        assert_eq!(rule.check(rule.default()), Ok(()), "{rule:?}");
    }
}

#[test]
fn values_outside_their_range_are_refused() {
    for (name, value, fits) in [
        ("AllowCamera", "0", true),
        ("AllowCamera", "false", false),
        ("AllowCamera", " 1", false),
        ("AllowCamera", "2", false),
        ("AllowCamera", "", false),
        ("MinDevicePasswordLength", "", true),
        ("MinDevicePasswordLength", "16", true),
        ("MinDevicePasswordLength", "17", false),
        ("MaxDevicePasswordFailedAttempts", "3", false),
        ("MaxDevicePasswordFailedAttempts", "4", true),
        ("MaxAttachmentSize", "-1", false),
        ("MaxInactivityTimeDeviceLock", "0", false),
        ("MaxInactivityTimeDeviceLock", "10000", false),
        ("DevicePasswordExpiration", "731", false),
        ("DevicePasswordHistory", "51", false),
        ("MaxCalendarAgeFilter", "3", false),
        ("MaxCalendarAgeFilter", "4", true),
        ("MaxEmailBodyTruncationSize", "-1", true),
        ("AllowBluetooth", "yes", false),
        ("AllowBluetooth", "true", false),
        ("UnapprovedInROMApplicationList", "a.exe, b.exe", false),
        ("ApprovedApplicationList", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", false),
    ] {
        assert_eq!(document(&[(name, value)]).is_ok(), fits, "{name}={value}");
    }
}

#[test]
fn an_unknown_element_is_refused_by_name() {
    let error = document(&[("AllowCameras", "0")]).unwrap_err();
    assert_eq!(error, Error::UnknownElement("AllowCameras".into()));
}

#[test]
fn the_old_text_says_the_same() {
    assert_eq!(
        ProvisionDoc::default().wap_xml(),
        "<wap-provisioningdoc><characteristic type=\"SecurityPolicy\"><parm name=\"4131\" value=\"1\"/>\
         <parm name=\"4133\" value=\"1\"/></characteristic></wap-provisioningdoc>"
    );
    let document = document(&[
        ("DevicePasswordEnabled", "1"),
        ("MinDevicePasswordLength", "6"),
        ("MaxInactivityTimeDeviceLock", "300"),
        ("MaxDevicePasswordFailedAttempts", "8"),
    ])
    .unwrap();
    let xml = document.wap_xml();
    for part in [
        "<parm name=\"4131\" value=\"0\"/>",
        "<parm name=\"AEFrequencyType\" value=\"1\"/><parm name=\"AEFrequencyValue\" value=\"5\"/>",
        "<parm name=\"DeviceWipeThreshold\" value=\"8\"/>",
        "<parm name=\"MinimumPasswordLength\" value=\"6\"/>",
        "<parm name=\"PasswordComplexity\" value=\"2\"/>",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
}

#[test]
fn the_stricter_of_two_is_said_rule_by_rule() {
    for (rule, one, other, want) in [
        (Rule::MinDevicePasswordLength, Some(6), Some(8), Some(8)),
        (Rule::MinDevicePasswordLength, None, Some(1), None),
        (Rule::MaxInactivityTimeDeviceLock, Some(300), Some(900), Some(300)),
        (Rule::MaxInactivityTimeDeviceLock, Some(9999), Some(900), Some(900)),
        (Rule::MaxDevicePasswordFailedAttempts, None, Some(8), Some(8)),
        (Rule::DevicePasswordExpiration, Some(0), Some(90), Some(90)),
        (Rule::DevicePasswordHistory, Some(0), Some(5), Some(5)),
        (Rule::AllowSimpleDevicePassword, Some(1), Some(0), Some(0)),
        (Rule::MaxAttachmentSize, None, Some(0), Some(0)),
        (Rule::AllowBluetooth, Some(1), Some(2), Some(1)),
        (Rule::MaxCalendarAgeFilter, Some(0), Some(7), Some(7)),
        (Rule::MaxEmailAgeFilter, Some(2), Some(5), Some(2)),
        (Rule::MaxEmailBodyTruncationSize, Some(-1), Some(1024), Some(1024)),
        (Rule::RequireEncryptionSMIMEAlgorithm, Some(0), Some(2), Some(2)),
        (Rule::RequireDeviceEncryption, Some(0), Some(1), Some(1)),
    ] {
        assert_eq!(rule.stricter(one, other), want, "{rule:?}");
        assert_eq!(rule.stricter(other, one), want, "{rule:?}");
    }
}

#[test]
fn rules_of_a_password_that_nobody_asks_for_are_void() {
    let ours = document(&[("DevicePasswordEnabled", "1"), ("MinDevicePasswordLength", "4")]).unwrap();
    // As Z-Push ships them.
    let theirs =
        document(&[("MinDevicePasswordLength", "8"), ("MaxDevicePasswordFailedAttempts", "8"), ("AllowCamera", "0")]);
    let both = ours.stricter(&theirs.unwrap());
    assert_eq!(both.get(Rule::MinDevicePasswordLength), Some(4));
    assert_eq!(both.get(Rule::MaxDevicePasswordFailedAttempts), None);
    assert_eq!((both.get(Rule::DevicePasswordEnabled), both.get(Rule::AllowCamera)), (Some(1), Some(0)));
}

#[test]
fn what_another_server_sends_is_read_as_far_as_it_goes() {
    let tag = |rule: Rule| rule.tag();
    let sent = Element::of(
        tag::EAS_PROVISION_DOC,
        [
            Element::text_of(tag(Rule::MaxAttachmentSize), "-1"),
            Element::text_of(tag(Rule::MinDevicePasswordLength), " 7 "),
            Element::empty(tag(Rule::AllowCamera)),
            Element::of(APPROVED_LIST, [Element::text_of(Tag::new(14, 0x3A, "Hash"), "x")]),
        ],
    );
    let heard = ProvisionDoc::heard(&sent);
    assert_eq!(heard, document(&[("MinDevicePasswordLength", "7")]).unwrap());
    assert_eq!(ProvisionDoc::heard_wap("<wap"), ProvisionDoc::default());
}

fn documents() -> impl Strategy<Value = ProvisionDoc> {
    prop::collection::vec((0..Rule::ALL.len(), prop::option::of(-2i64..40)), 0..40).prop_map(|values| {
        let mut document = ProvisionDoc::default();
        for (at, value) in values {
            let _ = document.set(Rule::ALL[at], value);
        }
        document
    })
}

proptest! {
    #[test]
    fn the_stricter_document_is_the_same_from_both_sides(a in documents(), b in documents(), c in documents()) {
        let nothing = ProvisionDoc::default();
        let plain = a.stricter(&nothing);
        prop_assert_eq!(&a.stricter(&b), &b.stricter(&a));
        prop_assert_eq!(&a.stricter(&b).stricter(&c), &a.stricter(&b.stricter(&c)));
        prop_assert_eq!(&plain.stricter(&a), &plain);
        prop_assert_eq!(ProvisionDoc::heard(&plain.element(Version::V16_1)), plain);
    }

    #[test]
    fn the_old_text_is_read_back(length in 1i64..=16, minutes in prop::option::of(1i64..=150), tries in prop::option::of(4i64..=16), strong: bool) {
        let mut document = ProvisionDoc::default();
        for (rule, value) in [
            (Rule::DevicePasswordEnabled, Some(1)),
            (Rule::MinDevicePasswordLength, Some(length)),
            (Rule::MaxInactivityTimeDeviceLock, minutes.map(|m| m * 60)),
            (Rule::MaxDevicePasswordFailedAttempts, tries),
            (Rule::AlphanumericDevicePasswordRequired, Some(i64::from(strong))),
        ] {
            document.set(rule, value).unwrap();
        }
        prop_assert_eq!(ProvisionDoc::heard_wap(&document.wap_xml()), document);
    }

    #[test]
    fn what_is_encoded_parses_to_the_same(
        values in prop::collection::vec((0..Rule::ALL.len(), prop::option::of(-2i64..20_000)), 0..40),
    ) {
        let mut document = ProvisionDoc::default();
        for (at, value) in values {
            let _ = document.set(Rule::ALL[at], value);
        }
        prop_assert_eq!(ProvisionDoc::parse(&document.element(Version::V16_1)), Ok(document.clone()));
        let kept = serde_json::to_string(&document).unwrap();
        prop_assert_eq!(kept == "{}", !document.restricts());
        prop_assert_eq!(serde_json::from_str::<ProvisionDoc>(&kept).unwrap(), document);
    }
}
