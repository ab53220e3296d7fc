//! The policy of version 2.5: settings of Windows Mobile as a wap-provisioningdoc. [MS-ASPROV] 2.2.2.24.2.
//!
//! It knows passwords only; all values are numbers, so nothing needs escaping.

use std::fmt::Write;

use super::{ProvisionDoc, Rule};

const LASSD: &str = r"HKLM\Comm\Security\Policy\LASSD";
/// The event "device was idle".
const IDLE: &str = r"HKLM\Comm\Security\Policy\LASSD\AE\{50C13377-C66D-400C-889E-C316FC4AB374}";
const PASSWORD: &str = r"HKLM\Comm\Security\Policy\LASSD\LAP\lap_pw";

pub(super) fn encode(document: &ProvisionDoc) -> String {
    let required = document.get(Rule::DevicePasswordEnabled) == Some(1);
    let mut xml = String::from("<wap-provisioningdoc>");
    // Both the wrong way round: 0 is "password required", and "nobody may skip it".
    let off = if required { "0" } else { "1" };
    characteristic(&mut xml, "SecurityPolicy", &[("4131", off), ("4133", off)]);
    if required {
        xml.push_str("<characteristic type=\"Registry\">");
        registry(&mut xml, document);
        xml.push_str("</characteristic>");
    }
    xml.push_str("</wap-provisioningdoc>");
    xml
}

fn registry(xml: &mut String, document: &ProvisionDoc) {
    // Minutes here, seconds elsewhere. Rounded up, and "never" is no event at all.
    let seconds = document.get(Rule::MaxInactivityTimeDeviceLock).filter(|seconds| *seconds < 9999);
    let minutes = seconds.map(|seconds| seconds.div_euclid(60) + i64::from(seconds % 60 != 0));
    let frequency = minutes.unwrap_or(0).to_string();
    let kind = if minutes.is_some() { "1" } else { "0" };
    characteristic(xml, IDLE, &[("AEFrequencyType", kind), ("AEFrequencyValue", &frequency)]);
    let tries = document.get(Rule::MaxDevicePasswordFailedAttempts).unwrap_or(-1).to_string();
    characteristic(xml, LASSD, &[("DeviceWipeThreshold", &tries)]);
    let length = document.get(Rule::MinDevicePasswordLength).unwrap_or(1).to_string();
    characteristic(xml, PASSWORD, &[("MinimumPasswordLength", &length)]);
    // 0 letters and digits, 2 any.
    let strong = document.get(Rule::AlphanumericDevicePasswordRequired) == Some(1);
    characteristic(xml, PASSWORD, &[("PasswordComplexity", if strong { "0" } else { "2" })]);
}

/// The numbers of such a document, wherever they stand.
pub(super) fn decode(xml: &str) -> ProvisionDoc {
    let number = |name: &str| {
        let after = xml.split_once(&format!("name=\"{name}\""))?.1;
        let value = after.split_once("value=\"")?.1;
        value.split_once('"')?.0.trim().parse::<i64>().ok()
    };
    let mut document = ProvisionDoc::default();
    if number("4131") != Some(0) {
        return document;
    }
    let idle = number("AEFrequencyValue").filter(|_| number("AEFrequencyType") == Some(1));
    for (rule, value) in [
        (Rule::DevicePasswordEnabled, Some(1)),
        (Rule::MaxInactivityTimeDeviceLock, idle.map(|minutes| minutes.saturating_mul(60))),
        (Rule::MaxDevicePasswordFailedAttempts, number("DeviceWipeThreshold")),
        (Rule::MinDevicePasswordLength, number("MinimumPasswordLength")),
        (Rule::AlphanumericDevicePasswordRequired, number("PasswordComplexity").map(|kind| i64::from(kind == 0))),
    ] {
        if rule.check(value).is_ok() {
            document.values.insert(rule, value);
        }
    }
    document
}

fn characteristic(xml: &mut String, kind: &str, parameters: &[(&str, &str)]) {
    let _ = write!(xml, "<characteristic type=\"{kind}\">");
    for (name, value) in parameters {
        let _ = write!(xml, "<parm name=\"{name}\" value=\"{value}\"/>");
    }
    xml.push_str("</characteristic>");
}
