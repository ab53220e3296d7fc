//! Every check-in there and back, and what must be refused.

use proptest::{option, prelude::*};

use super::*;
use crate::{Secret, sender::tests::any_channel};

fn udid(message_type: &str) -> Dict {
    Dict::new().with("MessageType", message_type).with("UDID", "D1")
}

fn read(dict: Dict) -> Result<CheckIn, Error> {
    CheckIn::parse(&dict.to_xml())
}

#[test]
fn an_unknown_message_is_an_error_of_its_own() {
    assert_eq!(read(udid("SingAlong")), Err(Error::UnknownMessageType("SingAlong".into())));
    assert_eq!(read(udid(&"x".repeat(500))), Err(Error::UnknownMessageType("x".repeat(80))));
}

#[test]
fn authenticate_may_say_very_little() {
    // mdmb: no OS version, no product name.
    let CheckIn::Authenticate(message) = read(udid("Authenticate").with("SerialNumber", "S1")).unwrap() else {
        panic!("another message");
    };
    assert_eq!(message.serial_number.as_deref(), Some("S1"));
    assert_eq!(message.os_version, None);
}

#[test]
fn a_token_update_needs_token_and_magic() {
    let whole = || udid("TokenUpdate").with("Token", &b"123456789"[..]).with("PushMagic", "M");
    assert!(read(whole()).is_ok());
    assert_eq!(read(udid("TokenUpdate").with("PushMagic", "M")), Err(Error::Missing { field: "Token" }));
    assert_eq!(read(udid("TokenUpdate").with("Token", &b"1"[..])), Err(Error::Missing { field: "PushMagic" }));
    assert!(read(whole().with("Token", &b""[..])).is_err());
    assert!(read(whole().with("Token", "text")).is_err());
    assert!(read(whole().with("UnlockToken", vec![0; 65 * 1024])).is_err());
    let CheckIn::TokenUpdate(message) = read(whole().with("UnlockToken", &b""[..])).unwrap() else {
        panic!("another message");
    };
    assert_eq!(message.unlock_token, None);
}

#[test]
fn an_empty_bootstrap_token_means_forget_it() {
    for dict in [udid("SetBootstrapToken"), udid("SetBootstrapToken").with("BootstrapToken", &b""[..])] {
        let CheckIn::SetBootstrapToken(message) = read(dict).unwrap() else { panic!("another message") };
        assert_eq!(message.token, None);
    }
    assert!(String::from_utf8(bootstrap_token_answer(None)).unwrap().contains("<dict/>"));
}

#[test]
fn user_authenticate_needs_a_user() {
    assert_eq!(read(udid("UserAuthenticate")), Err(Error::Missing { field: "UserID" }));
    let first = read(udid("UserAuthenticate").with("UserID", "U1").with("DigestResponse", "")).unwrap();
    assert!(matches!(first, CheckIn::UserAuthenticate(message) if message.digest_response.is_none()));
}

#[test]
fn endpoints_of_declarative_management() {
    let endpoint = |text: &str| read(udid("DeclarativeManagement").with("Endpoint", text).with("Data", &b"{}"[..]));
    for good in ["tokens", "declaration-items", "status", "declaration/asset/a/b", "declaration/management/x"] {
        assert!(endpoint(good).is_ok(), "{good}");
    }
    for bad in ["", "token", "declaration/asset", "declaration/asset/", "declaration/toy/x", "/tokens"] {
        assert_eq!(endpoint(bad), Err(Error::UnknownEndpoint(bad.into())), "{bad}");
    }
    assert!(read(udid("DeclarativeManagement").with("Endpoint", "status")).is_err());
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of("[ -~]{1,20}")
}

fn secret() -> impl Strategy<Value = Secret<Vec<u8>>> {
    proptest::collection::vec(any::<u8>(), 1..60).prop_map(Secret::new)
}

fn any_checkin() -> impl Strategy<Value = CheckIn> {
    let authenticate = (any_channel(), text(), text(), text(), text(), text(), text(), text(), text(), text(), text())
        .prop_map(|(channel, a, b, c, d, e, f, g, h, i, j)| {
            CheckIn::Authenticate(Authenticate {
                channel,
                topic: a,
                serial_number: b,
                model: c,
                model_name: d,
                product_name: e,
                device_name: f,
                os_version: g,
                build_version: h,
                imei: i,
                meid: j,
            })
        });
    let update = (any_channel(), text(), secret(), "[ -~]{1,40}", option::of(secret()), any::<(bool, bool)>(), text())
        .prop_map(|(channel, topic, token, magic, unlock_token, (waits, off), long)| {
            let user_short_name = match &channel.user {
                Some(crate::sender::UserName::SharedIpad(name)) => Some(name.clone()),
                _ => long.clone(),
            };
            CheckIn::TokenUpdate(TokenUpdate {
                channel,
                topic,
                token,
                push_magic: magic.as_str().into(),
                unlock_token,
                awaiting_configuration: waits,
                not_on_console: off,
                user_short_name,
                user_long_name: long,
            })
        });
    let set = (any_channel(), option::of(secret()), any::<bool>()).prop_map(|(channel, token, waits)| {
        CheckIn::SetBootstrapToken(SetBootstrapToken { channel, token, awaiting_configuration: waits })
    });
    let get_token = (any_channel(), "[ -~]{1,30}", text(), text(), text()).prop_map(|(channel, service, a, b, c)| {
        CheckIn::GetToken(GetToken { channel, service, security_token: a, phone_udid: b, watch_udid: c })
    });
    let kind = prop_oneof![
        Just(DeclarationKind::Activation),
        Just(DeclarationKind::Asset),
        Just(DeclarationKind::Configuration),
        Just(DeclarationKind::Management)
    ];
    let endpoint = prop_oneof![
        Just(Endpoint::Tokens),
        Just(Endpoint::DeclarationItems),
        Just(Endpoint::Status),
        (kind, "[!-~]{1,64}").prop_map(|(kind, id)| Endpoint::Declaration(kind, id)),
    ];
    let declarative = (any_channel(), endpoint, secret()).prop_map(|(channel, endpoint, data)| {
        CheckIn::DeclarativeManagement(DeclarativeManagement { channel, endpoint, data: Some(data.into_inner()) })
    });
    prop_oneof![
        authenticate,
        update,
        set,
        get_token,
        declarative,
        any_channel().prop_map(CheckIn::CheckOut),
        any_channel().prop_map(CheckIn::ReturnToService),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(checkin in any_checkin()) {
        prop_assert_eq!(CheckIn::parse(&checkin.encode()), Ok(checkin));
    }

    #[test]
    fn no_property_list_panics(value in crate::plist::tests::any_value(), message in "(Authenticate|TokenUpdate|GetToken|CheckOut|DeclarativeManagement)") {
        let mut dict = value.as_dict().cloned().unwrap_or_default();
        for key in ["UDID", "Token", "TokenParameters", "Topic", "Endpoint"] {
            dict.set(key, value.clone());
        }
        let _ = read(dict.clone().with("MessageType", message.as_str()));
        let _ = read(dict.with("MessageType", message).with("UDID", "D1"));
    }
}
