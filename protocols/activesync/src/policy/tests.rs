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

proptest! {
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
