//! Settings, of which a gateway reads DeviceInformation and answers for devices that may not reach the mail server.
//! [MS-ASCMD] 2.2.1.18.

use lanyard_wbxml::{Element, Tag};

use crate::pages::settings as tag;
use crate::{Error, decode, encode};

/// Longer values are cut: they go into a registry that every administrator reads.
const MAX_CHARS: usize = 256;

/// What a device says of itself: in Settings, or in the first phase of Provision from 14.1. Claims, not facts; each
/// at most 256 characters, without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)] // the names are the specification's
pub struct DeviceInformation {
    pub model: Option<String>,
    pub imei: Option<String>,
    pub friendly_name: Option<String>,
    pub os: Option<String>,
    pub os_language: Option<String>,
    pub phone_number: Option<String>,
    /// From 12.1.
    pub user_agent: Option<String>,
    /// From 14.0.
    pub enable_outbound_sms: Option<String>,
    /// From 14.0.
    pub mobile_operator: Option<String>,
}

impl DeviceInformation {
    /// Reads `DeviceInformation{Set{…}}`. `None` without a Set: the client asks for nothing then.
    pub fn parse(element: &Element) -> Option<DeviceInformation> {
        let set = element.child(tag::SET)?;
        let mut information = DeviceInformation::default();
        for (tag, field) in information.fields() {
            *field = set.child_text(tag).map(claim).filter(|text| !text.is_empty());
        }
        Some(information)
    }

    /// `DeviceInformation{Set{…}}` with what is known, in the order of the schema.
    pub fn element(&self) -> Element {
        let mut copy = self.clone();
        let fields = copy.fields();
        let known = fields.into_iter().filter_map(|(tag, value)| Some(Element::text_of(tag, value.take()?)));
        Element::of(tag::DEVICE_INFORMATION, [Element::of(tag::SET, known)])
    }

    fn fields(&mut self) -> [(Tag, &mut Option<String>); 9] {
        [
            (tag::MODEL, &mut self.model),
            (tag::IMEI, &mut self.imei),
            (tag::FRIENDLY_NAME, &mut self.friendly_name),
            (tag::OS, &mut self.os),
            (tag::OS_LANGUAGE, &mut self.os_language),
            (tag::PHONE_NUMBER, &mut self.phone_number),
            (tag::USER_AGENT, &mut self.user_agent),
            (tag::ENABLE_OUTBOUND_SMS, &mut self.enable_outbound_sms),
            (tag::MOBILE_OPERATOR, &mut self.mobile_operator),
        ]
    }
}

fn claim(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
}

/// A Settings request, as far as a gateway reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What the device says of itself.
    pub device_information: Option<DeviceInformation>,
    /// The properties that were asked for or set, in order.
    properties: Vec<Tag>,
}

impl Request {
    /// Reads a Settings body.
    pub fn parse(body: &[u8]) -> Result<Request, Error> {
        let root = decode(body, tag::SETTINGS)?;
        let device_information = root.child(tag::DEVICE_INFORMATION).and_then(DeviceInformation::parse);
        let known = [
            tag::DEVICE_INFORMATION,
            tag::OOF,
            tag::DEVICE_PASSWORD,
            tag::USER_INFORMATION,
            tag::RIGHTS_MANAGEMENT_INFORMATION,
        ];
        let properties = known.into_iter().filter(|known| root.child(*known).is_some()).collect();
        Ok(Request { device_information, properties })
    }

    /// Our own answer, for a device whose Settings do not reach the mail server: DeviceInformation is taken, all
    /// else denied (3, access denied).
    pub fn answer(&self) -> Vec<u8> {
        let status = |value: &str| Element::text_of(tag::STATUS, value);
        let properties = self.properties.iter().map(|property| {
            Element::of(*property, [status(if *property == tag::DEVICE_INFORMATION { "1" } else { "3" })])
        });
        encode(&Element::of(tag::SETTINGS, std::iter::once(status("1")).chain(properties)))
    }
}

/// A Settings request of our own: tells the mail server what a device said in Provision, which it never sees.
pub fn relay(information: &DeviceInformation) -> Vec<u8> {
    encode(&Element::of(tag::SETTINGS, [information.element()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PAGES;
    use lanyard_wbxml::Limits;
    use proptest::prelude::*;

    fn some() -> DeviceInformation {
        DeviceInformation { model: Some("iPhone3C1".into()), os: Some("iOS 9".into()), ..Default::default() }
    }

    #[test]
    fn device_information_is_read_and_answered() {
        let request = Request::parse(&relay(&some())).unwrap();
        assert_eq!(request.device_information, Some(some()));
        let root = lanyard_wbxml::decode(&request.answer(), &PAGES, &Limits::SMALL).unwrap().root;
        assert_eq!(root.child_text(tag::STATUS), Some("1"));
        assert_eq!(root.path(&[tag::DEVICE_INFORMATION, tag::STATUS]).and_then(Element::text), Some("1"));
    }

    #[test]
    fn what_is_not_ours_to_answer_is_denied() {
        let get = Element::of(tag::USER_INFORMATION, [Element::empty(tag::GET)]);
        let request = Request::parse(&encode(&Element::of(tag::SETTINGS, [get]))).unwrap();
        assert_eq!(request.device_information, None);
        let root = lanyard_wbxml::decode(&request.answer(), &PAGES, &Limits::SMALL).unwrap().root;
        assert_eq!(root.path(&[tag::USER_INFORMATION, tag::STATUS]).and_then(Element::text), Some("3"));
    }

    #[test]
    fn claims_are_cut_and_cleaned() {
        let long = DeviceInformation { model: Some("x\n".repeat(400)), ..Default::default() };
        let read = Request::parse(&relay(&long)).unwrap().device_information.unwrap();
        assert_eq!(read.model, Some("x".repeat(256)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_to_the_same(model in "[ -~]{1,40}", agent in "[a-zäß]{1,20}", sms in "[01]") {
            let information = DeviceInformation {
                model: Some(model), user_agent: Some(agent), enable_outbound_sms: Some(sms), ..Default::default()
            };
            prop_assert_eq!(Request::parse(&relay(&information)).unwrap().device_information, Some(information));
        }
    }
}
