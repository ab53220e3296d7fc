//! Check-ins: how an enrolment begins, is completed, and ends by the device's own word.

use super::{Answer, Refusal, Shown, admit, heard, is_set_apart};
use crate::{
    error::{Denial, Judged, Result},
    fleet::{
        enrol::{self},
        keeper,
        life::{Claim, EnrolmentState, Event, Managed, Platform, device::Push},
        registry::{Credential, Standing},
        terms::EvidenceKind,
    },
    ids::hex,
    server::{Server, background},
    store::Tx,
};
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lanyard_apple::{
    ReturnToService, Secret,
    checkin::{Authenticate, CheckIn, SetBootstrapToken, TokenUpdate, bootstrap_token_answer},
    support,
};

/// Where the unlock token lies, sealed, in an enrolment's channel state; also the label it is sealed under.
pub(super) const UNLOCK_TOKEN: &str = "apple unlock token";
const BOOTSTRAP_TOKEN: &str = "apple bootstrap token";

/// One check-in, from certificate to answer.
pub(super) async fn take(server: &Server, shown: Shown, message: CheckIn) -> Answer {
    match message {
        CheckIn::Authenticate(said) => authenticate(server, shown, said).await,
        CheckIn::TokenUpdate(said) => token_update(server, shown, said).await,
        CheckIn::CheckOut(channel) => check_out(server, shown, channel.device_name().to_string()).await,
        CheckIn::SetBootstrapToken(said) => set_bootstrap_token(server, shown, said).await,
        CheckIn::GetBootstrapToken(said) => {
            get_bootstrap_token(server, shown, said.channel.device_name().to_string()).await
        }
        CheckIn::ReturnToService(_) => Ok(plist(ReturnToService::default().answer())),
        CheckIn::UserAuthenticate(_) => Ok(StatusCode::GONE.into_response()),
        CheckIn::GetToken(_) | CheckIn::DeclarativeManagement(_) => {
            Err(Refusal::Unreadable("this server does not offer that"))
        }
    }
}

fn platform(said: &Authenticate) -> Platform {
    platform_of(&[said.product_name.as_deref(), said.model.as_deref(), said.model_name.as_deref()])
}

/// The registry's name for what Apple's machine names tell.
pub(super) fn platform_of(names: &[Option<&str>]) -> Platform {
    match support::Platform::of(names) {
        support::Platform::Ios => Platform::Ios,
        support::Platform::IpadOs => Platform::Ipados,
        support::Platform::MacOs => Platform::Macos,
        support::Platform::TvOs => Platform::Tvos,
        support::Platform::WatchOs => Platform::Watchos,
        support::Platform::VisionOs => Platform::Visionos,
        support::Platform::Other => Platform::Other,
    }
}

async fn authenticate(server: &Server, shown: Shown, said: Authenticate) -> Answer {
    let claim = Claim {
        identity: said.channel.device_name().to_string(),
        platform: Some(platform(&said)),
        serial: said.serial_number,
        name: said.device_name,
        model: said.product_name.or(said.model),
        os_version: said.os_version,
        ..Claim::default()
    };
    let bind = move |tx: &mut Tx<'_>| {
        let (_, device) = admit(tx, &shown, &claim.identity)?;
        if device.is_some_and(|device| is_set_apart(&device, &shown)) {
            return Ok(());
        }
        // The same certificate again is a retry, or a renewal's: queue, tokens and policy stay.
        let (mut device, enrolment) = enrol::bind(tx, &shown.certificate, &claim)?;
        enrol::tell(tx, &mut device, enrolment, claim)?;
        Ok(())
    };
    server.store.judge(bind).await?;
    Ok(StatusCode::OK.into_response())
}

async fn token_update(server: &Server, shown: Shown, said: TokenUpdate) -> Answer {
    let name = said.channel.device_name().to_string();
    let unlock = said.unlock_token.as_ref().map(|token| server.seal(UNLOCK_TOKEN, token.expose())).transpose()?;
    let push = push(&said);
    let update = move |tx: &mut Tx<'_>| {
        // A TokenUpdate without its Authenticate belongs to nobody.
        let (credential, mut device) = bound(tx, &shown, &name)?;
        if is_set_apart(&device, &shown) {
            let (enrolment, push) = (credential.enrolment, Some(push));
            let noted = unlock.map(|token| (UNLOCK_TOKEN, Some(token))).into_iter().collect();
            keeper::happen(tx, &mut device, Event::ToldAside { enrolment, push, noted })?;
            return Ok(None);
        }
        Ok(keep_token(tx, device, &credential, &shown, push, unlock)?)
    };
    let device = server.store.judge(update).await?;
    if let Some(device) = device {
        background::wake(server, device);
    }
    Ok(StatusCode::OK.into_response())
}

/// How this wakes the device, or one of its users.
pub(super) fn push(said: &TokenUpdate) -> Push {
    Push {
        token: hex(said.token.expose()),
        magic: said.push_magic.expose().clone(),
        topic: said.topic.clone().unwrap_or_default(),
        retired: false,
        told: None,
    }
}

/// Returns the device where it is to be woken: the enrolment is complete by this, or its token is another one.
fn keep_token(
    tx: &mut Tx<'_>,
    mut device: Managed,
    credential: &Credential,
    shown: &Shown,
    push: Push,
    unlock: Option<String>,
) -> Result<Option<crate::ids::DeviceId>> {
    let enrolment = credential.enrolment;
    // Nothing revives an enrolment that has ended.
    let good = |state| matches!(state, EnrolmentState::Pending | EnrolmentState::Enrolled | EnrolmentState::Former);
    if device.enrolment(enrolment).is_some_and(|mine| !good(mine.state)) {
        return Ok(None);
    }
    let known = device.enrolment(enrolment).and_then(|mine| mine.push.as_ref()).map(|push| push.token.clone());
    let another = known.is_none_or(|known| known != push.token);
    keeper::happen(tx, &mut device, Event::PushTold { enrolment, push })?;
    // Most updates come without it: the one had before stays good.
    if unlock.is_some() {
        keeper::happen(tx, &mut device, Event::Noted { enrolment, name: UNLOCK_TOKEN, value: unlock })?;
    }
    let first = enrol::complete(tx, &mut device, enrolment, &shown.certificate)?;
    // What was pushed to a former token may have been lost.
    Ok((first || another && !device.open.is_empty()).then_some(device.id))
}

async fn check_out(server: &Server, shown: Shown, name: String) -> Answer {
    let leave = move |tx: &mut Tx<'_>| {
        let (credential, mut device) = bound(tx, &shown, &name)?;
        if is_set_apart(&device, &shown) {
            return Ok(());
        }
        let (enrolment, kind, detail) = (credential.enrolment, EvidenceKind::Checkout, "CheckOut".to_string());
        keeper::happen(tx, &mut device, Event::Left { enrolment, kind, detail })?;
        Ok(())
    };
    server.store.judge(leave).await?;
    Ok(StatusCode::OK.into_response())
}

async fn set_bootstrap_token(server: &Server, shown: Shown, said: SetBootstrapToken) -> Answer {
    let name = said.channel.device_name().to_string();
    let sealed = match said.token.as_ref().filter(|t| !t.expose().is_empty()) {
        Some(token) => Some(server.seal(BOOTSTRAP_TOKEN, token.expose())?),
        None => None,
    };
    let keep = move |tx: &mut Tx<'_>| {
        let (credential, mut device) = bound(tx, &shown, &name)?;
        let (enrolment, name) = (credential.enrolment, BOOTSTRAP_TOKEN);
        let event = match is_set_apart(&device, &shown) {
            true => Event::ToldAside { enrolment, push: None, noted: vec![(name, sealed)] },
            false => Event::Noted { enrolment, name, value: sealed },
        };
        keeper::happen(tx, &mut device, event)?;
        Ok(())
    };
    server.store.judge(keep).await?;
    Ok(StatusCode::OK.into_response())
}

async fn get_bootstrap_token(server: &Server, shown: Shown, name: String) -> Answer {
    let look = move |tx: &mut Tx<'_>| admit(tx, &shown, &name);
    let (credential, device) = server.store.judge(look).await?;
    let kept = device.filter(|device| !is_set_apart(device, &shown));
    let kept = kept.and_then(|d| d.enrolment(credential.enrolment)?.channel_state.get(BOOTSTRAP_TOKEN).cloned());
    let token = kept.map(|sealed| server.unseal(BOOTSTRAP_TOKEN, &sealed)).transpose()?.map(Secret::new);
    Ok(plist(bootstrap_token_answer(token.as_ref())))
}

/// A good certificate together with the device that it is bound to.
fn bound(tx: &mut Tx<'_>, shown: &Shown, name: &str) -> Judged<(Credential, Managed), Standing> {
    match heard(tx, shown, name)? {
        (credential, Some(device)) => Ok((credential, device)),
        (_, None) => Err(Denial::Refused(Standing::Unknown)),
    }
}

fn plist(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], bytes).into_response()
}
