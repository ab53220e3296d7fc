//! What a PC is set up with: certificates, the account, and how often it comes by itself.

use super::{DM_PATH, ENROLMENT_PATH, PROVIDER_ID};
use crate::{
    channel::certificates::fault,
    clock::Steady,
    error::Result,
    fleet::{
        life::{Enrolment, Event},
        settings,
    },
    ids::{EnrolmentId, hex},
    server::Server,
    store::Tx,
};
use lanyard_omadm::{
    enrolment::EnrolmentType,
    provisioning::{Account, Certificate, ClientSettings, Poll, Provisioning, Renewal, Renewed},
};
use std::time::Duration;

/// How long before its end a certificate is renewed.
pub(super) const RENEWAL: Duration = Duration::from_secs(42 * 86_400);
const RENEWAL_DAYS: u32 = 42;
const RETRY_DAYS: u32 = 7;
/// Under this name an enrolment keeps the schedule that its device was last told, in minutes.
pub(super) const POLL: &str = "poll";
/// Under this one the schedule that it was told and did not answer, and when that was.
const POLL_UNANSWERED: &str = "poll unanswered";
/// After so long it is told that again.
const TELL_AGAIN: Duration = Duration::from_secs(86_400);
/// Under this name, to which store its certificates go: a renewal does not say it.
const STORE: &str = "certificate_store";
const OF_DEVICE: &str = "device";

/// What an enrolment keeps of its certificate store.
pub(super) fn store_told(enrolment: EnrolmentId, kind: EnrolmentType) -> Event {
    let value = (kind == EnrolmentType::Device).then(|| OF_DEVICE.to_string());
    Event::Noted { enrolment, name: STORE, value }
}

/// The store that an enrolment's certificates are in.
pub(super) fn store_of(enrolment: &Enrolment) -> EnrolmentType {
    match enrolment.channel_state.get(STORE).map(String::as_str) {
        Some(OF_DEVICE) => EnrolmentType::Device,
        _ => EnrolmentType::Full,
    }
}
/// The longest schedule that makes sense to Windows: a week.
const LONGEST: u64 = 7 * 24 * 60;

/// Whom the document is for.
pub(super) struct For<'a> {
    pub(super) enrolment: EnrolmentId,
    pub(super) user: &'a str,
    pub(super) device_name: &'a str,
    pub(super) enrolment_type: EnrolmentType,
    /// Minutes.
    pub(super) poll: u32,
}

/// The endless poll in minutes, as the setting says it: at least one.
pub(super) fn poll(tx: &mut Tx<'_>) -> Result<u32> {
    let seconds = settings::span(tx, "windows.poll")?.as_secs();
    Ok(u32::try_from(seconds.div_ceil(60).clamp(1, LONGEST)).unwrap_or(60))
}

/// A device was told a schedule, and answered that or not.
pub(super) fn told(tx: &mut Tx<'_>, enrolment: EnrolmentId, minutes: u32, answered: bool) -> Event {
    let (name, value) = match answered {
        true => (POLL, minutes.to_string()),
        false => (POLL_UNANSWERED, format!("{minutes} {}", tx.steady().0)),
    };
    Event::Noted { enrolment, name, value: Some(value) }
}

/// Whether a device is to be told another schedule than it has.
pub(super) fn is_to_be_told(tx: &mut Tx<'_>, mine: &Enrolment) -> Result<bool> {
    let minutes = poll(tx)?.to_string();
    if mine.channel_state.get(POLL) == Some(&minutes) {
        return Ok(false);
    }
    let unanswered = mine.channel_state.get(POLL_UNANSWERED).and_then(|text| text.split_once(' '));
    let at = unanswered.filter(|(told, _)| *told == minutes).and_then(|(_, at)| at.parse().ok());
    Ok(at.is_none_or(|at| tx.steady().since(Steady(at)) >= TELL_AGAIN))
}

/// The document of a first enrolment.
pub(super) fn first(server: &Server, whom: &For<'_>, der: &[u8]) -> Result<String> {
    let ca = &server.authority;
    let id = whom.enrolment.to_string();
    // The certificate is the login: these are made because Windows wants some, and are not kept.
    let secrets = [random::<24>()?, random::<24>()?].map(|bytes| hex(&bytes));
    let [client_secret, server_secret] = &secrets;
    let document = Provisioning {
        root: Certificate { der: ca.root_der(), sha1: ca.root_sha1().map_err(fault)? },
        intermediate: Some(Certificate { der: ca.issuing_der(), sha1: ca.issuing_sha1().map_err(fault)? }),
        client: certificate(der),
        enrolment_type: whom.enrolment_type,
        renewal: Renewal {
            period_days: RENEWAL_DAYS,
            retry_days: RETRY_DAYS,
            // Under the name that asks for a certificate: the old one is the login.
            url: &format!("{}{ENROLMENT_PATH}", server.public_url),
        },
        account: Account {
            provider_id: PROVIDER_ID,
            name: "Device management",
            address: &format!("{}{DM_PATH}", server.public_url),
            subject: Some(&format!("CN={id}")),
            login: &id,
            client_secret,
            server_secret,
            nonces: [random()?, random()?],
        },
        client_settings: ClientSettings { upn: whom.user, device_name: whom.device_name, dm_id: &id },
        poll: Poll { first: (5, 3), second: (8, 15), endless: whom.poll },
    };
    Ok(document.encode())
}

/// The document of a renewal.
pub(super) fn renewed(enrolment_type: EnrolmentType, der: &[u8]) -> String {
    Renewed { client: certificate(der), enrolment_type, provider_id: PROVIDER_ID }.encode()
}

fn certificate(der: &[u8]) -> Certificate<'_> {
    Certificate { der, sha1: openssl::sha::sha1(der) }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    openssl::rand::rand_bytes(&mut bytes).map_err(|e| crate::error::Error::Internal(e.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        fleet::life::{Channel, EnrolmentState, Managed, Ownership, Platform},
        ids::DeviceId,
        store::Time,
    };
    use uuid::Uuid;

    #[test]
    fn an_enrolment_keeps_the_store_of_its_certificates() {
        let (id, enrolment) = (DeviceId(Uuid::from_u128(1)), EnrolmentId(Uuid::from_u128(2)));
        let time = Time { now: Timestamp(0), steady: Steady(0), doubted: false };
        for kind in [EnrolmentType::Full, EnrolmentType::Device] {
            let mut device = Managed::new(id, "ann@example.org", Ownership::Corporate, Platform::Windows, time);
            let new = Enrolment::new(enrolment, Channel::Omadm, "PC", EnrolmentState::Pending, time.now);
            device.happen(Event::Begun { enrolment: Box::new(new), personal: false }, time);
            device.happen(store_told(enrolment, kind), time);
            assert_eq!(store_of(device.enrolment(enrolment).unwrap()), kind);
        }
    }
}
