//! A Mac's users, each with a channel of their own: they are heard and not managed yet. How to wake them is kept.

use super::{Answer, Shown, checkin, heard, is_set_apart};
use crate::{
    fleet::{keeper, life::Event},
    server::Server,
    store::Tx,
};
use axum::{http::StatusCode, response::IntoResponse};
use lanyard_apple::{
    UserName,
    checkin::{CheckIn, TokenUpdate},
};

/// Characters of a user's name that are kept.
const LONGEST_NAME: usize = 255;

/// A check-in on a user's channel. 410 tells who logs in that there is nothing for them; other messages change nothing.
pub(super) async fn take(server: &Server, shown: Shown, message: CheckIn) -> Answer {
    if let CheckIn::TokenUpdate(said) = message {
        return token_update(server, shown, said).await;
    }
    let name = message.channel().device_name().to_string();
    server.store.judge(move |tx| heard(tx, &shown, &name).map(drop)).await?;
    let gone = matches!(message, CheckIn::UserAuthenticate(_));
    Ok(if gone { StatusCode::GONE.into_response() } else { StatusCode::OK.into_response() })
}

async fn token_update(server: &Server, shown: Shown, said: TokenUpdate) -> Answer {
    let keep = move |tx: &mut Tx<'_>| {
        let (credential, device) = heard(tx, &shown, said.channel.device_name())?;
        let device = device.filter(|device| !is_set_apart(device, &shown));
        if let (Some(mut device), Some(user)) = (device, &said.channel.user) {
            let (UserName::Mac(id) | UserName::Enrollment(id) | UserName::SharedIpad(id)) = user;
            let (enrolment, push, name) = (credential.enrolment, checkin::push(&said), called(&said));
            keeper::happen(tx, &mut device, Event::UserTold { enrolment, id: id.clone(), name, push })?;
        }
        Ok(())
    };
    server.store.judge(keep).await?;
    Ok(StatusCode::OK.into_response())
}

/// What the device calls the user: the account's name, or the full one.
fn called(said: &TokenUpdate) -> Option<String> {
    let names = [&said.user_short_name, &said.user_long_name].into_iter().flatten();
    let name = names.map(|name| name.trim()).find(|name| !name.is_empty())?;
    Some(name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_NAME).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        fleet::{
            life::{Channel, Enrolment, EnrolmentState, MacUser, Managed, Ownership, Platform, device::Certificate},
            registry::{Credential, lookup},
        },
        ids::{DeviceId, EnrolmentId, Fingerprint},
        serve,
    };
    use lanyard_apple::{Channel as Sender, DeviceName, Secret, checkin::UserAuthenticate};
    use std::collections::BTreeMap;
    use uuid::Uuid;

    const SHOWN: Fingerprint = Fingerprint([7; 32]);

    fn sender() -> Sender {
        Sender { device: DeviceName::Udid("MAC".into()), user: Some(UserName::Mac("U1".into())) }
    }

    fn update(magic: &str, names: [Option<&str>; 2]) -> CheckIn {
        CheckIn::TokenUpdate(TokenUpdate {
            channel: sender(),
            topic: Some("topic".into()),
            token: Secret::new(vec![0xab; 32]),
            push_magic: Secret::new(magic.into()),
            unlock_token: None,
            awaiting_configuration: false,
            not_on_console: false,
            user_short_name: names[0].map(Into::into),
            user_long_name: names[1].map(Into::into),
        })
    }

    /// A Mac that is enrolled, in a store of its own.
    async fn mac(folder: &std::path::Path) -> serve::Running {
        let options = serve::Options {
            data: Some(folder.into()),
            device_addr: Some("127.0.0.1:0".parse().unwrap()),
            admin_addr: Some("127.0.0.1:0".parse().unwrap()),
            ..serve::Options::default()
        };
        let running = serve::start(&options).await.unwrap();
        let make = |tx: &mut Tx<'_>| {
            let (id, not_after) = (EnrolmentId(Uuid::from_u128(1)), Timestamp(i64::MAX));
            let certificate = Certificate { serial: "01".into(), sha256: SHOWN, not_before: tx.now(), not_after };
            let mut device = Managed::new(device(), "ann", Ownership::Corporate, Platform::Macos, tx.time());
            let enrolment = Enrolment::new(id, Channel::Apple, "MAC", EnrolmentState::Enrolled, tx.now());
            keeper::happen(tx, &mut device, Event::Begun { enrolment: Box::new(enrolment), personal: false })?;
            tx.put(&Credential {
                certificate,
                der: String::new(),
                enrolment: id,
                device: Some(device.id),
                channel: Channel::Apple,
                user: "ann".into(),
                ownership: Ownership::Corporate,
                invitation: None,
                revoked: None,
                signs: Some(false),
                key: String::new(),
                profile: None,
            })?;
            Ok(())
        };
        running.server.store.run(make).await.unwrap();
        running
    }

    fn device() -> DeviceId {
        DeviceId(Uuid::from_u128(2))
    }

    async fn users(server: &Server) -> BTreeMap<String, MacUser> {
        let device = server.store.run(|tx| lookup::by_id(tx, device())).await.unwrap();
        device.enrolments[0].users.clone()
    }

    #[tokio::test]
    async fn how_to_wake_a_macs_user_is_kept_with_the_enrolment() {
        let folder = std::env::temp_dir().join(format!("lanyard-mac-user-{}", std::process::id()));
        let running = mac(&folder).await;
        let shown = Shown { certificate: SHOWN, by: super::super::Proof::Connection };
        let said =
            |message: CheckIn| async { take(&running.server, shown, message).await.map_err(|_| ()).unwrap().status() };
        let login = UserAuthenticate { channel: sender(), digest_response: None };
        assert_eq!(said(CheckIn::UserAuthenticate(login)).await, StatusCode::GONE);
        assert_eq!(users(&running.server).await, BTreeMap::new());
        for (message, magic, name) in [
            (update("m1", [None, Some("Kim Doe")]), "m1", "Kim Doe"),
            (update("m2", [Some("kim\u{0}"), Some("Kim Doe")]), "m2", "kim "),
            (update("m3", [None, None]), "m3", "kim "),
        ] {
            assert_eq!(said(message).await, StatusCode::OK);
            let users = users(&running.server).await;
            let (user, push) = (&users["U1"], users["U1"].push.as_ref().unwrap());
            assert_eq!((users.len(), user.name.as_deref(), push.magic.as_str()), (1, Some(name), magic));
            assert!(push.token == "ab".repeat(32) && push.topic == "topic" && user.last_seen.is_some());
        }
        assert_eq!(said(CheckIn::CheckOut(sender())).await, StatusCode::OK);
        let device = running.server.store.run(|tx| lookup::by_id(tx, device())).await.unwrap();
        assert!(device.enrolments[0].push.is_none() && device.live().count() == 1, "the Mac itself is as it was");
        running.stop().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
